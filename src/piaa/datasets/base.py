"""The one face of every data set: images to learn from, images to test on, and what is true of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from piaa.errors import ImageError, InputError
from piaa.evaluation.truth import Truth
from piaa.inputs.images import printable, to_image
from piaa.inputs.items import Item
from piaa.vocabulary.labels import read_labels


@dataclass(frozen=True)
class LazyItem(Item):
    """An image that is not a file of its own: a member of a tar, a row of a table.

    Attributes:
        fetch: gives what `piaa.inputs.images.to_image` takes, when its turn comes; called in any thread.
    """

    fetch: Callable[[], Any] = field(default=lambda: None, compare=False)

    def load(self, ample: int = 0) -> Image.Image:
        """Fetch and decode: PIL RGB, upright.

        Args:
            ample: see `Item.load`.

        Raises:
            ImageError: it cannot be read; its path is this `id`.
        """
        try:
            value = self.fetch()
        except Exception as error:  # whatever a foreign library does: one image must not stop the others
            raise ImageError(self.id, f"cannot be fetched: {type(error).__name__}: {error}") from error
        try:
            return to_image(value, name=self.id, ample=ample)
        except ImageError as error:
            raise ImageError(self.id, error.reason) from error


@dataclass(frozen=True)
class Annotated:
    """One image and what its data set says of it.

    Attributes:
        item: the image, not decoded.
        labels: class indices; None where the data set says nothing of them.
        sizes: label to the relative size of its largest object: longer side over the image's, 0 to 1.
        areas: label to the areas of all its boxes, pixels.
    """

    item: Item
    labels: frozenset[int] | None
    sizes: Mapping[int, float] = field(default_factory=dict)
    areas: Mapping[int, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Box:
    """A box around an object.

    Attributes:
        label: class index.
        width: pixels; so are `height` and `area`.
        image_width: pixels, 0 where unknown; so is `image_height`.
    """

    label: int
    width: float
    height: float
    image_width: float
    image_height: float
    area: float

    @property
    def size(self) -> float | None:
        """Longer side over the image's, 0 to 1; None where the image's size is unknown."""
        if self.image_width <= 0 or self.image_height <= 0:
            return None
        return min(1.0, max(self.width / self.image_width, self.height / self.image_height))


def annotated(item: Item, labels: Iterable[int] | None, boxes: Sequence[Box] = ()) -> Annotated:
    """An image with sizes and areas measured from its boxes."""
    sizes: dict[int, float] = {}
    areas: dict[int, list[float]] = {}
    for box in boxes:
        areas.setdefault(box.label, []).append(box.area)
        if box.size is not None:
            sizes[box.label] = max(box.size, sizes.get(box.label, 0.0))
    return Annotated(item, None if labels is None else frozenset(labels), sizes, areas)


@dataclass(frozen=True)
class Annotations:
    """What a reader gives: every image that the lists name, whether its file is there or not.

    Attributes:
        label_names: C classes, in published order.
        unlabelled: images to learn from; their labels, where known, are for analysis alone.
        test: images to test on.
        notes: what the reader decided that a person should know.
    """

    label_names: list[str]
    unlabelled: list[Annotated]
    test: list[Annotated]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Dataset:
    """A data set, ready to fit and evaluate on.

    `piaa.inputs.items.iterate`, `fit_job`, `evaluate` take `unlabelled` and `test` as they are, and the id of each
    item is its key in `truth`.

    Attributes:
        name: such as `voc2007`.
        label_names: C classes, in published order.
        unlabelled: images to learn from, present on disk.
        test: images to test on, present on disk.
        truth: labels, relative sizes and box areas of every listed image whose labels are known, test images
            and images to learn from alike (nothing that fits reads it).
        missing: ids of images that the lists name and the disk has not.
        notes: what the reader decided that a person should know.
        seed: of scenes that were drawn; None for what was not.
    """

    name: str
    label_names: list[str]
    unlabelled: list[Item]
    test: list[Item]
    truth: Truth
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seed: int | None = None


class Disk:
    """Which files are there: every folder is listed once, however many of its files are asked for."""

    def __init__(self) -> None:
        self._names: dict[Path, set[str]] = {}

    def has(self, item: Item) -> bool:
        """Whether the item is a file that exists, or no file at all."""
        if isinstance(item, LazyItem) or not isinstance(item.source, Path):
            return True
        folder = item.source.parent
        if folder not in self._names:
            try:
                self._names[folder] = set(os.listdir(folder))
            except (OSError, ValueError):  # ValueError: a null byte in the path
                self._names[folder] = set()
        return item.source.name in self._names[folder]


def assemble(name: str, found: Annotations) -> Dataset:
    """A `Dataset` of what a reader gave and of what is on the disk.

    An image listed twice in a split counts once, as it was first; a note says so.

    Raises:
        InputError: a split lists no image, or no image of a split is there.
    """
    disk, missing, notes = Disk(), [], list(found.notes)
    present: dict[str, list[Item]] = {}
    for split, entries in (("unlabelled", found.unlabelled), ("test", found.test)):
        unique: dict[str, Item] = {}
        for entry in entries:
            unique.setdefault(entry.item.id, entry.item)
        items = list(unique.values())
        if len(items) < len(entries):
            notes.append(f"{split}: {len(entries) - len(items)} images are listed twice; each counts once")
        if not items:
            raise InputError(f"{name}: the {split} split lists no image")
        here = [item for item in items if disk.has(item)]
        if not here:
            raise InputError(
                f"{name}: none of the {len(items):,} images of the {split} split is on disk; the first should be "
                f"{items[0].id} ('piaa datasets check ROOT' says what is missing and how to get it)"
            )
        missing += [item.id for item in items if not disk.has(item)]
        present[split] = here
    missing = list(dict.fromkeys(missing))
    truth = _truth(found, missing)
    return Dataset(name, list(found.label_names), present["unlabelled"], present["test"], truth, missing, notes)


def _truth(found: Annotations, missing: list[str]) -> Truth:
    truth = Truth(list(found.label_names), {}, missing=missing)
    for entry in [*found.unlabelled, *found.test]:
        key = entry.item.id
        if entry.labels is None or key in truth.labels:
            continue
        truth.labels[key] = entry.labels
        if entry.sizes:
            truth.sizes[key] = dict(entry.sizes)
        if entry.areas:
            truth.areas[key] = {label: list(areas) for label, areas in entry.areas.items()}
    return truth


def class_names(name: str) -> list[str]:
    """The published class names in published order: `voc` (20), `coco` (80) or `nus-wide` (81)."""
    with resources.as_file(resources.files("piaa.datasets") / "classes" / f"{name}.txt") as path:
        return [label.name for label in read_labels(path)]


def file_item(path: Path) -> Item:
    """An image file."""
    return Item(printable(path), path)


def first_folder(root: Path, names: Sequence[str], holds: Callable[[Path], bool] = Path.is_dir) -> Path | None:
    """The first of some places below a folder that is one; a name may be a pattern (`*/VOCdevkit`) or `.`."""
    for name in names:
        places = [root] if name == "." else sorted(root.glob(name))
        for place in places:
            if holds(place):
                return place
    return None


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without blank ones, stripped.

    Raises:
        InputError: it cannot be read, is not UTF-8, or holds no line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{printable(path)}: not UTF-8 text") from error
    if "\0" in text:
        raise InputError(f"{printable(path)}: holds null bytes, so it is no text file; unpack the archive again")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise InputError(f"{printable(path)}: the list is empty")
    return lines
