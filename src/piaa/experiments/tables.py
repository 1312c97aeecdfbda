"""Rows become tables: the paper's figure, ours and the difference, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from piaa.experiments.ablation_table import ablation_cells, over_seeds
from piaa.experiments.paper import paper_figures
from piaa.experiments.results import Row
from piaa.experiments.spec import PAPER_DATASETS, Spec

RATIO = "test time, PIAA = 1"
LEARNING = "learning time, PIAA = 1"
SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Table:
    """A table ready to be written in any format.

    Attributes:
        name: `table3`.
        title: in words.
        header: of each column.
        lines: cells as text; the first is the line's name.
        ours: for each line, whether it has a number that was measured here.
        notes: what was measured on what.
    """

    name: str
    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    ours: tuple[bool, ...]
    notes: tuple[str, ...]


def build_table(spec: Spec, rows: Sequence[Row]) -> Table:
    """The table of an experiment from its rows."""
    build = {
        "scale": _scale_table,
        "systems": _systems_table,
        "timing": _timing_table,
        "ablations": _ablation_table,
    }.get(spec.kind, _methods_table)
    header, lines = build(spec, rows)
    mine = [place for place, name in enumerate(header) if name.endswith("ours")]
    ours = tuple(not mine or any(line[place] for place in mine) for line in lines)
    return Table(spec.name, spec.title, header, lines, ours, notes(rows))


def notes(rows: Iterable[Row]) -> tuple[str, ...]:
    """One sentence for each data set: what was measured with which models, software and commits."""
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(row.dataset, []).append(row)
    return tuple(f"{_dataset_title(dataset)}: {_provenance(own)}." for dataset, own in of.items())


def _provenance(rows: Sequence[Row]) -> str:
    models = _several("", [f"{row.model} {row.pretrained}".strip() for row in rows])
    front_ends = _several("front-end", [row.front_end for row in rows if row.experiment != "table3"])
    recipes = _several("recipe", [row.recipe for row in rows])
    commits = _several("commit", [row.commit for row in rows])
    software = " and ".join(sorted({row.versions for row in rows}))
    seeds = _several("seed", [row.parameter.removeprefix("seed=") for row in rows if row.parameter.startswith("seed=")])
    parts = [f"measured on {rows[-1].images} test images with {models}", seeds, front_ends, recipes, software, commits]
    return ", ".join(part for part in parts if part)


def _several(what: str, values: Sequence[str]) -> str:
    """`front-ends clip and sclip`; empty without any value."""
    known = sorted({value for value in values if value})
    plural = "s" if len(known) > 1 else ""
    return f"{what}{plural if what else ''} {' and '.join(known)}".strip() if known else ""


def _dataset_title(name: str) -> str:
    return "scenes (the embedded benchmark, drawn scenes)" if name == "scenes" else name


def _datasets(rows: Sequence[Row]) -> list[str]:
    met = list(dict.fromkeys(row.dataset for row in rows))
    return [name for name in PAPER_DATASETS if name in met] + [name for name in met if name not in PAPER_DATASETS]


Cells = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]


def _methods_table(spec: Spec, rows: Sequence[Row]) -> Cells:
    """Lines of the paper and ours; for each data set the paper's figure, ours with its interval, the difference."""
    paper = paper_figures(spec.paper)
    measured = {(row.row, row.dataset): row for row in rows if row.metric == "mAP"}
    datasets = _datasets(rows)
    names = list(dict.fromkeys([*paper, *(row.row for row in rows)]))
    header = ["mAP, %"]
    for dataset in dict.fromkeys([*(PAPER_DATASETS if paper else ()), *datasets]):
        header += [f"{dataset} paper"] if dataset in PAPER_DATASETS else []
        header += [f"{dataset} ours"] if dataset in datasets else []
        header += [f"{dataset} difference"] if dataset in datasets and dataset in PAPER_DATASETS else []
    extra = sorted({row.metric for row in rows} - {"mAP"})
    header += [f"{dataset} {metric}" for dataset in datasets for metric in extra]
    others = {(row.row, row.dataset, row.metric): row.value for row in rows}
    lines = []
    for name in names:
        cells = [name]
        for column in header[1:]:
            dataset, _, what = column.partition(" ")
            theirs, mine = paper.get(name, {}).get(dataset), measured.get((name, dataset))
            known = {"paper": _number(theirs), "ours": _with_interval(mine)}
            known["difference"] = _signed(mine.value - theirs) if mine and theirs is not None else ""
            digits = 2 if what.endswith("minutes") else 1
            cells.append(known[what] if what in known else _number(others.get((name, dataset, what)), digits))
        lines.append(tuple(cells))
    return tuple(header), tuple(lines)


