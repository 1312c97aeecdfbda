"""The split lists published with the method: one line an image, its id, then its class indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from piaa.datasets.base import Annotated, read_lines
from piaa.errors import LabelError
from piaa.inputs.images import printable


def find_list(folder: Path, name: str) -> Path | None:
    """`NAME.txt` or `NAME_labels.txt` in a folder."""
    return next((path for path in (folder / f"{name}.txt", folder / f"{name}_labels.txt") if path.is_file()), None)


def read_split_list(path: str | Path) -> dict[str, frozenset[int]]:
    """Image id to class indices, in the order of the list.

    Raises:
        InputError: it cannot be read, or is empty.
        LabelError: naming file and line: a class index that is no number, an image listed twice.
    """
    path = Path(path)
    rows: dict[str, frozenset[int]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        name, *labels = line.split()
        if not all(label.isdecimal() and len(label) < 10 for label in labels):
            raise LabelError(f"{printable(path)}, line {number}: class indices must be whole numbers: {line[:80]!r}")
        if name in rows:
            raise LabelError(f"{printable(path)}, line {number}: {name} is listed twice")
        rows[name] = frozenset(map(int, labels))
    return rows


@dataclass(frozen=True)
class Agreement:
    """How what was read agrees with a published list.

    Attributes:
        same: images with the same labels in both.
        different: images in both with other labels.
        not_listed: images that were read and are not in the list.
        not_read: images of the list that were not read.
    """

    same: int
    different: list[str]
    not_listed: list[str]
    not_read: list[str]

    @property
    def whole(self) -> bool:
        """The same images with the same labels."""
        return not (self.different or self.not_listed or self.not_read)

    def __str__(self) -> str:
        if self.whole:
            return f"all {self.same:,} agree"
        parts = {"differ": self.different, "not in the list": self.not_listed, "not read": self.not_read}
        counts = [f"{len(names):,} {what} (such as {names[0]})" for what, names in parts.items() if names]
        return f"{self.same:,} agree, " + ", ".join(counts)


def compare(
    entries: Iterable[Annotated], published: Mapping[str, frozenset[int]], key: Callable[[Path], str]
) -> Agreement:
    """Compare image by image.

    Args:
        entries: what a reader gave.
        published: see `read_split_list`.
        key: the id in the list of an image file.
    """
    read = {key(entry.item.source): entry.labels for entry in entries}
    both = [name for name in read if name in published]
    different = [name for name in both if read[name] != published[name]]
    return Agreement(
        len(both) - len(different),
        different,
        [name for name in read if name not in published],
        [name for name in published if name not in read],
    )
