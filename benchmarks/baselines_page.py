"""Write what `piaa reproduce table1 table5` measured into the page of the other systems.

    piaa reproduce table1 table5 --datasets scenes --seed 51 --images 500
    python benchmarks/baselines_page.py results docs/baselines.md

Everything between the two marks of the page is replaced.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from piaa.experiments.results import Results, Row, latest
from piaa.experiments.spec import read_spec
from piaa.experiments.tables import Table, build_table
from piaa.files import write_text

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
EXPERIMENTS = ("table1", "table5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of the rows")
    parser.add_argument("page", type=Path, help="the page with the two marks")
    arguments = parser.parse_args()
    text = arguments.page.read_text(encoding="utf-8")
    rows = latest(Results(arguments.results).read())
    if BEGIN not in text or END not in text:
        raise SystemExit(f"no marks in {arguments.page}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_text(arguments.page, f"{before}{BEGIN}\n\n{tables(rows)}\n{END}{after}")


def tables(rows: Sequence[Row]) -> str:
    """Both tables as Markdown, columns and lines without a number of ours left out."""
    parts = []
    for name in EXPERIMENTS:
        own = [row for row in rows if row.experiment == name]
        if own:
            parts += [shown(build_table(read_spec(name), own)), ""]
    return "\n".join(parts)


def shown(table: Table) -> str:
    """Lines measured here; what the paper has of them stays beside."""
    lines = [line for line, ours in zip(table.lines, table.ours, strict=True) if ours or line[-1] or line[-2]]
    kept = [place for place in range(len(table.header)) if any(line[place] for line in lines)]
    cells = [[row[place] for place in kept] for row in (table.header, *lines)]
    head, *body = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([head, "|---" * len(kept) + "|", *body, "", *table.notes])


if __name__ == "__main__":
    main()
