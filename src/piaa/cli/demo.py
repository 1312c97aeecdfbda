"""`piaa demo`: the whole of it on drawn scenes, from image files to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli.console import BATCH_HELP, ENGINE_HELP, SIZE_HELP, output, parse_size, progress_bars, shows_errors


@shows_errors
def demo(
    seed: Annotated[int, typer.Option(help="Other seeds draw other scenes.")] = 7,
    out: Annotated[Path, typer.Option(help="Folder for images, classifier, metrics and report.")] = Path("demo-output"),
    unlabelled: Annotated[int, typer.Option(min=1, help="Images to learn from.")] = 2000,
    test: Annotated[int, typer.Option(min=1, help="Images to evaluate on.")] = 2000,
    front_end: Annotated[
        str | None, typer.Option(help="clip, sclip, itaclip or sc-clip; else the model's own.")
    ] = None,
    model: Annotated[str, typer.Option(help="'embedded', an open_clip name, 'local-dir:PATH' or a path.")] = "embedded",
    pretrained: Annotated[
        str | None, typer.Option(help="Tag or checkpoint; 'random' for a trial without weights.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="default, or published-voc, -coco, -nus.")] = "default",
    image_size: Annotated[str | None, typer.Option(help=SIZE_HELP)] = None,
    resize: Annotated[str | None, typer.Option(help="shortest, squash or pad.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "eager",
    batch_size: Annotated[int, typer.Option(min=0, help=BATCH_HELP)] = 0,
) -> None:
    """Draw scenes, learn from the unlabelled ones, tag and evaluate the others, write metrics.json and report.html."""
    from piaa.cli.measures import show_comparisons, show_methods
    from piaa.report.demo import write_demo_report
    from piaa.scenes.demo import run_demo

    options: dict[str, Any] = {"model": model, "pretrained": pretrained, "front_end": front_end, "recipe": recipe}
    options |= {"image_size": parse_size(image_size), "resize": resize, "device": device, "precision": precision}
    options |= {"engine": engine, "batch_size": batch_size}
    with progress_bars() as stage:
        result = run_demo(out, seed, unlabelled=unlabelled, test=test, stage=stage, **options)
        write_demo_report(result, out / "report.html")
    summary = result.evaluation.summary()
    show_methods(summary)
    show_comparisons(summary)
    output.print(f"seconds: {result.metrics['seconds']}", highlight=False)
    output.print(f"open {out / 'report.html'} in a browser; numbers are in {out / 'metrics.json'}", highlight=False)
