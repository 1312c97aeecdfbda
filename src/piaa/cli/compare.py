"""`piaa compare`: is one run better than another on the same images, or is it luck."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import output, shows_errors
from piaa.cli.evaluate import BOOTSTRAP_HELP, check_options
from piaa.cli.measures import p_value, show_absent, show_notes, signed


@shows_errors
def compare(
    first: Annotated[Path, typer.Argument(help="The baseline: a .parquet that 'piaa eval --scores' wrote.")],
    second: Annotated[Path, typer.Argument(help="The run to be judged, on the same truth file.")],
    method: Annotated[str | None, typer.Option(help="Only this method: piaa, cls, text_patch, paa or pvcl.")] = None,
    against: Annotated[str | None, typer.Option(help="The first run's method, if it is another than --method.")] = None,
    metric: Annotated[str | None, typer.Option(help="Another metric than mAP, by name.")] = None,
    ap_rule: options.ApRule = "torchmetrics",
    bootstrap: Annotated[int | None, typer.Option(min=2, help=BOOTSTRAP_HELP.replace("; 0 for none", ""))] = None,
    out: options.JsonOut = None,
) -> None:
    """Compare two runs on the same images: differences with intervals and p values, by method and by class."""
    from piaa.evaluation.comparison import class_rows, compare_methods, method_pairs
    from piaa.evaluation.metrics import AP_METRICS, classes_without_positives, metric_named
    from piaa.evaluation.score_tables import aligned, read_scores
    from piaa.files import check_place, write_json

    check_options(ap_rule, bootstrap)
    if out:
        check_place(out)
    name = metric or AP_METRICS[ap_rule]
    metric_named(name)
    baseline, run, notes = aligned(read_scores(first), read_scores(second))
    pairs = method_pairs(baseline, run, method, against)
    rows = compare_methods(baseline, run, pairs, name, bootstrap)
    theirs, ours = next((pair for pair in pairs if pair[1] == "piaa"), pairs[0])
    scores = baseline.scores[theirs], run.scores[ours]
    classes, over = class_rows(*scores, run.labels, run.label_names, ap_rule, bootstrap)
    show_runs(rows, len(run.paths))
    show_class_rows(classes, over, f"{ours} against {theirs}" if ours != theirs else ours)
    show_absent(classes_without_positives(run.labels, run.label_names))
    show_notes(notes)
    if out:
        write_json(out, {"images": len(run.paths), "methods": rows, "classes": classes, **over, "notes": notes})


def show_runs(rows: list[dict[str, Any]], images: int) -> None:
    """A table of the methods."""
    from rich.table import Table

    table = Table(
        "method", "metric", "first", "second", "difference", "95%", "p", title=f"Second - first, {images} images"
    )
    for row in rows:
        name = row["method"] if row["method"] == row["against"] else f"{row['method']} - {row['against']}"
        digits = 1 if row["percent"] else 4
        values = [f"{row[key]:.{digits}f}" for key in ("baseline", "value")]
        change = f"{row['difference']:+.{digits}f}"
        table.add_row(name, row["metric"], *values, change, signed(row, digits), p_value(row["p_value"]))
    output.print(table)


def show_class_rows(rows: list[dict[str, Any]], over: dict[str, Any], name: str) -> None:
    """A table of the classes, from the greatest gain to the greatest loss, and the tests over all of them."""
    from rich.table import Table

    table = Table("class", "images", "first", "second", "change", "95%", "p", "q", title=f"AP per class of {name}, %")
    for row in sorted(rows, key=lambda row: -row["difference"]):
        values = [f"{row[key]:.1f}" for key in ("baseline", "value")]
        tests = [p_value(row[key]) for key in ("p_value", "q_value")]
        change = f"{row['difference']:+.1f}"
        table.add_row(row["class"], str(row["positives"]), *values, change, signed(row), *tests)
    output.print(table)
    over_all = f"sign test p = {over['sign_p']:.3f}, Wilcoxon p = {over['wilcoxon_p']:.3f}"
    output.print(f"better in {over['wins']} classes, worse in {over['losses']}: {over_all}", highlight=False)
    few = sum(math.isnan(row["p_value"]) for row in rows)
    note = f"; {few} classes have too few images for an interval" if few else ""
    output.print(f"q is p corrected for the number of classes (Benjamini-Hochberg){note}", highlight=False)
