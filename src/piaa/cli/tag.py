"""`piaa tag`: give images their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from piaa.cli.console import BATCH_HELP, ENGINE_HELP, console, progress_bars, show_notices, shows_errors
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
    classifier: Annotated[Path, typer.Option(help="A file that 'piaa fit' wrote.")],
    out: Annotated[Path, typer.Option(help="The file to write: .jsonl, .csv or .parquet.")],
    threshold: Annotated[list[str] | None, typer.Option(help="NAME=0.7: another threshold for a class.")] = None,
    all_scores: Annotated[bool, typer.Option("--all-scores", help="Write the scores of all classes too.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "eager",
    batch_size: Annotated[int, typer.Option(min=0, help=BATCH_HELP)] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode images.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run was.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first image that cannot be read.")] = False,
) -> None:
    """Give images their labels with a learnt classifier (PAA). A score of 0.5 is the class's threshold."""
    from piaa.jobs import tag_job
    from piaa.recognizer import Recognizer

    recognizer = Recognizer.load(classifier, device=device, engine=engine, batch_size=batch_size, workers=workers)
    recognizer.set_thresholds(parse_thresholds(threshold or []))
    scorer = recognizer.scorer()
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
