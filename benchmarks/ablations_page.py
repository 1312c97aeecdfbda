"""Write the table of `piaa reproduce ablations` into its page, and the lists of what helps and what does not.

    for seed in 21 22 23; do piaa reproduce ablations --datasets scenes --seed $seed --image-size 128; done
    python benchmarks/ablations_page.py results docs/ablations.md

Everything between the two marks of the page is replaced.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from piaa.experiments.ablation_table import HARMS, HELPS, NEITHER, Line, ablation_lines
from piaa.experiments.results import Results, Row, latest
from piaa.experiments.spec import read_spec
from piaa.experiments.tables import build_table

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of the rows")
    parser.add_argument("page", type=Path, help="the page with the two marks")
    arguments = parser.parse_args()
    rows = [row for row in latest(Results(arguments.results).read()) if row.experiment == "ablations"]
    text = arguments.page.read_text(encoding="utf-8")
    if not rows or BEGIN not in text or END not in text:
        raise SystemExit(f"no rows of ablations in {arguments.results}, or no marks in {arguments.page}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    aside = arguments.page.with_name(arguments.page.name + ".partial")
    aside.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n{END}{after}", encoding="utf-8")
    os.replace(aside, arguments.page)


def table(rows: Sequence[Row]) -> str:
    """The table as Markdown, what it was measured on, and one list a verdict."""
    shown = build_table(read_spec("ablations"), rows)
    lines = [f"| {' | '.join(shown.header)} |", "|---" * len(shown.header) + "|"]
    lines += [f"| {' | '.join(cells)} |" for cells in shown.lines]
    front_end = next(row.front_end for row in rows if row.row == "default")
    seeds = sorted({row.parameter.removeprefix("seed=") for row in rows if row.parameter})
    lines += ["", *shown.notes, f"The default's front-end: {front_end}. Seeds: {', '.join(seeds) or 'none'}."]
    measured = ablation_lines(rows)
    lines += [
        "",
        *(f"**{verdict.capitalize()}:** {listed(measured, verdict)}.\n" for verdict in (HELPS, NEITHER, HARMS)),
    ]
    return "\n".join(lines)


def listed(lines: Sequence[Line], verdict: str) -> str:
    """The variants of a verdict, each with its difference."""
    names = [
        f"{line.variant} ({line.difference.value:+.1f})"
        for line in lines
        if line.verdict == verdict and line.variant != "default"
    ]
    return "; ".join(names) or "none"


if __name__ == "__main__":
    main()
