"""`piaa`: every command. Everything heavy is imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from piaa.cli import bench, compare, datasets, demo, evaluate, exchange, explain, fit, models, reproduce, tag
from piaa.cli.allocator import keep_freed_memory
from piaa.cli.console import shows_errors

app = typer.Typer(
    help="Multi-label image recognition that needs no training and no labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("fit")(fit.fit)
app.command("tag")(tag.tag)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("export")(exchange.export_tags)
app.command("import")(exchange.import_truth)
app.command("explain")(explain.explain)
app.command("models")(models.models)
app.command("demo")(demo.demo)
app.command("bench")(bench.bench)
app.add_typer(datasets.app, name="datasets")
app.command("reproduce")(reproduce.reproduce)
app.command("report")(reproduce.report)


@shows_errors
def load(extensions: list[Path]) -> None:
    """Run the user's own files, those of PIAA_EXTENSIONS too."""
    from piaa.extensions import load_extensions

    load_extensions(extensions)


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    extension: Annotated[
        list[Path] | None, typer.Option(help="Python file that registers front-ends, recipes, metrics; repeatable.")
    ] = None,
) -> None:
    """Multi-label image recognition that needs no training and no labels."""
    keep_freed_memory()
    load(extension or [])
    if version:
        from piaa import __version__

        typer.echo(f"piaa {__version__}")
        raise typer.Exit


if __name__ == "__main__":
    app()
