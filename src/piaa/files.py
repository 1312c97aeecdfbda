"""The one place that writes files and folders: whole or not at all, and never over what somebody else put there."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from piaa.errors import InputError

MARK = ".piaa-folder"
"""In every folder that a command made: which command, so that it may write there again."""

SYSTEM_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in folders that are empty to their users."""


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn a failure to write (no space, no permission) into an `InputError` that names the file."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    except SafetensorError as error:  # a full disk among others, in its own words
        raise InputError(f"{path}: cannot be written: {error}") from error


@contextmanager
def whole_file(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Inside, a path beside `path` to write to; at the end it takes the name, so that `path` is whole or as before.

    The mode follows the umask. After an error nothing is left.

    Args:
        path: the file.
        durable: the content reaches the disk before the name changes, so that a loss of power keeps it whole too; for
            many small files that can be made again it costs more than it is worth.

    Raises:
        InputError: when it cannot be written, naming the file.
    """
    target = Path(path)
    aside = target.with_name(f".piaa-{secrets.token_hex(6)}.tmp")  # short: the name may be as long as names can be
    try:
        with writing(target):
            aside.touch(exist_ok=False)
            mode = aside.stat().st_mode & 0o777  # libraries that replace the file choose a mode of their own
            yield aside
            os.chmod(aside, mode)
            if durable:
                sync(aside)
            os.replace(aside, target)
            if durable:
                sync(target.parent)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """UTF-8 text to a file, whole or not at all, line ends as they are.

    Raises:
        InputError: when it cannot be written.
    """
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 2) -> None:
    """A value as JSON to a file, whole or not at all.

    Raises:
        InputError: when it cannot be written.
    """
    write_text(path, json.dumps(value, indent=indent) + "\n")


def parse_json(text: str | bytes) -> Any:
    """A JSON value from a file that anybody may have written.

    Raises:
        ValueError: it is none, or lists within lists go so deep that it cannot be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too many brackets within brackets") from None


def csv_line(cells: Iterable[object], separator: str = ",") -> str:
    """One line of a CSV with `\\n` behind it; cells with any sort of line break in them are quoted.

    `csv.writer` alone leaves a lone `\\r` bare where lines end in `\\n`, and a reader then sees two lines.
    """
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator="\r\n").writerow(cells)
    return stream.getvalue()[:-2] + "\n"


def is_storable(text: str) -> bool:
    """Whether text can name a file and be written as UTF-8: no null byte and no half of a surrogate pair in it."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def sync(path: Path) -> None:
    """Make sure that a file's content, or a folder's list of names, is on the disk. Not every system does folders."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


def check_place(path: Path) -> None:
    """Refuse an output file in a folder that is not there or cannot be written to, and the name of a folder.

    Raises:
        InputError: in these cases.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; give the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written: no permission to write in {path.parent}")


def claim_folder(path: str | os.PathLike[str], owner: str) -> Path:
    """A folder to write into: new, empty, or one that the same command made before.

    Args:
        path: the folder; made where it is not there.
        owner: the command, such as `piaa demo`.

    Raises:
        InputError: when it holds something that this command did not make, or cannot be made.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; give the name of a folder to write into")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        names = sorted(set(os.listdir(folder)) - SYSTEM_FILES)
        if names and _owner(folder) != owner:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise InputError(
                f"{folder}: this folder holds what '{owner}' did not write ({shown}), and files there could be "
                "overwritten; name a new or an empty folder"
            )
    if _owner(folder) != owner:
        write_json(folder / MARK, {"made_by": owner})
    return folder


def _owner(folder: Path) -> str | None:
    try:
        return str(parse_json((folder / MARK).read_text(encoding="utf-8"))["made_by"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
