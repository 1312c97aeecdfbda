"""`piaa reproduce`: the paper's tables and figures, measured again; `piaa report`: rendered beside the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import console, output, progress_bars, shows_errors

ROOT = Path(".piaa")

MOST_NAMED = 8
"""Lines that a plan names one by one."""


@shows_errors
def reproduce(
    experiments: Annotated[
        list[str], typer.Argument(help="table1 ... table6, figure1, figure4, figure5, figure6, or all.")
    ],
    datasets: Annotated[str, typer.Option(help="scenes, or VOC07,VOC12,COCO,NUS, separated by commas.")] = "scenes",
    data: Annotated[Path | None, typer.Option(help="Root folder of the data sets; default $PIAA_DATA_DIR.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the rows.")] = Path("results"),
    features: Annotated[Path, typer.Option(help="Folder of stored embeddings.")] = ROOT / "features",
    rows: Annotated[list[str] | None, typer.Option(help="Only lines like this, such as 'EVA-02*'; repeatable.")] = None,
    model: Annotated[str | None, typer.Option(help="In place of every line's model.")] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="In place of every line's weights; 'random' needs none.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="default, published (the data set's own), or any by name.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels; else as trained, as the paper.")] = None,
    quality: options.StoredQuality = None,
    resize: options.Resize = None,
    images: Annotated[int, typer.Option(min=0, help="At most so many of each split; 0: all (scenes: 2,000).")] = 0,
    seed: options.Seed = 7,
    seeds: Annotated[
        int, typer.Option(min=0, help="Scenes of so many seeds, from --seed on; 0: as the experiment says (table1: 3).")
    ] = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    engine: options.EngineName = None,
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    again: Annotated[bool, typer.Option("--again", help="Measure what is in the results once more.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare the checksums of stored embeddings.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would run, and what disk it takes.")] = False,
) -> None:
    """Measure tables and figures of the paper. What is measured already is not measured again."""
    from piaa.experiments.choose import choose_datasets, choose_specs, more_seeds
    from piaa.experiments.runner import Place
    from piaa.experiments.runner import reproduce as run
    from piaa.setups import one_size

    one_size(quality)  # before anything is drawn
    with progress_bars() as stage:
        chosen = choose_datasets(datasets.split(","), data, ROOT / "scenes", seed, images, stage)
        specs = choose_specs(experiments, chosen, rows or [], model=model, pretrained=pretrained, recipe=recipe)
        place = Place(
            results, features, device, precision, image_size, resize, batch_size, workers, verify, engine, quality
        )
        if plan:
            _show_plan(specs, chosen, place)
        _show_costs(specs, chosen, place)
        if plan:
            return
        new: list[Any] = []
        for spec in specs:
            all_seeds = more_seeds(spec, chosen, ROOT / "scenes", images, seeds, stage)
            new += run(spec, all_seeds, place, stage, again)
    _show_rows(new)
    text = f"{len(new)} new rows in {results}; see them beside the paper's: piaa report {results}"
    console.print(text, markup=False, highlight=False)


@shows_errors
def report(
    results: Annotated[Path, typer.Argument(help="Folder that 'piaa reproduce' wrote.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the pages and figures; default RESULTS/report.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Also write all rows to this Parquet file.")] = None,
) -> None:
    """Render results beside the paper's figures: Markdown, HTML, LaTeX; figures as PNG and SVG."""
    from piaa.experiments.report import write_report
    from piaa.experiments.results import Results

    for path in write_report(results, out or results / "report"):
        output.print(str(path), markup=False, highlight=False)
    if parquet:
        Results(results).to_parquet(parquet)
        output.print(str(parquet), markup=False, highlight=False)


def _show_rows(rows: list[Any]) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table("experiment", "line", "data set", "metric", "value", "95% interval")
    for row in rows:
        interval = "" if row.low is None else f"{row.low:.1f} to {row.high:.1f}"
        metric = f"{row.metric} {row.parameter}".strip()
        table.add_row(row.experiment, row.row, row.dataset, metric, f"{row.value:.2f}", interval)
    output.print(table)


def _show_costs(specs: list[Any], datasets: list[Any], place: Any) -> None:
    """What table 1 costs on a GPU in the paper's own setting, data set by data set; of drawn scenes nothing."""
    from piaa.experiments.choose import SCENES
    from piaa.experiments.estimates import Gpu, table_costs
    from piaa.experiments.runner import jobs

    gpu = Gpu()
    for spec in (spec for spec in specs if spec.kind == "systems"):
        for dataset in (dataset for dataset in datasets if dataset.name != SCENES):
            _show_cost_table(f"{spec.name} on {dataset.name}", table_costs(list(jobs(spec, [dataset], place))), gpu)


def _show_cost_table(title: str, costs: list[Any], gpu: Any) -> None:
    from rich.table import Table

    table = Table(
        "line", "network", "images", "epochs", "steps", "GFLOP a step", "hours to learn", "hours to test",
        title=f"{title}, as published: {gpu.name}, {gpu.used:.0%} of {gpu.peak / 1e12:.0f} TFLOP/s (assumed)",
    )  # fmt: skip
    for cost in costs:
        hours = (gpu.hours(cost.learning), gpu.hours(cost.test))
        table.add_row(
            cost.row, cost.network, f"{cost.images:,}", str(cost.epochs), f"{cost.steps:,}", f"{cost.step / 1e9:,.0f}",
            *(f"{value:.3f}" for value in hours),
        )  # fmt: skip
    output.print(table)
    output.print(
        "Forward and backward passes alone: no decoding, no disk. The trained lines are those of 'piaa train "
        "--backbone NAME --data ROOT'; this command trains a head for each on the embeddings of PIAA's line.",
        highlight=False,
    )


def _show_plan(specs: list[Any], datasets: list[Any], place: Any) -> None:
    from rich.table import Table

    from piaa.experiments.runner import jobs

    table = Table("experiment", "lines", "model", "front-end", "data set", "images", "embeddings")
    for spec in specs:
        for job in jobs(spec, datasets, place):
            images = len(job.dataset.unlabelled) + len(job.dataset.test)
            gigabytes = job.store.estimate(job.setup, images) / 2**30
            named = [run.row for run in job.runs]
            lines = ", ".join(named) if len(named) <= MOST_NAMED else f"{named[0]} and {len(named) - 1} others"
            first = job.runs[0]
            table.add_row(
                spec.name, lines, f"{first.model} {first.pretrained}", first.front_end, job.dataset.name,
                f"{images:,}", f"{gigabytes:.2f} GiB",
            )  # fmt: skip
    output.print(table)
