"""What both jobs share: the summary, the error log, and the list of a run's images."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piaa.errors import ImageError, InputError
from piaa.files import writing
from piaa.inputs.items import Item, iterate, list_folder

Progress = Callable[[int, int | None], None]
"""Called with the images dealt with so far, failed ones too, and how many there are (None: not known)."""

Record = dict[str, str]


@dataclass(frozen=True)
class Summary:
    """How a job went.

    Attributes:
        images: found in the input.
        tagged: went through the model: have a row in the output, or were learnt from.
        failed: could not be read or scored; `images` is the sum of these two.
        skipped: files of the folder left out because their ending is no image's.
        seconds: wall time of this call; a resumed job does not count what came before.
        errors_path: the file that names the failed ones; None if there are none.
        notices: what the user should be told (leftovers replaced, resumed from where).
    """

    images: int
    tagged: int
    failed: int
    skipped: int
    seconds: float
    errors_path: Path | None
    notices: tuple[str, ...] = ()


class ErrorLog:
    """Counts failed images and writes a line `{"path", "reason", "stage"}` for each, as they come.

    The file is there if and only if there is an error; one left by an earlier run is removed.

    Args:
        path: the `.errors.jsonl`.
        strict: raise at the first error, after writing it.
        earlier: records of a run that is being resumed, written first.

    Attributes:
        count: errors so far, earlier ones included.
        records: all of them.

    Raises:
        ImageError: strict, and there is an earlier one.
    """

    def __init__(self, path: str | os.PathLike[str], strict: bool = False, earlier: Iterable[Record] = ()) -> None:
        self.path, self.strict = Path(path), strict
        self.records: list[Record] = []
        with writing(self.path):
            self.path.unlink(missing_ok=True)
        for record in earlier:
            self._write(record)
        if strict and self.records:
            raise ImageError(self.records[0]["path"], self.records[0]["reason"])

    @property
    def count(self) -> int:
        """Errors so far."""
        return len(self.records)

    def add(self, error: ImageError, stage: str = "read") -> None:
        """Take in one error.

        Args:
            error: path and reason.
            stage: `read` (decoding and preprocessing) or `score`.

        Raises:
            ImageError: the error itself, if strict.
        """
        self._write({"path": error.path, "reason": error.reason, "stage": stage})
        if self.strict:
            raise error

    def _write(self, record: Record) -> None:
        self.records.append(record)
        with writing(self.path), open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def errors_path(out: Path) -> Path:
    """`<output>.errors.jsonl`, beside the output."""
    return out.with_name(out.name + ".errors.jsonl")


def gather(inputs: Any) -> tuple[list[Item], int]:
    """All items of the input, undecoded, and how many files of the folder were left out.

    Raises:
        InputError: see `piaa.inputs.items.iterate`; also for a list with nothing in it.
    """
    if isinstance(inputs, str | os.PathLike) and os.path.isdir(inputs):
        listing = list_folder(inputs)
        items, skipped = list(listing.items()), sum(listing.skipped.values())
        if not items:
            return list(iterate(inputs)), skipped  # raises, with the reason
        return items, skipped
    items = list(iterate(inputs))
    if not items:
        raise InputError("no images given")
    return items, 0


def digest_of_items(items: Iterable[Item]) -> str:
    """Changes when an image is added, removed, renamed or replaced: ids, sizes and times of change."""
    total = hashlib.sha256()
    for item in items:
        total.update(repr((item.id, _stamp(item.source))).encode())
    return total.hexdigest()


def _stamp(source: Any) -> tuple[int, int] | None:
    if not isinstance(source, Path):
        return None
    try:
        status = source.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
