"""One run on one output at a time: `OUT.lock` says who is at work, and a second run is refused at once.

The file is locked for as long as its owner lives, so that a killed run leaves a lock that is free. Its content
(process, machine, begin) is for people, and for machines that share a disk but not its locks: there the file's time
of change, moved on while the run works, tells a run that is alive from one that is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from piaa.errors import InputError
from piaa.files import writing

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

TOUCH_EVERY = 30.0
"""Seconds between signs of life."""
SILENT = 3600.0
"""Seconds without one after which a run of another machine counts as gone."""


class Lock:
    """What the owner of a lock holds.

    Attributes:
        path: the file.
        notices: what the user should be told.
    """

    def __init__(self, path: Path, handle: int, notices: list[str]) -> None:
        self.path, self.notices = path, notices
        self._handle, self._touched = handle, time.monotonic()

    def alive(self) -> None:
        """A sign of life, now and then; cheap enough for every batch."""
        if time.monotonic() - self._touched > TOUCH_EVERY:
            self._touched = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(self._handle if os.utime in os.supports_fd else self.path)


def lock_path(out: Path) -> Path:
    """`OUT.lock`, beside the output."""
    return out.with_name(out.name + ".lock")


@contextmanager
def locked(out: Path) -> Iterator[Lock]:
    """Inside, nobody else works on this output.

    Raises:
        InputError: somebody does; the message says who, where and since when.
    """
    path = lock_path(out)
    with writing(path):
        handle, notices = _take(path)
    try:
        yield Lock(path, handle, notices)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _take(path: Path) -> tuple[int, list[str]]:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _hold(handle):
                raise _refusal(path, _owner(path))
            if _same_file(handle, path):  # else its owner removed it in between
                notices = _check_owner(path)
                os.ftruncate(handle, 0)
                os.pwrite(handle, json.dumps(_me()).encode(), 0)
                return handle, notices
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _hold(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def _check_owner(path: Path) -> list[str]:
    """The lock is free: that of a run which died, or one of another machine whose locks are not seen here."""
    owner = _owner(path)
    if not owner:
        return []
    age = time.time() - path.stat().st_mtime
    elsewhere = owner.get("host") != socket.gethostname()
    if (elsewhere and age < SILENT) or (fcntl is None and age < 2 * TOUCH_EVERY):
        raise _refusal(path, owner)
    return [f"{path}: left by a run that ended without removing it ({_words(owner)}); taken over"]


def _owner(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _me() -> dict[str, Any]:
    begun = time.strftime("%Y-%m-%d %H:%M:%S %z")
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    return {"process": os.getpid(), "host": socket.gethostname(), "begun": begun, "program": program}


def _words(owner: dict[str, Any]) -> str:
    return f"process {owner.get('process', '?')} on {owner.get('host', '?')}, begun {owner.get('begun', '?')}"


def _refusal(path: Path, owner: dict[str, Any]) -> InputError:
    return InputError(
        f"{path}: another run is at work on this output ({_words(owner)}); wait for it or name another output. "
        "If you know that it is gone, delete this file"
    )
