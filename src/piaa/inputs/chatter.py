"""What decoders say beside the picture goes to the log `piaa.inputs.decoders`, once a kind.

Pillow warns through Python's warnings and logs; libtiff and LibRaw write to standard error past Python. One damaged
folder can fill a terminal with either. That a picture is damaged is said once, by its `ImageError`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL

_LOG = logging.getLogger("piaa.inputs.decoders")
_LOCK = threading.Lock()
_ERRORS = threading.Lock()
_STDERR = 2
_SOURCES = re.compile(r"[\\/](PIL|pillow_heif|pillow_jxl|rawpy)[\\/]")
_DIGITS = re.compile(r"\d+")
_KINDS = 1000
_seen: set[str] = set()
_kept: list[Any] = []  # what C may call must live on


def to_the_log() -> None:
    """Send it there from now on, in this process; calling it again does nothing.

    Warnings of other packages are shown as before. libtiff is found where Pillow brings its own; elsewhere it goes on
    writing to standard error.
    """
    if getattr(warnings.showwarning, "piaa", False):
        return
    with _LOCK:
        warnings.showwarning = _diverting(warnings.showwarning)
        if not _kept:
            _kept.append(None)
            _take_libtiff()
            logging.getLogger("PIL").addHandler(_Handler())
            logging.getLogger("PIL").propagate = False


def say(message: str) -> None:
    """Log a message unless one that differs in its numbers alone was logged before."""
    kind = _DIGITS.sub("#", message)[:200]
    with _LOCK:
        if kind in _seen or len(_seen) >= _KINDS:
            return
        _seen.add(kind)
    _LOG.info("%s (said once; others of the kind are left out)", message.strip())


@contextmanager
def overheard(theirs: re.Pattern[bytes]) -> Iterator[list[str]]:
    """Take from standard error, for a short while, the lines that C code writes there; one thread at a time.

    What else is written meanwhile comes out afterwards.

    Args:
        theirs: matches the lines to be logged.

    Yields:
        A list that has these lines afterwards.
    """
    heard: list[str] = []
    with _ERRORS, tempfile.TemporaryFile() as aside:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # there is no standard error
            yield heard
            return
        try:
            os.dup2(aside.fileno(), _STDERR)
            yield heard
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            aside.seek(0)
            for line in aside:
                if theirs.search(line):
                    heard.append(line.decode("utf-8", "replace").strip())
                    say(heard[-1])
                else:
                    os.write(_STDERR, line)


def _diverting(show: Callable[..., None]) -> Callable[..., None]:
    def showwarning(message: Warning | str, category: type[Warning], filename: str, *rest: Any, **named: Any) -> None:
        if _SOURCES.search(filename):
            say(str(message))
        else:
            show(message, category, filename, *rest, **named)

    showwarning.piaa = True  # type: ignore[attr-defined]
    return showwarning


class _Handler(logging.Handler):
    """Of what Pillow logs, warnings and errors are said once a kind, under our name; the rest goes where it went."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            say(record.getMessage())
        else:
            logging.getLogger().handle(record)


def _take_libtiff() -> None:
    home = Path(PIL.__file__).parent
    places = [*(home.parent / "pillow.libs").glob("libtiff*"), *(home / ".dylibs").glob("libtiff*")]
    for place in places:
        try:
            library = ctypes.CDLL(str(place))
            kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
            handler = kind(_from_libtiff)
            for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
                function = getattr(library, name)
                function.argtypes, function.restype = [kind], ctypes.c_void_p
                function(handler)
            _kept.extend([library, handler])
        except (OSError, AttributeError) as error:
            _LOG.debug("libtiff cannot be quietened: %s", error)


def _from_libtiff(module: bytes | None, text: bytes | None, _: Any) -> None:
    """Called by C, with the unfilled text of the message."""
    parts = [part.decode("utf-8", "replace") for part in (module, text) if part]
    say("libtiff: " + ": ".join(parts))
