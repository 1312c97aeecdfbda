"""MS-COCO 2014 and 2017: annotations/instances_*.json beside train2014, val2014 (or 2017).

Every annotation gives its label, crowds too; images without any annotation are left out, as in the paper.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, Literal

from piaa.datasets.base import Annotated, Annotations, Box, annotated, class_names, file_item, first_folder
from piaa.errors import InputError, LabelError
from piaa.inputs.images import printable

Crowds = Literal["count", "ignore"]
Without = Literal["drop", "keep"]
Areas = Literal["box", "mask"]


def find_coco(root: Path, year: int) -> Path | None:
    """The folder that holds annotations/instances_val{year}.json, at `root` or one folder below it."""
    return first_folder(root, (".", "coco", f"coco{year}", "*"), lambda place: _json_of(place, f"val{year}").is_file())


def read_coco(
    home: Path, year: int, *, crowds: Crowds = "count", without_labels: Without = "drop", areas: Areas = "box"
) -> Annotations:
    """Read train{year} as the images to learn from and val{year} as the test.

    Args:
        home: the folder that holds `annotations` and the images (train2014/..., or images/train2014/...).
        year: 2014 or 2017.
        crowds: `count`: a crowd (iscrowd) gives its label as any object; `ignore`: it gives none.
        without_labels: `drop` or `keep` images without any label.
        areas: `box` (width x height) or `mask`: COCO's own `area`, which its size classes are made of.

    Raises:
        InputError: a file is not there or broken, pycocotools is not installed, or an option has another value.
        LabelError: the categories are not COCO's 80.
    """
    options = {"crowds": (crowds, Crowds), "without_labels": (without_labels, Without), "areas": (areas, Areas)}
    for name, (value, kind) in options.items():
        if value not in kind.__args__:  # type: ignore[attr-defined]
            raise InputError(f"{name}={value!r}: must be {' or '.join(map(repr, kind.__args__))}")  # type: ignore[attr-defined]
    names = class_names("coco")
    splits, notes = [], []
    for split in (f"train{year}", f"val{year}"):
        entries = _read_split(home, split, names, crowds, areas)
        kept = [entry for entry in entries if entry.labels or without_labels == "keep"]
        if len(kept) < len(entries):
            notes.append(f"{split}: {len(entries) - len(kept):,} images without labels left out")
        splits.append(kept)
    return Annotations(names, splits[0], splits[1], notes)


def _read_split(home: Path, split: str, names: list[str], crowds: Crowds, areas: Areas) -> list[Annotated]:
    path = _json_of(home, split)
    try:
        return _entries(_load(path), path, home, split, names, crowds, areas)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise LabelError(f"{printable(path)}: an entry is not as COCO writes it ({reason})") from error


def _entries(
    coco: Any, path: Path, home: Path, split: str, names: list[str], crowds: Crowds, areas: Areas
) -> list[Annotated]:
    categories = coco.loadCats(sorted(coco.getCatIds()))
    found = [category["name"] for category in categories]
    if found != names:
        odd = next((name for name in found if name not in names), "fewer of them")
        raise LabelError(f"{printable(path)}: {len(found)} categories, not the 80 of COCO (such as {odd!r})")
    index = {category["id"]: number for number, category in enumerate(categories)}
    images = first_folder(home, (split, f"images/{split}")) or home / split
    entries = []
    for image in sorted(coco.imgs.values(), key=lambda image: str(image["file_name"])):
        rows = [row for row in coco.imgToAnns.get(image["id"], []) if crowds == "count" or not row.get("iscrowd")]
        boxes = [_box(row, index, image, areas, path) for row in rows]
        item = file_item(images / image["file_name"])
        entries.append(annotated(item, {box.label for box in boxes}, boxes))
    if not entries:
        raise InputError(f"{printable(path)}: the list of images is empty")
    return entries


def _box(row: dict[str, Any], index: dict[int, int], image: dict[str, Any], areas: Areas, path: Path) -> Box:
    if row["category_id"] not in index:
        raise LabelError(
            f"{printable(path)}: annotation {row.get('id')} is of the unknown category {row['category_id']}"
        )
    width, height = row["bbox"][2:]
    area = width * height if areas == "box" else row["area"]
    return Box(index[row["category_id"]], width, height, image["width"], image["height"], area)


def _json_of(home: Path, split: str) -> Path:
    return home / "annotations" / f"instances_{split}.json"


def _load(path: Path) -> Any:
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise InputError("reading COCO needs pycocotools: pip install pycocotools") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints as it loads
            coco = COCO(str(path))
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read: {error.strerror or error}") from error
    except (ValueError, AssertionError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{printable(path)}: not a COCO annotation file ({error}); unpack the archive again"
        ) from error
    if not coco.dataset.get("categories") or "annotations" not in coco.dataset:
        raise InputError(f"{printable(path)}: no categories or annotations in it; is it instances_*.json?")
    return coco
