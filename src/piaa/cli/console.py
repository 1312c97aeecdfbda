"""What every command shares: the two consoles, progress bars, errors without tracebacks, how much is said."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment

from piaa.errors import InterruptedRun, PiaaError

INCOMPLETE = 3
"""Exit code of a run that is finished, with images that failed."""

F = TypeVar("F", bound=Callable[..., Any])

PIPE_WIDTH = 200
"""Columns of a table that goes to a file or another program, where nothing has a width of its own."""


class HarmlessConsole(Console):
    """A console on which no text commands the terminal: names of files and classes may hold anything."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """What Rich draws, with the control characters of texts written out; its own are left."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


class HarmlessLines:
    """A stream for JSON lines that command no terminal and fit its encoding: such characters become `\\uNNNN`.

    Args:
        stream: where the lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        unicode = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") in ("utf8", "utf16", "utf32")
        self._escaped = _COMMANDS_IN_JSON if unicode else _NO_ASCII

    def write(self, text: str) -> int:
        """Write JSON; its values stay the same."""
        return self._stream.write(self._escaped.sub(lambda found: json.dumps(found[0])[1:-1], text))

    def flush(self) -> None:
        """Bring it on its way."""
        self._stream.flush()


def visible(text: str) -> str:
    """Control characters, marks that turn the direction of writing and halves of surrogate pairs as `\\xNN`."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_COMMANDS_IN_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # JSON escapes the others
_NO_ASCII = re.compile("[^\x00-\x7e]")


def _output() -> Console:
    plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return HarmlessConsole(width=PIPE_WIDTH) if plain else HarmlessConsole()


console = HarmlessConsole(stderr=True)
"""Progress and notes; silent with --quiet."""
errors = HarmlessConsole(stderr=True)
"""Errors, which are always shown."""
output = _output()
"""What was asked for: tables and numbers."""


def set_loudness(quiet: bool, verbose: bool) -> None:
    """Errors alone, or also what the library logs under the name `piaa`.

    Raises:
        PiaaError: when both are asked for.
    """
    if quiet and verbose:
        raise PiaaError("--quiet and --verbose contradict each other; give one of them")
    console.quiet, errors.quiet = quiet, False
    warnings.showwarning = _show_warning
    if verbose:
        from rich.logging import RichHandler

        logger = logging.getLogger("piaa")
        logger.setLevel(logging.DEBUG)
        if not any(isinstance(handler, RichHandler) for handler in logger.handlers):
            logger.addHandler(RichHandler(console=errors, show_path=False, rich_tracebacks=False))


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """What the library warns of is a note here; warnings of other kinds are for programmers and go to the log."""
    if issubclass(category, UserWarning):
        show_note(str(message))
    else:
        logging.getLogger("piaa").debug("%s: %s", category.__name__, message)


def is_verbose() -> bool:
    """Whether --verbose was given."""
    return logging.getLogger("piaa").isEnabledFor(logging.DEBUG)


def show_error(text: str) -> None:
    """One error, whatever is in it, on standard error."""
    errors.print("[bold red]error:[/]", end=" ")
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


def show_note(text: str) -> None:
    """Something that the user should know and that stops nothing."""
    console.print("[yellow]note:[/]", end=" ")
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def shows_errors(command: F) -> F:
    """A command whose `PiaaError`s are shown as one message, with exit code 1, or 128 + n where signal n ended it."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except InterruptedRun as error:
            errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(128 + error.signal) from None
        except PiaaError as error:
            show_error(str(error))
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            errors.print("interrupted")
            raise typer.Exit(130) from None

    return wrapped  # type: ignore[return-value]


def show_notices(summary: Any) -> None:
    """What a job wants the user to know, and what it skipped."""
    for notice in summary.notices:
        show_note(notice)
    if summary.failed:
        where = f": see {summary.errors_path}" if summary.errors_path else ""
        show_note(f"{summary.failed} images could not be used{where}")
    show_skipped(summary.skipped_endings)


def show_skipped(endings: Mapping[str, int]) -> None:
    """The files that were left out because of their ending, by ending, with the package that would read them."""
    if endings:
        from piaa.inputs.formats import skipped_text

        for line in skipped_text(Counter(endings)):
            show_note(line)


def show_weights(model: Any) -> None:
    """Say loudly that a model has random weights."""
    if model.pretrained.partition(":")[0] == "random":
        show_note(
            f"the weights of {model.name} are random ('--pretrained {model.pretrained}'): this is a trial of speed and "
            "memory; labels and scores mean nothing"
        )


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Callable[[int, int | None], None]]]:
    """Inside: a function that starts a bar by name and gives its callback (done, total)."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=False) as bars:

        def start(name: str) -> Callable[[int, int | None], None]:
            task = bars.add_task(name, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield start
