"""`ReportData` to one self-contained HTML page."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined
from markupsafe import Markup

from piaa.errors import InputError
from piaa.files import write_text
from piaa.report import pictures, reasons
from piaa.report.data import ClassRow, GalleryImage, LabelCall, MethodRow, ReportData, State

SIZES = ("small", "medium", "large")
STATES: dict[State, tuple[str, str]] = {"right": ("✓", "right"), "wrong": ("✕", "wrong"), "missed": ("○", "missed")}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def build_report(data: ReportData) -> str:
    """The page: no scripts, no links to anything outside it; every text escaped.

    Raises:
        InputError: when there is no method to report on.
    """
    if not data.methods:
        raise InputError("a report needs at least one row of methods")
    page = _template().render(
        data=data,
        css=Markup(resource("report.css")),
        ours=_ours(data),
        baseline=next((row for row in data.methods if row.role == "baseline"), None),
        best={column: _best(data.methods, column) for column in ("map", "cf1", "of1", *SIZES)},
        has={c: any(_known(getattr(row, c)) for row in data.methods) for c in ("cf1", "of1", *SIZES)},
        sizes=SIZES,
        classes=sorted(data.classes, key=_class_rank),
        states=STATES,
    )
    return printable_page(page)


def write_report(data: ReportData, path: str | Path) -> Path:
    """Write the page under its name, whole or not at all.

    Raises:
        InputError: when the place cannot be written to, or as `build_report`.
    """
    target = Path(path)
    page = build_report(data)
    write_text(target, page)
    return target


def printable_page(page: str) -> str:
    """A page without the characters that HTML cannot hold."""
    return _UNPRINTABLE.sub("\ufffd", page)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage without its sign; a dash where nothing was measured."""
    return f"{100 * value:.{digits}f}" if value is not None and math.isfinite(value) else "–"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def _ours(data: ReportData) -> MethodRow:
    return next((row for row in data.methods if row.role == "ours"), data.methods[-1])


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _best(rows: tuple[MethodRow, ...], column: str) -> float | None:
    values = [value for row in rows if _known(value := getattr(row, column))]
    return max(values, default=None)


def _class_rank(row: ClassRow) -> tuple[float, str]:
    return (-row.piaa if row.piaa is not None and math.isfinite(row.piaa) else math.inf), row.name


def _tally(entry: GalleryImage) -> str:
    counts = Counter(call.state for call in entry.labels)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no labels"


def _ordered(entry: GalleryImage) -> list[LabelCall]:
    """Right, missed, wrong; the surest first in each."""
    return sorted(entry.labels, key=lambda call: (("right", "missed", "wrong").index(call.state), -call.score))


def resource(name: str) -> str:
    """A style sheet or a template of this package."""
    return (resources.files("piaa.report") / name).read_text(encoding="utf-8")


@lru_cache
def _template() -> Any:
    environment = Environment(
        loader=BaseLoader(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "duration": duration}
    environment.tests["known"] = _known
    environment.globals.update(
        data_uri=pictures.data_uri,
        heat_uri=pictures.heat_uri,
        patch_context=pictures.patch_context,
        photo_side=pictures.PHOTO_SIDE,
        reason=reasons.reason,
        tally=_tally,
        ordered=_ordered,
    )
    return environment.from_string(resource("report.html.j2"))
