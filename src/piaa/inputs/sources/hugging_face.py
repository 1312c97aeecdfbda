"""Hugging Face data sets: a `datasets.Dataset` in memory, a streamed one, or the folder of a saved one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.inputs.images import printable
from piaa.inputs.item import Item, Lazy, Stamp
from piaa.inputs.sources.base import Settings, Source
from piaa.inputs.sources.tars import Held

NAMES = ("image", "img", "picture", "photo", "jpg", "png", "bytes")
"""Columns that are taken for images where none is declared to be one."""


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` made this folder."""
    if (folder / "dataset_dict.json").is_file():
        return True
    return (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()


def is_dataset(value: Any) -> bool:
    """Whether it is one of the `datasets` library; without importing it."""
    return any(kind.__module__.partition(".")[0] == "datasets" for kind in type(value).__mro__)


@dataclass(frozen=True)
class Row(Lazy):
    """One row of a data set."""

    dataset: Any
    column: str
    index: int
    known: Stamp | None = None

    def fetch(self) -> Any:
        """Bytes, or a path."""
        return content_of(self.dataset[self.index][self.column])

    def stamp(self) -> Stamp | None:
        """The fingerprint of the data set and the row's number."""
        return self.known


class HuggingFaceSource(Source):
    """The rows of a data set in their order, with ids `NAME!row-12`, or `image-12` for one in memory.

    The column is the first that is declared as images, else the first called one of `NAMES`.

    Args:
        dataset: a `datasets.Dataset`, a `datasets.IterableDataset`, or a folder that `save_to_disk` made.
        settings: how images are read.

    Raises:
        InputError: `datasets` is missing, several splits, no column of images.
    """

    def __init__(self, dataset: Any, settings: Settings) -> None:
        self.saved = isinstance(dataset, str | Path)
        super().__init__(settings, printable(dataset) if self.saved else "this data set")
        self.fingerprint = ""
        if self.saved:
            dataset = _loaded(Path(dataset), self.label)
            self.fingerprint = str(getattr(dataset, "_fingerprint", ""))
        if isinstance(dataset, dict):
            splits = ", ".join(map(str, dataset))
            raise InputError(f"{self.label}: has splits ({splits}); give one of them")
        self.dataset, self.column = _undecoded(dataset, self.label)

    def items(self) -> Iterator[Item]:
        """See the class."""
        if not hasattr(self.dataset, "__len__"):
            for index, row in enumerate(self.dataset):
                content = content_of(row[self.column])
                yield self._item(index, Held(content) if isinstance(content, bytes) else content)
            return
        for index in range(len(self.dataset)):
            known = (self.fingerprint, index) if self.fingerprint else None
            yield self._item(index, Row(self.dataset, self.column, index, known))

    def nothing(self) -> str:
        """That it is empty."""
        return "no rows in it"

    def _item(self, index: int, source: Any) -> Item:
        return self.settings.item(f"{self.label}!row-{index}" if self.saved else f"image-{index}", source)


def content_of(value: Any) -> Any:
    """What `piaa.inputs.images.to_image` takes, of a cell that holds an image undecoded."""
    if isinstance(value, dict):
        return value["bytes"] if value.get("bytes") is not None else value.get("path")
    return value


def _loaded(folder: Path, name: str) -> Any:
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise InputError(f"{name}: a saved data set needs the datasets library: pip install datasets") from error
    try:
        return load_from_disk(str(folder))
    except Exception as error:
        raise InputError(f"{name}: the saved data set cannot be opened: {type(error).__name__}: {error}") from error


def _undecoded(dataset: Any, name: str) -> tuple[Any, str]:
    from datasets import Image

    features = dataset.features or {}
    declared = [column for column, feature in features.items() if isinstance(feature, Image)]
    named = [column for column in NAMES if column in features]
    if not declared and not named:
        there = ", ".join(features) or "none are declared"
        raise InputError(f"{name}: no column holds images (its columns: {there})")
    if declared:
        return dataset.cast_column(declared[0], Image(decode=False)), declared[0]
    return dataset, named[0]
