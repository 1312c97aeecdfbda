"""A Hugging Face `datasets` object: a DatasetDict, two Datasets, or a folder that `save_to_disk` wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from piaa.datasets.base import Annotated, Annotations, Box, LazyItem, annotated
from piaa.errors import InputError, LabelError

LEARN_SPLITS = ("unlabelled", "unlabeled", "train")
TEST_SPLITS = ("test", "validation", "val")
LABEL_COLUMNS = ("labels", "label", "classes", "tags", "objects")


def find_hugging_face(root: Path) -> Path | None:
    """`root`, where `DatasetDict.save_to_disk` wrote it."""
    return root if (root / "dataset_dict.json").is_file() else None


def read_hugging_face(
    table: Any,
    *,
    unlabelled: str | None = None,
    test: str | None = None,
    image: str | None = None,
    labels: str | None = None,
    label_names: Sequence[str] | None = None,
) -> Annotations:
    """Read images and labels; an image is decoded when its turn comes.

    Args:
        table: mapping of split to `datasets.Dataset` (a DatasetDict), or the folder of a saved one.
        unlabelled: split to learn from; by default unlabelled or train.
        test: split to test on; by default test or validation.
        image: column of the images; by default the first of type Image.
        labels: column of the labels: a ClassLabel, a sequence of them or of names, or `objects` with lists
            `category` (or `label`), `bbox` (x, y, width, height in pixels) and perhaps `area`. By default the
            first of labels, label, classes, tags, objects. `width` and `height` columns, where they are, give
            the relative sizes.
        label_names: C classes; by default those of the ClassLabel, else all names that occur, sorted.

    Raises:
        InputError: no such split or column, or the library is not installed.
        LabelError: an unknown class, or indices without names.
    """
    if isinstance(table, str | os.PathLike):
        table = _loaded(Path(table))
    if not isinstance(table, Mapping):
        raise InputError(f"a {type(table).__name__} has no splits: give a DatasetDict or {{'train': ..., 'test': ...}}")
    chosen = [_split(table, unlabelled, LEARN_SPLITS), _split(table, test, TEST_SPLITS)]
    for split in chosen:
        if not hasattr(table[split], "__len__"):
            raise InputError(f"split {split!r} is a stream; load the data set without streaming=True")
    features = table[chosen[1]].features
    picture = image or next((name for name, kind in features.items() if type(kind).__name__ == "Image"), None)
    column = labels or next((name for name in LABEL_COLUMNS if name in features), None)
    for name, what in ((picture, "image"), (column, "labels")):
        if name is None or name not in features:
            raise InputError(f"no column of {what}; name one of {', '.join(features)} ({what}=...)")
    assert picture is not None and column is not None
    names = list(label_names) if label_names is not None else _names_of(features[column])
    if names is None:
        names = _names_that_occur([table[split] for split in chosen], column)
    index = {name: number for number, name in enumerate(names)}
    first, second = (_entries(table[split], split, picture, column, index) for split in chosen)
    return Annotations(names, first, second)


def _loaded(path: Path) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError("reading a saved DatasetDict needs the datasets library: pip install datasets") from error
    try:
        return datasets.load_from_disk(str(path))
    except Exception as error:  # the library's own errors have no common base
        raise InputError(f"{path}: not a saved DatasetDict: {error}") from error


def _split(table: Mapping[str, Any], name: str | None, usual: Sequence[str]) -> str:
    found = name if name in table else next((split for split in usual if name is None and split in table), None)
    if found is None:
        raise InputError(f"no split {name or ' or '.join(usual)}; there are {', '.join(map(str, table))}")
    return found


def _category(value: Any) -> Any:
    """The part of a column's type or value that holds the classes: of `objects`, its category."""
    value = getattr(value, "feature", value)
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("category", "categories", "label", "labels") if key in value), None)
    return value


def _names_of(kind: Any) -> list[str] | None:
    """The names of a ClassLabel, however it is wrapped in sequences."""
    kind = _category(kind[0] if isinstance(kind, list) else kind)
    for _ in range(3):
        if getattr(kind, "names", None):
            return list(kind.names)
        kind = kind[0] if isinstance(kind, list) and kind else getattr(kind, "feature", None)
    return None


def _names_that_occur(tables: Sequence[Any], column: str) -> list[str]:
    found = {label for table in tables for value in table.select_columns([column])[column] for label in _listed(value)}
    numbers = [label for label in found if not isinstance(label, str)]
    if numbers:
        raise LabelError(f"column {column!r} holds indices such as {numbers[0]!r}; give label_names")
    return sorted(found)


def _columns(value: Any) -> Any:
    """A list of objects, each with its fields, as one object of lists; anything else as it is."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return {key: [one[key] for one in value] for key in value[0]}
    return value


def _listed(value: Any) -> list[Any]:
    value = _category(_columns(value))
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _entries(table: Any, split: str, picture: str, column: str, index: dict[str, int]) -> list[Annotated]:
    wanted = [column] + [name for name in ("width", "height") if name in table.features and name != column]
    kind = table.features.get(picture)
    if kind is None:
        raise InputError(f"split {split!r} has no column {picture!r}")
    images = table.select_columns([picture]).cast_column(picture, type(kind)(decode=False))
    known = column in table.features
    rows = table.select_columns(wanted) if known else [None] * len(table)
    entries = []
    for number, row in enumerate(rows):
        item = LazyItem(f"{split}/{number}", None, partial(_fetch, images, number, picture))
        if row is None or row[column] is None:
            entries.append(Annotated(item, None))
            continue
        labels = [_number(label, index, item.id) for label in _listed(row[column])]
        entries.append(annotated(item, labels, _boxes(row, column, labels)))
    return entries


def _fetch(images: Any, number: int, picture: str) -> Any:
    value = images[number][picture]
    return value["bytes"] if value["bytes"] is not None else Path(value["path"])


def _number(label: Any, index: dict[str, int], place: str) -> int:
    number = index.get(label, -1) if isinstance(label, str) else int(label)
    if not 0 <= number < len(index):
        raise LabelError(f"{place}: no class is called {label!r}; there are {len(index)} classes")
    return number


def _boxes(row: Mapping[str, Any], column: str, labels: list[int]) -> list[Box]:
    objects = _columns(row[column])
    if not isinstance(objects, Mapping) or "bbox" not in objects:
        return []
    areas = objects.get("area") or [None] * len(labels)
    side = [float(row.get(name) or 0) for name in ("width", "height")]
    return [
        Box(label, box[2], box[3], side[0], side[1], box[2] * box[3] if area is None else area)
        for label, box, area in zip(labels, objects["bbox"], areas, strict=True)
    ]
