"""`piaa`: fit, tag, eval, compare, explain, models, demo. Everything heavy is imported inside the commands."""

from __future__ import annotations

import typer

from piaa.cli import compare, demo, evaluate, explain, fit, models, tag

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
app.command("explain")(explain.explain)
app.command("models")(models.models)
app.command("demo")(demo.demo)


@app.callback(invoke_without_command=True)
def main(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    """Multi-label image recognition that needs no training and no labels."""
    if version:
        from piaa import __version__

        typer.echo(f"piaa {__version__}")
        raise typer.Exit


if __name__ == "__main__":
    app()
