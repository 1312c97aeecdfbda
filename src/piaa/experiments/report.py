"""`piaa report`: the results beside the paper, as Markdown, HTML and LaTeX, with the figures as PNG and SVG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader

from piaa.experiments.figures import Drawn, draw_figures
from piaa.experiments.results import Results, Row, latest
from piaa.experiments.spec import read_spec, spec_names
from piaa.experiments.tables import Table, build_table
from piaa.files import claim_folder, write_text

TITLE = "PIAA: the paper's tables and figures, measured again"
ABOUT = (
    "The paper's figures are cited from arXiv 2605.25821v1; ours come from `piaa reproduce`, with a 95% bootstrap "
    "interval over the test images in brackets. Lines with numbers of ours are set off. A column called scenes was "
    "measured on the embedded benchmark, on drawn scenes, and is not to be compared with the paper's columns."
)
FORMATS = ("md", "html", "tex")
FIGURES = ("sweep", "maps", "retained")


def write_report(results: str | os.PathLike[str], out: str | os.PathLike[str]) -> list[Path]:
    """Render every experiment that has rows.

    Args:
        results: the folder that `piaa reproduce` wrote.
        out: folder for `report.md`, `report.html`, `report.tex` and the figures.

    Returns:
        The files written.

    Raises:
        InputError: there are no results, or `out` cannot be written.
    """
    stored, target = Results(results), Path(out)
    rows = latest(stored.read())
    claim_folder(target, "piaa report")
    tables, figures = _contents(rows, stored.folder, target)
    written = []
    for ending in FORMATS:
        path = target / f"report.{ending}"
        write_text(path, _render(ending, tables, figures))
        written.append(path)
    return written + [target / figure.png for figure in figures]


def _contents(rows: Sequence[Row], results: Path, out: Path) -> tuple[list[Table], list[Drawn]]:
    tables, figures = [], []
    for name in spec_names():
        own = [row for row in rows if row.experiment == name]
        spec = read_spec(name)
        if own and spec.kind in FIGURES:
            figures += draw_figures(spec, own, results, out)
        elif own:
            tables.append(build_table(spec, own))
    return tables, figures


def _render(ending: str, tables: list[Table], figures: list[Drawn]) -> str:
    environment = Environment(
        loader=PackageLoader("piaa.experiments"),
        autoescape=ending == "html",
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["zip"] = zip
    environment.filters["tex"] = _tex
    template = environment.get_template(f"report.{ending}.j2")
    return template.render(title=TITLE, about=ABOUT, tables=tables, figures=figures)


def _tex(text: str) -> str:
    for plain, escaped in (("\\", r"\textbackslash "), *((c, f"\\{c}") for c in "&%$#_{}")):
        text = text.replace(plain, escaped)
    return text
