"""`piaa datasets`: what data sets are known; `piaa datasets check ROOT`: what is here, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from piaa.cli.console import console, output, shows_errors

if TYPE_CHECKING:
    from piaa.datasets import Check, SplitCheck

app = typer.Typer(help="Data sets with known labels: what is known, what is here.", add_completion=False)


@app.callback(invoke_without_command=True)
def datasets(context: typer.Context) -> None:
    """List the data sets that can be opened, by name and layout."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from piaa.datasets import DATASETS

    table = Table("name", "what", "classes", "learn from", "test", title="Data sets")
    table.add_column("layout", overflow="fold", ratio=1)
    for info in DATASETS.values():
        counts = [f"{count:,}" for count in info.counts] if info.counts else ["", ""]
        table.add_row(info.name, info.title, str(info.classes or ""), *counts, info.layout)
    output.print(table)
    output.print("piaa datasets check ROOT says which of them are in a folder (or in PIAA_DATA_DIR)", highlight=False)


@app.command("check")
@shows_errors
def check_command(
    root: Annotated[Path | None, typer.Argument(help="Folder of data sets.", envvar="PIAA_DATA_DIR")] = None,
    lists: Annotated[
        Path | None, typer.Option(help="Folder of the published split lists, to compare with image by image.")
    ] = None,
) -> None:
    """Say what was found in a folder, how it compares with the paper's, what is missing and how to get it.

    Exit code 1 where nothing was found.
    """
    from rich.table import Table

    from piaa.datasets import check, data_root

    with console.status("reading annotations"):
        results = check(data_root(root), lists)
    table = Table("data set", "split", "listed", "expected", "on disk", "published list")
    for result in results:
        state = "not found" if result.home is None else "not read" if result.problems else "found"
        for number, row in enumerate([_row(split) for split in result.splits] or [[state]]):
            table.add_row(result.info.title if number == 0 else "", *row)
    output.print(table)
    for result in results:
        _explain(result)
    if not any(result.home for result in results):
        raise typer.Exit(1)


def _row(split: SplitCheck) -> list[str]:
    expected = "" if split.expected is None else f"{split.expected:,}"
    there = f"{split.listed - len(split.missing):,}"
    return [split.split, f"{split.listed:,}", expected, there, str(split.agreement or "")]


def _explain(result: Check) -> None:
    """What the table has no room for: notes, problems, and what to get."""
    lines = [f"found in {result.home}"] if result.home else []
    lines += [*result.notes, *(f"problem: {problem}" for problem in result.problems)]
    for split in result.splits:
        if split.missing:
            lines.append(f"{split.split}: {len(split.missing):,} images are missing, such as {split.missing[0]}")
        if split.expected is not None and split.expected != split.listed:
            lines.append(
                f"{split.split}: {split.listed:,} images are listed, not {split.expected:,} ({result.info.counts_from})"
            )
    if result.to_get:
        lines.append(f"to get from {result.info.page}, and to lie as {result.info.layout}:")
        lines += [f"  {one.name}: {one.gives}, about {one.size}" for one in result.to_get]
    if result.whole and result.info.counts:
        lines.append("whole")
    if lines:
        output.print(f"\n{result.info.title}", style="bold", highlight=False)
    for line in lines:
        output.print(line, markup=False, highlight=False, soft_wrap=True)