def _systems_table(spec: Spec, rows: Sequence[Row]) -> Cells:
    """As `_methods_table`; a line that was measured on several seeds has their mean and its interval over seeds."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.row, row.dataset, row.metric), []).append(row)
    return _methods_table(spec, [_over_seeds(own) for own in groups.values()])


def _over_seeds(rows: Sequence[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    values = [row.value for row in rows]
    lows = [row.value if row.low is None else row.low for row in rows]
    highs = [row.value if row.high is None else row.high for row in rows]
    found = over_seeds(values, lows, highs)
    bare = rows[0].low is None
    low, high = (None, None) if bare else (found.low, found.high)
    return replace(rows[-1], value=found.value, low=low, high=high, parameter="")


def _scale_table(spec: Spec, rows: Sequence[Row]) -> Cells:
    """One line a class or size; for each method the paper's figure and ours."""
    paper = paper_figures(spec.paper)
    methods = [run.row for run in spec.runs]
    header = ["AP, %", *(f"{m} paper" for m in methods), *(f"{m} ours" for m in methods)]
    lines: dict[str, tuple[str, ...]] = {}
    for name, cells in paper.items():
        lines[name.replace(" ", "").lower()] = (name, *(_number(cells.get(m)) for m in methods), *[""] * len(methods))
    order = {size: number for number, size in enumerate(SIZES)}
    for row in sorted(rows, key=lambda row: order.get(row.parameter, 0)):
        by_size = row.metric == "mAP by size"
        name = (
            f"{row.dataset} {row.parameter} objects" if by_size else f"{row.dataset} {row.metric.removeprefix('AP ')}"
        )
        key = name.replace(" ", "").lower()
        line = list(lines.setdefault(key, (name, *[""] * 2 * len(methods))))
        line[1 + len(methods) + methods.index(row.row)] = _number(row.value)
        lines[key] = tuple(line)
    return tuple(header), tuple(lines.values())


def _timing_table(spec: Spec, rows: Sequence[Row]) -> Cells:
    """A line a data set: the paper's minutes, ours, the encoder's share; then one a method, in units of PIAA's."""
    paper = paper_figures(spec.paper)
    minutes = [row for row in rows if row.metric not in (RATIO, LEARNING)]
    metrics = list(dict.fromkeys(row.metric for row in minutes))
    columns = list(next(iter(paper.values()), {}))
    header = (
        "minutes",
        *(f"{column} (paper)" for column in columns),
        *(f"{metric}, ours" for metric in metrics),
        RATIO,
        LEARNING,
    )
    value = {(row.dataset, row.metric): row.value for row in minutes}
    lines = []
    for dataset in dict.fromkeys([*paper, *_datasets(minutes)]):
        theirs = [_number(paper.get(dataset, {}).get(column)) for column in columns]
        mine = [_number(value.get((dataset, metric)), 2) for metric in metrics]
        lines.append((dataset, *theirs, *mine, "", ""))
    blank = [""] * (len(header) - 3)
    for method, step in (("TagCLIP", "test"), ("CCD", "learning")):
        for dataset, cells in paper.items():
            theirs_of, own = cells.get(f"{method} {step}"), cells.get(f"PIAA {step}")
            if theirs_of and own:
                shown = _number(theirs_of / own)
                pair = (shown, "") if step == "test" else ("", shown)
                lines.append((f"{dataset}: {method}, in the paper", *blank, *pair))
    for row in rows:
        if row.metric in (RATIO, LEARNING):
            what, _, number = row.parameter.partition("=")
            name, shown = f"{row.dataset}: {row.row}, {number} {what}, ours", _with_interval(row)
            lines.append((name, *blank, *((shown, "") if row.metric == RATIO else ("", shown))))
    return header, tuple(lines)


def _ablation_table(spec: Spec, rows: Sequence[Row]) -> Cells:
    """One line a variant: its difference to the method as it is, over all seeds."""
    return ablation_cells(rows)


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _signed(value: float) -> str:
    return f"{value:+.1f}"


def _with_interval(row: Row | None) -> str:
    if row is None:
        return ""
    return (
        f"{row.value:.1f}"
        if row.low is None or row.high is None
        else f"{row.value:.1f} [{row.low:.1f}, {row.high:.1f}]"
    )
