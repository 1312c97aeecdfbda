"""What of the published data sets is in a folder, whether it is what the paper used, and what is missing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from piaa.datasets.base import Annotated, Annotations, Disk
from piaa.datasets.lists import Agreement, compare, find_list, read_split_list
from piaa.datasets.registry import DATASETS, Archive, DatasetInfo, data_root, detect, read_annotations
from piaa.errors import PiaaError

ORDER = ("learn from", "test")


@dataclass(frozen=True)
class SplitCheck:
    """One split of one data set.

    Attributes:
        split: `learn from` or `test`.
        listed: images that the annotations name.
        expected: how many there should be, or None.
        missing: images that are not on disk.
        agreement: with the published list, where it was given.
    """

    split: str
    listed: int
    expected: int | None
    missing: list[Path]
    agreement: Agreement | None = None


@dataclass(frozen=True)
class Check:
    """One data set: where it was found (None: nowhere), its splits, what to know, what is wrong, what to get."""

    info: DatasetInfo
    home: Path | None
    splits: list[SplitCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    to_get: list[Archive] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Found, with every expected image on disk and every label as published (as far as lists were given)."""
        counted = all(split.expected in (None, split.listed) and not split.missing for split in self.splits)
        agreed = all(split.agreement is None or split.agreement.whole for split in self.splits)
        return bool(self.home and self.splits and counted and agreed and not self.problems)


def check(root: str | os.PathLike[str], lists: str | os.PathLike[str] | None = None) -> list[Check]:
    """Look at every published data set, and at whatever else lies in the folder.

    Reads all annotations; of COCO that takes some minutes and gigabytes of memory.

    Args:
        root: the folder.
        lists: folder of the split lists published with the method, to compare with image by image.

    Raises:
        InputError: no such folder.
    """
    found = {each.info.name: each.home for each in detect(data_root(root))}
    folder = None if lists is None else data_root(lists)
    chosen = [info for info in DATASETS.values() if info.counts or info.name in found]
    return [_check(info, found.get(info.name), folder) for info in chosen]


def _check(info: DatasetInfo, home: Path | None, lists: Path | None) -> Check:
    if home is None:
        return Check(info, None, to_get=list(info.archives))
    to_get = [one for one in info.archives if not any((home / place).exists() for place in one.places)]
    if info.name == "scenes":  # reading would draw
        return Check(
            info, home, notes=sorted(f"drawn: {mark.parent.name}" for mark in home.glob("scenes-*/scenes.json"))
        )
    options = {"lists": lists} if info.name == "nus-wide" and lists and find_list(lists, "nuswideval") else {}
    try:
        found = read_annotations(info, home, options)
        splits = _splits(info, found, lists)
    except PiaaError as error:
        return Check(info, home, problems=[str(error)], to_get=to_get)
    notes = list(found.notes)
    missing = [path for split in splits for path in split.missing]
    about = info.about_missing(home, missing) if info.about_missing and missing else None
    return Check(info, home, splits, notes + ([about] if about else []), to_get=to_get)


def _splits(info: DatasetInfo, found: Annotations, lists: Path | None) -> list[SplitCheck]:
    disk = Disk()
    expected = info.counts or (None, None)
    names = info.lists or (None, None)
    result = []
    for split, entries, count, name in zip(ORDER, (found.unlabelled, found.test), expected, names, strict=True):
        missing = [entry.item.source for entry in entries if not disk.has(entry.item)]
        agreement = _agreement(info, entries, lists, name) if lists and name else None
        result.append(SplitCheck(split, len(entries), count, missing, agreement))
    return result


def _agreement(info: DatasetInfo, entries: list[Annotated], lists: Path, name: str) -> Agreement | None:
    path = find_list(lists, name)
    return None if path is None else compare(entries, read_split_list(path), info.list_key)
