"""A FiftyOne dataset or view, by its public face alone: the library is not imported here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from piaa.datasets.base import Annotated, Annotations, Box, annotated, file_item
from piaa.errors import InputError, LabelError

LEARN_TAGS = ("unlabelled", "unlabeled", "train")
TEST_TAGS = ("test", "validation", "val")


def read_fifty_one(
    samples: Any,
    *,
    field: str = "ground_truth",
    unlabelled: str | None = None,
    test: str | None = None,
    label_names: Sequence[str] | None = None,
) -> Annotations:
    """Read file paths, labels and boxes.

    Args:
        samples: a dataset or view: iterable over samples with `filepath`, `tags`, `metadata` (width and height,
            None before compute_metadata) and the label field.
        field: a Classification, Classifications or Detections. A sample without it has no known labels.
        unlabelled: tag of the samples to learn from; by default unlabelled or train.
        test: tag of the samples to test on; by default test, validation or val.
        label_names: C classes; by default the dataset's `classes[field]`, its `default_classes`, or all names
            that occur, sorted.

    Raises:
        InputError: no sample has the tag.
        LabelError: an unknown class, or a field of another type.
    """
    rows = list(samples)
    labels = [_labels(sample, field) for sample in rows]
    names = list(label_names or _declared(samples, field))
    if not names:
        names = sorted({name for found in labels for name, _ in found or []})
    index = {name: number for number, name in enumerate(names)}
    tags = [_tag(rows, unlabelled, LEARN_TAGS), _tag(rows, test, TEST_TAGS)]
    first, second = (
        [_entry(row, found, index) for row, found in zip(rows, labels, strict=True) if tag in row.tags] for tag in tags
    )
    return Annotations(names, first, second)


def _tag(rows: Sequence[Any], name: str | None, usual: Sequence[str]) -> str:
    known = {tag for row in rows for tag in row.tags}
    found = next((tag for tag in ([name] if name else usual) if tag in known), None)
    if found is None:
        raise InputError(
            f"no sample is tagged {name or ' or '.join(usual)}; tags are {', '.join(sorted(known)) or 'none'}"
        )
    return found


def _declared(samples: Any, field: str) -> Sequence[str]:
    classes = getattr(samples, "classes", None) or {}
    return classes.get(field) or getattr(samples, "default_classes", None) or ()


def _labels(sample: Any, field: str) -> list[tuple[str, Any]] | None:
    """(class, bounding box or None) of each label; None where the sample has no such field."""
    try:
        value = sample[field]
    except (KeyError, AttributeError):
        return None
    if value is None:
        return None
    found: Iterable[Any]
    if hasattr(value, "detections"):
        found = value.detections
    elif hasattr(value, "classifications"):
        found = value.classifications
    elif hasattr(value, "label"):
        found = [value]
    else:
        kind = type(value).__name__
        raise LabelError(f"{sample.filepath}: {field} is a {kind}; wanted Classification(s) or Detections")
    return [(one.label, getattr(one, "bounding_box", None)) for one in found]


def _entry(sample: Any, labels: list[tuple[str, Any]] | None, index: dict[str, int]) -> Annotated:
    item = file_item(Path(sample.filepath))
    if labels is None:
        return Annotated(item, None)
    for name, _ in labels:
        if name not in index:
            raise LabelError(f"{item.id}: no class is called {name!r}; there are {len(index)} classes")
    boxes = [(index[name], box) for name, box in labels if box is not None]
    size = sample.metadata and (sample.metadata.width, sample.metadata.height)
    if size and all(size):
        measured = [_box(label, box, *size) for label, box in boxes]
        return annotated(item, {index[name] for name, _ in labels}, measured)
    sizes: dict[int, float] = {}
    for label, (_, _, width, height) in boxes:  # relative already; no areas without the image's size
        sizes[label] = max(width, height, sizes.get(label, 0.0))
    return Annotated(item, frozenset(index[name] for name, _ in labels), sizes)


def _box(label: int, box: Sequence[float], width: int, height: int) -> Box:
    return Box(label, box[2] * width, box[3] * height, width, height, box[2] * width * box[3] * height)
