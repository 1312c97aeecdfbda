"""`piaa`: every command. Everything heavy is imported inside them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from piaa.cli import app as app_command
from piaa.cli import (
    bench,
    check,
    compare,
    console,
    datasets,
    demo,
    evaluate,
    exchange,
    explain,
    fit,
    hub,
    merge,
    models,
    reproduce,
    search,
    serve,
    tag,
    train,
)
from piaa.cli.allocator import keep_freed_memory

EVERYWHERE = {"--extension": True, "--quiet": False, "-q": False, "--verbose": False, "-v": False}
"""Options of every command, and whether a value follows; they may stand before the command or after it."""
EPILOG = "Every command also takes --extension FILE, --quiet and --verbose; piaa --help says what they do."


class Commands(TyperGroup):
    """Commands whose common options may stand anywhere in the line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Bring the common options to the front, up to a `--`."""
        end = args.index("--") if "--" in args else len(args)
        front, rest, taken = [], [], 0
        for position, word in enumerate(args[:end]):
            if position < taken:
                continue
            name, equals, _ = word.partition("=")
            if name in EVERYWHERE:
                taken = position + (2 if EVERYWHERE[name] and not equals else 1)
                front += args[position : min(taken, end)]
            else:
                rest.append(word)
        return super().parse_args(ctx, front + rest + args[end:])


app = typer.Typer(
    cls=Commands,
    help="Multi-label image recognition that needs no training and no labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., Any]] = {
    "check": check.check,
    "fit": fit.fit,
    "tag": tag.tag,
    "merge": merge.merge,
    "eval": evaluate.evaluate,
    "compare": compare.compare,
    "app": app_command.app,
    "serve": serve.serve,
    "export": exchange.export_tags,
    "import": exchange.import_truth,
    "explain": explain.explain,
    "search": search.search,
    "models": models.models,
    "download": hub.download,
    "push": hub.push,
    "demo": demo.demo,
    "bench": bench.bench,
    "train": train.train,
    "reproduce": reproduce.reproduce,
    "report": reproduce.report,
}
for name, command in COMMANDS.items():
    app.command(name, epilog=EPILOG)(command)
app.add_typer(datasets.app, name="datasets")


@console.shows_errors
def prepare(extensions: list[Path], quiet: bool, verbose: bool) -> None:
    """Say how much is said, and run the user's own files, those of PIAA_EXTENSIONS too."""
    console.set_loudness(quiet, verbose)
    from piaa.extensions import load_extensions

    load_extensions(extensions)


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    extension: Annotated[
        list[Path] | None, typer.Option(help="Python file that registers front-ends, recipes, metrics; repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show errors and what was asked for, no more.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the library logs and all notes.")] = False,
) -> None:
    """Multi-label image recognition that needs no training and no labels."""
    keep_freed_memory()
    prepare(extension or [], quiet, verbose)
    if version:
        from piaa.version import __version__

        typer.echo(f"piaa {__version__}")
        raise typer.Exit


def run() -> None:
    """The program: `app`, and one line instead of a traceback where standard output cannot take what is written."""
    try:
        try:
            app(prog_name="piaa")
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit has nothing left to write
        if error.errno != errno.EPIPE:  # a reader that has seen enough is no error to tell of
            print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
