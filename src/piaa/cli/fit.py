"""`piaa fit`: learn a classifier from unlabelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from piaa.cli import options
from piaa.cli.console import (
    console,
    is_verbose,
    progress_bars,
    show_note,
    show_notices,
    show_weights,
    shows_errors,
)

MOST_NAMED = 5
"""Classes that a note names; --verbose names all of them."""


@shows_errors
def fit(
    images: Annotated[str, typer.Argument(help="Folder (nested), file or glob of unlabelled images.")],
    labels: options.LabelFile,
    out: Annotated[Path, typer.Option(help="The classifier file to write, such as animals.piaa.")],
    model: options.Model = "embedded",
    pretrained: options.Pretrained = None,
    front_end: options.FrontEnd = None,
    recipe: options.RecipeName = "default",
    templates: options.Templates = "published",
    image_size: options.ImageSize = None,
    resize: options.Resize = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    engine: options.EngineName = "eager",
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    resume: options.Resume = False,
    strict: options.Strict = False,
    cluster: options.Cluster = None,
) -> None:
    """Learn a classifier from unlabelled images and class names (PVCL)."""
    from piaa.cluster import spread_fit
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
        image_size=options.parse_size(image_size),
        resize=resize,
        device=device,
        precision=precision,
        engine=engine,
        batch_size=batch_size,
        workers=workers,
    )
    learner = recognizer.learner()
    show_weights(learner.setup.model)
    with progress_bars() as stage, spread_fit(cluster, recognizer, learner, images) as job:
        summary = fit_job(
            job.worker,
            job.images,
            out=out,
            resume=resume,
            strict=strict,
            batch_size=learner.setup.decoded_together,
            workers=job.threads,
            checkpoint_every=job.checkpoint_every,
            progress=stage("learning"),
            finish=lambda: recognizer.adopt(learner).save(out),
        )
    show_notices(summary)
    console.print(
        f"learnt {len(learner.labels)} classes from {summary.tagged} images in {summary.seconds:.1f} s -> {out}",
        markup=False,
        highlight=False,
    )
    report = recognizer.classifier_.report
    show_classes("keep their text prototype, since no patches were found for them", report["fallbacks"])
    show_classes("have no threshold of their own", report["threshold_notes"])


def show_classes(what: str, reasons: dict[str, str]) -> None:
    """One note for all classes that something is to be said of; each with its reason under --verbose."""
    if not reasons:
        return
    if is_verbose():
        show_note(f"{len(reasons)} classes {what}:")
        for name, reason in reasons.items():
            console.print(f"  {name}: {reason}", markup=False, highlight=False, soft_wrap=True)
        return
    named = ", ".join(list(reasons)[:MOST_NAMED])
    more = f" and {len(reasons) - MOST_NAMED} more" if len(reasons) > MOST_NAMED else ""
    same = set(reasons.values())
    why = f" ({same.pop()})" if len(same) == 1 else ""
    show_note(f"{len(reasons)} classes {what}{why}: {named}{more}; --verbose names each with its reason")
