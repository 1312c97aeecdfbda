"""What every command shares: the console, progress bars, errors without tracebacks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from piaa.errors import PiaaError

console = Console(stderr=True)
output = Console()
ENGINE_HELP = "eager, compile, openvino, onnxruntime or auto; openvino:bf16, openvino:int8, onnxruntime:int8."
F = TypeVar("F", bound=Callable[..., Any])


BATCH_HELP = "Images that go through the model together; 0 (automatic) probes what the memory holds."
SIZE_HELP = "Side in pixels, a multiple of the patch; 'trained' is the model's own, else a third more."


def parse_size(text: str | None) -> int | str | None:
    """What `--image-size` was given: a number, or a word that `Recognizer` knows."""
    return int(text) if text and text.isdecimal() else text


def shows_errors(command: F) -> F:
    """A command whose `PiaaError`s are shown as one message, with exit code 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except PiaaError as error:
            console.print("[bold red]error:[/]", end=" ")
            console.print(str(error), markup=False, highlight=False)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            console.print("interrupted; what was finished is kept, --resume goes on from there")
            raise typer.Exit(130) from None

    return wrapped  # type: ignore[return-value]


def show_notices(summary: Any) -> None:
    """What a job wants the user to know, and what it skipped."""
    for notice in summary.notices:
        console.print(f"[yellow]note:[/] {notice}", highlight=False)
    if summary.failed:
        console.print(f"[yellow]{summary.failed} images could not be used[/]: see {summary.errors_path}")


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Callable[[int, int | None], None]]]:
    """Inside: a function that starts a bar by name and gives its callback (done, total)."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=False) as bars:

        def start(name: str) -> Callable[[int, int | None], None]:
            task = bars.add_task(name, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield start
