"""`piaa bench`: what the encoder costs, what the method adds, where the time goes; one table a model with --models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli.console import console, output, progress_bars, shows_errors
from piaa.errors import InputError


@shows_errors
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="With --models: which ones; all known ones else.")] = None,
    models: Annotated[bool, typer.Option("--models", help="Time and memory of each model.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="The share of every step of tagging files.")] = False,
    model: Annotated[
        str | None, typer.Option(help="Model to measure; ViT-B-16, with --quick the embedded one.")
    ] = None,
    pretrained: Annotated[str | None, typer.Option(help="Its weights; random ones if not given.")] = None,
    front_end: Annotated[list[str] | None, typer.Option(help="Front-end, repeatable; all four else.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of photographs; JPEGs are drawn else.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that go through the model together.")] = 8,
    count: Annotated[int | None, typer.Option(min=1, help="Images a repetition.")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Repetitions that count.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads of torch; 0 is one a core.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    quick: Annotated[bool, typer.Option("--quick", help="A trial: small and few; no numbers to keep.")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    write: Annotated[Path | None, typer.Option(help="Markdown file whose part between the markers to replace.")] = None,
) -> None:
    """Measure speed and memory as ratios in one run, side by side."""
    from piaa.bench import output as results
    from piaa.vision.front_ends import FRONT_ENDS, get_front_end

    if models and profile:
        raise InputError("--models and --profile are two measurements; ask for one at a time")
    if names and not models:
        raise InputError(f"names of models ({', '.join(names)}) go with --models; one alone: --model {names[0]}")
    for name in front_end or ():
        get_front_end(name)
    chosen = tuple(front_end or FRONT_ENDS)
    if models:
        result = _models(names, pretrained, chosen, batch_size, repeats or (1 if quick else 3), threads, device)
        tables, text = {"Models": results.models_table(result)}, results.models_markdown(result)
    else:
        work = _work(
            model=model, pretrained=pretrained, front_ends=chosen, images=images, batch_size=batch_size, count=count,
            repeats=repeats, threads=threads, device=device, precision=precision, quick=quick,
        )  # fmt: skip
        result, tables = _profile(work) if profile else _compare(work)
        text = results.sections_markdown(result, tables)
    output.print(results.machine_line(result["machine"]), highlight=False, markup=False)
    for title, table in tables.items():
        output.print(results.show(table, title))
    for line in results.models_errors(result) if models else ():
        console.print("[yellow]not measured:[/]", end=" ")
        console.print(line, markup=False, highlight=False)
    if out:
        results.write_json(out, result)
        console.print(f"wrote {out}", markup=False, highlight=False)
    if write:
        results.replace_between_markers(write, text)
        console.print(f"wrote {write}", markup=False, highlight=False)


def _models(
    names: list[str] | None,
    pretrained: str | None,
    front_ends: tuple[str, ...],
    batch_size: int,
    repeats: int,
    threads: int,
    device: str,
) -> dict[str, Any]:
    from piaa.bench.machine import usable_cores
    from piaa.bench.models import MODELS, measure_models

    with progress_bars() as stage:
        return measure_models(
            names or MODELS, pretrained=pretrained, front_ends=front_ends, batch_size=batch_size, repeats=repeats,
            threads=threads or usable_cores(), device=device, progress=stage("models"),
        )  # fmt: skip


def _work(*, quick: bool, model: str | None, count: int | None, repeats: int | None, **given: Any) -> Any:
    """The settings asked for over the defaults of a full or a quick run."""
    from piaa.bench.work import Work

    small: dict[str, Any] = {
        "model": "embedded", "count": 8, "repeats": 2, "class_counts": (20, 80), "rows": 2000, "bank_size": 32,
    }  # fmt: skip
    asked = {"model": model, "count": count, "repeats": repeats}
    return Work(**given, quick=quick, **(small if quick else {}) | {k: v for k, v in asked.items() if v is not None})


def _compare(work: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    from piaa.bench.compare import compare, compare_tables

    with progress_bars() as stage:
        result = compare(work, stage)
    return result, compare_tables(result)


def _profile(work: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    from piaa.bench.profile import profile, profile_tables

    result = profile(work)
    return result, profile_tables(result)
