"""What the jobs share: the summary, the error log, and digests of items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from piaa.errors import ImageError
from piaa.files import writing
from piaa.inputs.items import Item

Progress = Callable[[int, int | None], None]
"""Called with the images dealt with so far, failed ones too, and how many there are (None: not known)."""

Record = dict[str, Any]


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
        kept: of an update: rows that were there already and still hold.
        gone: of an update: rows whose image is no longer there, marked so.
        skipped_endings: the skipped files by lower-case ending.
        foreign: of the tagged: unlike the images of the fit, and so given no label; None where there is no such test.
    """

    images: int
    tagged: int
    failed: int
    skipped: int
    seconds: float
    errors_path: Path | None
    notices: tuple[str, ...] = ()
    kept: int = 0
    gone: int = 0
    skipped_endings: dict[str, int] = field(default_factory=dict)
    foreign: int | None = None


class ErrorLog:
    """Counts failed images and writes a line `{"path", "reason", "stage"}` for each, as they come.

    The file is there if and only if there is an error; one left by an earlier run is removed. No record is held in
    memory.

    Args:
        path: the `.errors.jsonl`; None writes none.
        strict: raise at the first error, after writing it.

    Attributes:
        count: errors so far, those of a resumed run included.
    """

    def __init__(self, path: Path | None, strict: bool = False) -> None:
        self.path, self.strict, self.count = path, strict, 0
        if path:
            with writing(path):
                path.unlink(missing_ok=True)

    def add(self, error: ImageError, stage: str = "read") -> Record:
        """Take in one error.

        Args:
            error: path and reason.
            stage: `read` (decoding and preprocessing) or `score`.

        Returns:
            The record that was written.

        Raises:
            ImageError: the error itself, if strict.
        """
        record = {"path": error.path, "reason": error.reason, "stage": stage}
        self.take([record])
        return record

    def take(self, records: Iterable[Record]) -> None:
        """Take in records, those of a run that is being resumed, say.

        Raises:
            ImageError: the first of them, if strict.
        """
        records = list(records)
        if not records:
            return
        self.count += len(records)
        if self.path:
            lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            with writing(self.path), open(self.path, "a", encoding="utf-8") as stream:
                stream.writelines(lines)
        if self.strict:
            raise ImageError(records[0]["path"], records[0]["reason"])


def errors_path(out: Path) -> Path:
    """`<output>.errors.jsonl`, beside the output."""
    return out.with_name(out.name + ".errors.jsonl")


def digest_of_items(items: Iterable[Item]) -> str:
    """Changes when an image is added, removed, renamed or replaced: ids, sizes and times of change."""
    total = hashlib.sha256()
    for item in items:
        add_item(total, item)
    return total.hexdigest()


def add_item(total: Any, item: Item) -> None:
    """Take an item's id, size and time of change into a hash."""
    total.update(repr((item.id, item.stamp())).encode("utf-8", "surrogatepass"))
