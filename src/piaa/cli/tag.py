"""`piaa tag`: give images their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from piaa.cli import options
from piaa.cli.console import console, progress_bars, show_notices, show_weights, shows_errors
from piaa.errors import InputError


def parse_thresholds(values: list[str]) -> dict[str, float]:
    """`name=0.7` options as a mapping.

    Raises:
        InputError: for anything else.
    """
    result = {}
    for value in values:
        name, separator, number = value.rpartition("=")
        try:
            result[name] = float(number)
        except ValueError:
            separator = ""
        if not separator or not name:
            raise InputError(f"--threshold wants NAME=NUMBER, such as 'umbrella=0.7', got {value!r}")
    return result


@shows_errors
def tag(
    images: Annotated[str, typer.Argument(help="Folder (nested), file or glob of images.")],
    classifier: options.ClassifierFile,
    out: Annotated[Path, typer.Option(help="The file to write: .jsonl, .csv or .parquet.")],
    threshold: Annotated[list[str] | None, typer.Option(help="NAME=0.7: another threshold for a class.")] = None,
    all_scores: Annotated[bool, typer.Option("--all-scores", help="Write the scores of all classes too.")] = False,
    model: options.MovedModel = None,
    pretrained: options.MovedPretrained = None,
    device: options.Device = "auto",
    engine: options.EngineName = "eager",
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    resume: options.Resume = False,
    strict: options.Strict = False,
) -> None:
    """Give images their labels with a learnt classifier (PAA). A score of 0.5 is the class's threshold."""
    from piaa.jobs import tag_job
    from piaa.recognizer import Recognizer

    recognizer = Recognizer.load(
        classifier,
        model=model,
        pretrained=pretrained,
        device=device,
        engine=engine,
        batch_size=batch_size,
        workers=workers,
    )
    recognizer.set_thresholds(parse_thresholds(threshold or []))
    scorer = recognizer.scorer()
    show_weights(scorer.setup.model)
    with progress_bars() as stage:
        summary = tag_job(
            scorer,
            images,
            out=out,
            resume=resume,
            strict=strict,
            batch_size=scorer.setup.decoded_together,
            workers=workers,
            all_scores=all_scores,
            progress=stage("tagging"),
        )
    show_notices(summary)
    console.print(f"tagged {summary.tagged} images in {summary.seconds:.1f} s -> {out}", highlight=False)
