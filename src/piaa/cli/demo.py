"""`piaa demo`: the whole of it on drawn scenes, from image files to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from piaa.cli.console import output, progress_bars, shows_errors


@shows_errors
def demo(
    seed: Annotated[int, typer.Option(help="Other seeds draw other scenes.")] = 7,
    out: Annotated[Path, typer.Option(help="Folder for images, classifier, metrics and report.")] = Path("demo-output"),
    unlabelled: Annotated[int, typer.Option(min=1, help="Images to learn from.")] = 2000,
    test: Annotated[int, typer.Option(min=1, help="Images to evaluate on.")] = 2000,
    front_end: Annotated[str, typer.Option(help="clip, sclip, itaclip or sc-clip.")] = "sc-clip",
) -> None:
    """Draw scenes, learn from the unlabelled ones, tag and evaluate the others, write metrics.json and report.html."""
    from piaa.cli.measures import show_comparisons, show_methods
    from piaa.demo import run_demo
    from piaa.report.demo import write_demo_report

    with progress_bars() as stage:
        result = run_demo(out, seed, unlabelled=unlabelled, test=test, stage=stage, front_end=front_end)
        write_demo_report(result, out / "report.html")
    summary = result.evaluation.summary()
    show_methods(summary)
    show_comparisons(summary)
    output.print(f"seconds: {result.metrics['seconds']}", highlight=False)
    output.print(f"open {out / 'report.html'} in a browser; numbers are in {out / 'metrics.json'}", highlight=False)
