"""Tables of what was measured, for `piaa eval`, `piaa demo` and `piaa compare`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from piaa.cli.console import output, show_note

SIX = ("cp", "cr", "cf1", "op", "or", "of1")


def span(ends: Mapping[str, float] | None) -> str:
    """`22.8 to 25.6`, or nothing."""
    return f"{ends['low']:.1f} to {ends['high']:.1f}" if ends else ""


def show_methods(summary: dict[str, Any], main: str = "piaa") -> None:
    """Tables of mAP by method and size, with intervals and registered metrics, and of F1 of the method `main`."""
    from rich.table import Table

    from piaa.evaluation.evaluate import method_title

    sizes, own = list(next(iter(summary["by_size"].values()))), summary["metrics"]
    rule = "" if summary["rule"] == "torchmetrics" else f" by {summary['rule']}"
    spans = ["95%"] if summary["intervals"] else []
    table = Table("method", "mAP", *spans, *sizes, *own, title=f"mAP{rule} on {summary['images']} images, %")
    for method, value in summary["map"].items():
        row = [span(summary["intervals"][method])] if spans else []
        row += [f"{summary['by_size'][method][size]:.1f}" for size in sizes]
        table.add_row(method_title(method), f"{value:.1f}", *row, *(f"{own[name][method]:.4g}" for name in own))
    output.print(table)
    marks = Table(
        "labels decided by", *(key.upper() for key in SIX), title=f"F1 of {method_title(main, short=True)}'s labels, %"
    )
    for name, f1 in summary["f1"].items():
        marks.add_row(name, *(f"{f1[key]:.1f}" for key in SIX))
    for method in (main, *(name for name in ("text_patch", "cls") if name in summary["top3"])):
        name = "the 3 best" if method == main else f"the 3 best of {method_title(method)}"
        marks.add_row(name, *(f"{summary['top3'][method][key]:.1f}" for key in SIX))
    output.print(marks)
    for name, ends in summary["f1_intervals"].items():
        text = f"{name}: CF1 {span(ends['cf1'])}, OF1 {span(ends['of1'])} (95%)"
        output.print(text, highlight=False)


def show_comparisons(summary: dict[str, Any], main: str = "piaa") -> None:
    """A table of the mAP of the method `main` against the baselines, if there are intervals."""
    from rich.table import Table

    from piaa.evaluation.evaluate import method_title

    if not summary["comparisons"]:
        return
    table = Table(
        f"{method_title(main, short=True)} against",
        "difference",
        "95%",
        "p",
        title="Paired on the same images, mAP, points",
    )
    for found in summary["comparisons"]:
        name = method_title(found["baseline"])
        table.add_row(name, f"{found['difference']:+.1f}", signed(found), p_value(found["p_value"]))
    output.print(table)


def signed(ends: Mapping[str, float], digits: int = 1) -> str:
    """`-0.8, +1.6`, or nothing where there is no interval."""
    return "" if math.isnan(ends["low"]) else f"{ends['low']:+.{digits}f}, {ends['high']:+.{digits}f}"


def p_value(value: float) -> str:
    """Three digits, or nothing where there is none."""
    return "" if math.isnan(value) else f"{value:.3f}"


def show_classes(names: list[str], each: dict[str, list[float]], main: str = "piaa") -> None:
    """A table of AP per class, best first by `main`; classes without positives are named below it."""
    from rich.table import Table

    from piaa.evaluation.evaluate import method_title

    shown = [m for m in ("cls", "text_patch", main) if m in each]
    table = Table("class", *(method_title(m, short=True) for m in shown), title="AP per class, %")
    present = [c for c in range(len(names)) if not math.isnan(each[main][c])]
    for c in sorted(present, key=lambda c: -each[main][c]):
        table.add_row(names[c], *(f"{each[m][c]:.1f}" for m in shown))
    output.print(table)
    show_absent([name for c, name in enumerate(names) if c not in present])


def show_absent(names: list[str]) -> None:
    """The classes without positives."""
    if names:
        output.print(f"no image has: {', '.join(names)} (left out of the means)", markup=False, highlight=False)


def show_notes(notes: Iterable[str]) -> None:
    """What the user should be told."""
    for note in notes:
        show_note(note)
