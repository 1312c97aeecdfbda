"""`piaa fit`: learn a classifier from unlabelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from piaa.cli.console import (
    BATCH_HELP,
    ENGINE_HELP,
    SIZE_HELP,
    console,
    parse_size,
    progress_bars,
    show_notices,
    shows_errors,
)


@shows_errors
def fit(
    images: Annotated[str, typer.Argument(help="Folder (nested), file or glob of unlabelled images.")],
    labels: Annotated[Path, typer.Option(help="Class names, one a line: 'name' or 'name: synonym, synonym'.")],
    out: Annotated[Path, typer.Option(help="The classifier file to write, such as animals.piaa.")],
    model: Annotated[str, typer.Option(help="'embedded', an open_clip name, 'local-dir:PATH' or a path.")] = "embedded",
    pretrained: Annotated[str | None, typer.Option(help="Tag or checkpoint file of an open_clip name.")] = None,
    front_end: Annotated[
        str | None, typer.Option(help="clip, sclip, itaclip or sc-clip; else the model's own.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="default, or published-voc, -coco, -nus.")] = "default",
    templates: Annotated[str, typer.Option(help="published, ensemble, or a template with {}.")] = "published",
    image_size: Annotated[str | None, typer.Option(help=SIZE_HELP)] = None,
    resize: Annotated[str | None, typer.Option(help="shortest, squash or pad.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "eager",
    batch_size: Annotated[int, typer.Option(min=0, help=BATCH_HELP)] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode images.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run was.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first image that cannot be read.")] = False,
) -> None:
    """Learn a classifier from unlabelled images and class names (PVCL)."""
    from piaa.jobs import fit_job
    from piaa.recognizer import Recognizer
    from piaa.vocabulary.labels import read_labels

    recognizer = Recognizer(
        read_labels(labels),
        model=model,
        pretrained=pretrained,
        front_end=front_end,
        recipe=recipe,
        templates=templates,
        image_size=parse_size(image_size),
        resize=resize,
        device=device,
        precision=precision,
        engine=engine,
        batch_size=batch_size,
        workers=workers,
    )
    learner = recognizer.learner()
    with progress_bars() as stage:
        summary = fit_job(
            learner,
            images,
            out=out,
            resume=resume,
            strict=strict,
            batch_size=learner.setup.decoded_together,
            workers=workers,
            progress=stage("learning"),
            finish=lambda: recognizer.adopt(learner).save(out),
        )
    show_notices(summary)
    console.print(
        f"learnt {len(learner.labels)} classes from {summary.tagged} images in {summary.seconds:.1f} s -> {out}",
        highlight=False,
    )
    report = recognizer.classifier_.report
    for kind in ("fallbacks", "threshold_notes"):
        for name, reason in report[kind].items():
            what = "keeps its text prototype" if kind == "fallbacks" else "threshold"
            console.print(f"[yellow]note:[/] {name} ({what}): {reason}", highlight=False)
