"""`piaa`: fit, tag, eval, explain, models, demo, bench. Everything heavy is imported inside the commands."""

from __future__ import annotations

import typer

from piaa.cli import bench, demo, evaluate, explain, fit, models, tag

app = typer.Typer(
    help="Multi-label image recognition that needs no training and no labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("fit")(fit.fit)
app.command("tag")(tag.tag)
app.command("eval")(evaluate.evaluate)
app.command("explain")(explain.explain)
app.command("models")(models.models)
app.command("demo")(demo.demo)
app.command("bench")(bench.bench)


@app.callback(invoke_without_command=True)
def main(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    """Multi-label image recognition that needs no training and no labels."""
    if version:
        from piaa import __version__

        typer.echo(f"piaa {__version__}")
        raise typer.Exit


if __name__ == "__main__":
    app()
