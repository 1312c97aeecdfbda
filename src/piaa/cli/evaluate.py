"""`piaa eval`: measure a classifier on images with known labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from piaa.cli import options
from piaa.cli.console import INCOMPLETE, console, progress_bars, show_note, show_skipped, shows_errors
from piaa.cli.loading import load_recognizer, with_head
from piaa.cli.measures import show_classes, show_comparisons, show_methods, show_notes

BOOTSTRAP_HELP = "Resamples for intervals and p values; 0 for none. Without it 1,000, or 200 above 20,000 images."


@shows_errors
def evaluate(
    classifier: options.ClassifierFile,
    truth: options.TruthFile,
    images: options.Images = None,
    out: options.JsonOut = None,
    scores: Annotated[
        Path | None, typer.Option(help="Write scores and truth of every image to this .parquet, for 'piaa compare'.")
    ] = None,
    head: options.Head = None,
    ap_rule: options.ApRule = "torchmetrics",
    bootstrap: Annotated[int | None, typer.Option(min=0, help=BOOTSTRAP_HELP)] = None,
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
) -> None:
    """Measure mAP with its interval, per-class AP and F1, beside what the method is made of."""
    from piaa.evaluation.evaluate import evaluate as run
    from piaa.evaluation.score_tables import ScoreTable, check_score_file, write_scores
    from piaa.evaluation.truth import read_truth
    from piaa.files import check_place, write_json
    from piaa.inputs.sources import read_arguments

    check_options(ap_rule, bootstrap)
    if out:
        check_place(out)
    if scores:
        check_score_file(scores)
    source = read_arguments(images, list_file, max_pixels=max_pixels, frames=frames)
    recognizer = load_recognizer(
        classifier,
        model=model,
        pretrained=pretrained,
        quality=quality,
        device=device,
        engine=engine,
        batch_size=batch_size,
        workers=workers,
    )
    scorer = with_head(recognizer, head)
    known = read_truth(truth, scorer.label_names)
    together = recognizer.scorer().setup.decoded_together
    with progress_bars() as stage:
        result = run(scorer, source, known, batch_size=together, workers=workers, progress=stage("scoring"))
    if scores:
        write_scores(scores, ScoreTable(result.keys, scorer.label_names, result.labels, result.scores, result.decided))
    summary = result.summary(rule=ap_rule, resamples=bootstrap)
    each = result.per_class(ap_rule)
    show_methods(summary, result.main)
    show_comparisons(summary, result.main)
    show_classes(scorer.label_names, each, result.main)
    for path, reason in result.failed:
        console.print(f"not read: {path}: {reason}", markup=False, highlight=False)
    if result.unmatched:
        console.print(f"{len(result.unmatched)} images are not in the truth file and were left out")
    if result.absent:
        show_note(f"{len(result.absent)} images of {truth} are not among these, {result.absent[0]} for one")
    show_skipped(source.skipped)
    show_notes(summary["notes"])
    if out:
        numbers = {**summary, "ap": {m: dict(zip(scorer.label_names, v, strict=True)) for m, v in each.items()}}
        write_json(out, numbers)
    if result.failed:
        raise typer.Exit(INCOMPLETE)


def check_options(ap_rule: str, bootstrap: int | None) -> None:
    """Refuse what could not be measured, before any image is read."""
    from piaa.errors import InputError
    from piaa.evaluation.metrics.rules import rule_named

    rule_named(ap_rule)
    if bootstrap == 1:
        raise InputError("--bootstrap 1: an interval needs 2 resamples at least (1,000, say), or 0 for none")
