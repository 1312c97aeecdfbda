"""`piaa demo`: the whole of it on drawn scenes, from image files to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import output, progress_bars, show_weights, shows_errors


@shows_errors
def demo(
    seed: options.Seed = 7,
    out: Annotated[Path, typer.Option(help="Folder for images, classifier, metrics and report.")] = Path("demo-output"),
    unlabelled: Annotated[int, typer.Option(min=1, help="Images to learn from.")] = 2000,
    test: Annotated[int, typer.Option(min=1, help="Images to evaluate on.")] = 2000,
    front_end: options.FrontEnd = None,
    model: options.Model = "embedded",
    pretrained: options.Pretrained = None,
    recipe: options.RecipeName = "default",
    image_size: options.ImageSize = None,
    resize: options.Resize = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    engine: options.EngineName = "eager",
    batch_size: options.BatchSize = 0,
) -> None:
    """Draw scenes, learn from the unlabelled ones, tag and evaluate the others, write metrics.json and report.html."""
    from piaa.cli.measures import show_comparisons, show_methods
    from piaa.report.demo import write_demo_report
    from piaa.scenes.demo import run_demo

    given: dict[str, Any] = {"model": model, "pretrained": pretrained, "front_end": front_end, "recipe": recipe}
    given |= {"image_size": options.parse_size(image_size), "resize": resize, "device": device}
    given |= {"precision": precision, "engine": engine, "batch_size": batch_size}
    with progress_bars() as stage:
        result = run_demo(out, seed, unlabelled=unlabelled, test=test, stage=stage, **given)
        write_demo_report(result, out / "report.html")
    show_weights(result.learner.setup.model)
    summary = result.evaluation.summary()
    show_methods(summary)
    show_comparisons(summary)
    output.print(f"seconds: {result.metrics['seconds']}", highlight=False)
    text = f"open {out / 'report.html'} in a browser; numbers are in {out / 'metrics.json'}"
    output.print(text, markup=False, highlight=False)
