"""`piaa eval`: measure a classifier on images with known labels."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli.console import BATCH_HELP, ENGINE_HELP, console, progress_bars, shows_errors
from piaa.cli.measures import show_classes, show_comparisons, show_methods, show_notes

BOOTSTRAP_HELP = "Resamples for intervals and p values; 0 for none. Without it 1,000, or 200 above 20,000 images."
RULE_HELP = "How AP is taken: torchmetrics (as published), voc2007 (11 points) or voc2010 (monotone area)."


@shows_errors
def evaluate(
    images: Annotated[str, typer.Argument(help="Folder (nested), file or glob of test images.")],
    classifier: Annotated[Path, typer.Option(help="A file that 'piaa fit' wrote.")],
    truth: Annotated[Path, typer.Option(help="CSV (path,labels) or JSON lines with the true labels.")],
    out: Annotated[Path | None, typer.Option(help="Write all numbers to this JSON file.")] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Write scores and truth of every image to this .parquet, for 'piaa compare'.")
    ] = None,
    ap_rule: Annotated[str, typer.Option(help=RULE_HELP)] = "torchmetrics",
    bootstrap: Annotated[int | None, typer.Option(min=0, help=BOOTSTRAP_HELP)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "eager",
    batch_size: Annotated[int, typer.Option(min=0, help=BATCH_HELP)] = 0,
    workers: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Measure mAP with its interval, per-class AP and F1, beside what the method is made of."""
    from piaa.evaluation.evaluate import evaluate as run
    from piaa.evaluation.score_tables import ScoreTable, check_score_file, write_scores
    from piaa.evaluation.truth import read_truth
    from piaa.jobs.tables import check_place
    from piaa.recognizer import Recognizer

    check_options(ap_rule, bootstrap)
    if out:
        check_place(out)
    if scores:
        check_score_file(scores)
    recognizer = Recognizer.load(classifier, device=device, engine=engine, batch_size=batch_size, workers=workers)
    scorer = recognizer.scorer()
    known = read_truth(truth, scorer.label_names)
    options = {"batch_size": scorer.setup.decoded_together, "workers": workers}
    with progress_bars() as stage:
        result = run(scorer, images, known, progress=stage("scoring"), **options)
    if scores:
        write_scores(scores, ScoreTable(result.keys, scorer.label_names, result.labels, result.scores, result.decided))
    summary = result.summary(rule=ap_rule, resamples=bootstrap)
    each = result.per_class(ap_rule)
    show_methods(summary)
    show_comparisons(summary)
    show_classes(scorer.label_names, each)
    for path, reason in result.failed:
        console.print(f"not read: {path}: {reason}", markup=False, highlight=False)
    if result.unmatched:
        console.print(f"{len(result.unmatched)} images are not in the truth file and were left out")
    show_notes(summary["notes"])
    if out:
        numbers = {**summary, "ap": {m: dict(zip(scorer.label_names, v, strict=True)) for m, v in each.items()}}
        write_json(out, numbers)


def check_options(ap_rule: str, bootstrap: int | None) -> None:
    """Refuse what could not be measured, before any image is read."""
    from piaa.errors import InputError
    from piaa.evaluation.metrics.rules import rule_named

    rule_named(ap_rule)
    if bootstrap == 1:
        raise InputError("--bootstrap 1: an interval needs 2 resamples at least (1,000, say), or 0 for none")


def write_json(path: Path, numbers: dict[str, Any]) -> None:
    """Numbers to a file, whole or not at all."""
    from piaa.jobs.common import writing

    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        aside.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
        os.replace(aside, path)
