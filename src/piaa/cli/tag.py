"""`piaa tag`: give images their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from piaa.cli import options
from piaa.cli.console import console, progress_bars, show_notices, shows_errors
from piaa.cli.loading import load_recognizer
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
    gallery: Annotated[
        Path | None, typer.Option(help="Also write a page with thumbnails and labels to this .html.")
    ] = None,
    model: options.MovedModel = None,
    pretrained: options.MovedPretrained = None,
    device: options.Device = "auto",
    engine: options.EngineName = "eager",
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    resume: options.Resume = False,
    strict: options.Strict = False,
    cluster: options.Cluster = None,
) -> None:
    """Give images their labels with a learnt classifier (PAA). A score of 0.5 is the class's threshold."""
    from piaa.cluster import spread_tag
    from piaa.jobs import tag_job

    if gallery:
        check_gallery(gallery)
    recognizer = load_recognizer(
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
    with progress_bars() as stage, spread_tag(cluster, recognizer, scorer, images) as job:
        summary = tag_job(
            job.worker,
            job.images,
            out=out,
            resume=resume,
            strict=strict,
            batch_size=scorer.setup.decoded_together,
            workers=job.threads,
            shard_size=job.block,
            all_scores=all_scores,
            progress=stage("tagging"),
        )
    show_notices(summary)
    console.print(f"tagged {summary.tagged} images in {summary.seconds:.1f} s -> {out}", markup=False, highlight=False)
    if gallery:
        show_gallery(out, gallery)


def check_gallery(gallery: Path) -> None:
    """Refuse a page that could not be written, before any image is tagged.

    Raises:
        InputError: in this case.
    """
    from piaa.files import check_place

    if gallery.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{gallery}: the gallery is a web page; give a name that ends in .html")
    check_place(gallery)


def show_gallery(tags: Path, gallery: Path) -> None:
    """Write the page of a table and say what is on it."""
    from piaa.exchange import read_tags
    from piaa.report.gallery import write_gallery

    shown = write_gallery(read_tags(tags), gallery)
    console.print(f"{shown} images on {gallery}: open it in a browser", markup=False, highlight=False)
