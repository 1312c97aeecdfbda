"""`piaa tag`: give images their labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import INCOMPLETE, HarmlessLines, console, show_note, show_notices, shows_errors
from piaa.cli.loading import load_recognizer, with_head
from piaa.cli.watching import Watch, watching
from piaa.errors import InputError

STDOUT = Path("-")


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
    classifier: options.ClassifierFile,
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write: .jsonl, .csv or .parquet; a name without an ending for a folder of Parquet "
            "parts; - for JSON lines on standard output."
        ),
    ],
    images: options.Images = None,
    threshold: Annotated[list[str] | None, typer.Option(help="NAME=0.7: another threshold for a class.")] = None,
    all_scores: Annotated[bool, typer.Option("--all-scores", help="Write the scores of all classes too.")] = False,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Write each image's [CLS] embedding too (folder of parts).")
    ] = False,
    partition: Annotated[
        str, typer.Option(help="Hive-partition the parts: 'folder' of the image, or a fixed KEY=VALUE.")
    ] = "",
    update: Annotated[
        bool, typer.Option("--update", help="Tag only what is new or changed in a folder of parts; mark what is gone.")
    ] = False,
    content_hash: Annotated[
        bool, typer.Option("--content-hash", help="Keep a hash of each file: a new date alone is then no change.")
    ] = False,
    csv_separator: Annotated[str, typer.Option(help="Between the cells of a .csv; 'tab' for a tab.")] = ",",
    bom: Annotated[bool, typer.Option("--bom", help="Begin a .csv with a byte order mark, for Excel.")] = False,
    gallery: Annotated[
        Path | None, typer.Option(help="Also write a page with thumbnails and labels to this .html.")
    ] = None,
    head: options.Head = None,
    keep_foreign: options.KeepForeign = False,
    model: options.MovedModel = None,
    pretrained: options.MovedPretrained = None,
    quality: options.RunQuality = None,
    device: options.Device = "auto",
    engine: options.EngineName = None,
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    list_file: options.ListFile = None,
    frames: options.Frames = 0,
    max_pixels: options.MaxPixels = None,
    resume: options.Resume = False,
    shard: options.Shard = None,
    strict: options.Strict = False,
    max_errors: options.MaxErrors = None,
    save_every: options.SaveEvery = None,
    log_json: options.LogJson = False,
    metrics_file: options.MetricsFile = None,
    cluster: options.Cluster = None,
) -> None:
    """Give images their labels with a learnt classifier (PAA). A score of 0.5 is the class's threshold."""
    from piaa.cluster import spread_tag
    from piaa.inputs.sources import read_arguments
    from piaa.jobs import Layout, parse_max_errors, parse_share

    share, limit = options.usage(parse_share, shard), options.usage(parse_max_errors, max_errors)
    separator = "\t" if csv_separator == "tab" else csv_separator
    layout = Layout(all_scores, embeddings, content_hash, partition, separator, bom)
    options.usage(lambda _: layout.check_words(), partition)
    if cluster and (share.count > 1 or update or embeddings or head or out == STDOUT):
        raise InputError("--cluster does not go with --shard, --update, --embeddings, --head and --out -")
    if gallery:
        check_gallery(gallery)
    source = read_arguments(images, list_file, max_pixels=max_pixels, frames=frames)
    with watching("tagging", "tag", out, log_json, metrics_file) as watch:
        recognizer = load_recognizer(
            classifier,
            model=model,
            pretrained=pretrained,
            quality=quality,
            device=device,
            engine=engine,
            batch_size=batch_size,
            workers=workers,
            keep_foreign=keep_foreign,
        )
        recognizer.set_thresholds(parse_thresholds(threshold or []))
        scorer = with_head(recognizer, head, threshold)
        given: dict[str, Any] = {"strict": strict, "max_errors": limit, "workers": workers}
        if out == STDOUT:
            if resume or update or share.count > 1 or layout != Layout(all_scores):
                raise InputError(
                    "--out -: a stream of JSON lines cannot be resumed, updated, cut or laid out otherwise"
                )
            summary = to_stdout(scorer, source, watch, all_scores=all_scores, **given)
        else:
            given |= {"resume": resume, "update": update, "share": share, "layout": layout}
            with spread_tag(cluster, recognizer, scorer, source, block=save_every) as job:
                given |= {"workers": job.threads, "shard_size": job.block}
                together = recognizer.scorer().setup.decoded_together
                summary = to_file(job.worker, job.images, out, watch, together, **given)
    show_notices(summary)
    extra = f", {summary.kept} kept, {summary.gone} gone" if update else ""
    text = f"tagged {summary.tagged} images in {summary.seconds:.1f} s{extra} -> {out}"
    console.print(text, markup=False, highlight=False)
    if summary.foreign:
        show_note(foreign_note(summary.foreign, summary.tagged))
    if gallery:
        show_gallery(out, gallery)
    if summary.failed:
        raise typer.Exit(INCOMPLETE)


def foreign_note(foreign: int, tagged: int) -> str:
    """What became of images that are unlike those of the fit."""
    return (
        f"{foreign:,} of {tagged:,} images are unlike those that the classifier was learnt from and were given no "
        "label (foreign in the output); --keep-foreign gives them labels, a fit with such images among the others "
        "knows them"
    )


def to_file(scorer: Any, images: Any, out: Path, watch: Watch, together: int, **given: Any) -> Any:
    """Tag to a file or a folder; the summary."""
    from piaa.jobs import tag_job

    return tag_job(scorer, images, out=out, batch_size=together, **given, **watch.options())


def to_stdout(scorer: Any, source: Any, watch: Watch, **given: Any) -> Any:
    """Tag to standard output; the summary."""
    from piaa.jobs import tag_stream

    together = scorer.setup.decoded_together
    return tag_stream(scorer, source, HarmlessLines(sys.stdout), batch_size=together, **given, **watch.options())


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
