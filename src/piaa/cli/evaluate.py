"""`piaa eval`: measure a classifier on images with known labels."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli.console import console, output, progress_bars, shows_errors


@shows_errors
def evaluate(
    images: Annotated[str, typer.Argument(help="Folder (nested), file or glob of test images.")],
    classifier: Annotated[Path, typer.Option(help="A file that 'piaa fit' wrote.")],
    truth: Annotated[Path, typer.Option(help="CSV (path,labels) or JSON lines with the true labels.")],
    out: Annotated[Path | None, typer.Option(help="Write all numbers to this JSON file.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    workers: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Measure mAP, per-class AP and F1, beside what the method is made of."""
    from piaa.evaluate import evaluate as run
    from piaa.recognizer import Recognizer
    from piaa.truth import read_truth

    recognizer = Recognizer.load(classifier, device=device, batch_size=batch_size, workers=workers)
    scorer = recognizer.scorer()
    known = read_truth(truth, scorer.label_names)
    with progress_bars() as stage:
        result = run(
            scorer,
            recognizer.text_scales(),
            images,
            known,
            batch_size=batch_size,
            workers=workers,
            progress=stage("scoring"),
        )
    summary = result.summary()
    show_methods(summary)
    each = result.per_class()
    show_classes(scorer.label_names, each)
    for path, reason in result.failed:
        console.print(f"not read: {path}: {reason}", markup=False, highlight=False)
    if result.unmatched:
        console.print(f"{len(result.unmatched)} images are not in the truth file and were left out")
    if out:
        numbers = {**summary, "ap": {m: dict(zip(scorer.label_names, v, strict=True)) for m, v in each.items()}}
        out.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def show_methods(summary: dict[str, Any]) -> None:
    """Tables of mAP by method and size, and of F1."""
    from rich.table import Table

    from piaa.evaluate import METHOD_NAMES

    sizes = list(next(iter(summary["by_size"].values())))
    table = Table("method", "mAP", *sizes, title=f"mAP on {summary['images']} images, %")
    for method, value in summary["map"].items():
        row = [f"{summary['by_size'][method][size]:.1f}" for size in sizes]
        table.add_row(METHOD_NAMES[method], f"{value:.1f}", *row)
    output.print(table)
    marks = Table("labels decided by", "CF1", "OF1", "precision", "recall", title="F1 of PIAA's labels, %")
    for name, f1 in summary["f1"].items():
        marks.add_row(name, *(f"{f1[key]:.1f}" for key in ("cf1", "of1", "op", "or")))
    output.print(marks)


def show_classes(names: list[str], each: dict[str, list[float]]) -> None:
    """A table of AP per class, best first; classes without positives are named below it."""
    from rich.table import Table

    table = Table("class", "[CLS]", "text patches", "PIAA", title="AP per class, %")
    present = [c for c in range(len(names)) if not math.isnan(each["piaa"][c])]
    for c in sorted(present, key=lambda c: -each["piaa"][c]):
        table.add_row(names[c], *(f"{each[m][c]:.1f}" for m in ("cls", "text_patch", "piaa")))
    output.print(table)
    absent = [name for c, name in enumerate(names) if c not in present]
    if absent:
        output.print(f"no image has: {', '.join(absent)} (left out of the means)", highlight=False)
