"""NUS-WIDE: ImageList, Groundtruth/AllLabels or TrainTestLabels, and the images in Flickr/CONCEPT/NUMBER_ID.jpg.

Many of the 269,648 images can no longer be had: those not on disk are reported, and the rest is used. Images
without any of the 81 concepts stay in, as in the published list.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piaa.datasets.base import Annotated, Annotations, Disk, class_names, file_item, first_folder, read_lines
from piaa.datasets.lists import find_list, read_split_list
from piaa.errors import InputError, LabelError
from piaa.inputs.images import printable

PAPER_TRAIN = 150_000
URL_LISTS = ("NUS-WIDE-urls.txt", "NUS-WIDE-urls/NUS-WIDE-urls.txt", "ImageList/NUS-WIDE-urls.txt")


def find_nus_wide(root: Path) -> Path | None:
    """The folder that holds ImageList and Groundtruth, at `root` or up to two folders below it."""
    return first_folder(
        root, (".", "*", "*/*"), lambda place: (place / "ImageList").is_dir() and (place / "Groundtruth").is_dir()
    )


def read_nus_wide(
    home: Path, *, lists: str | Path | None = None, images: str | Path | None = None, learn_from: int = PAPER_TRAIN
) -> Annotations:
    """Read the official split, or the paper's.

    Args:
        home: the folder that holds `ImageList` and `Groundtruth`.
        lists: folder of the split lists published with the method, of which `nuswideval.txt` must be there. The
            test images are then those of the list. The images to learn from are those of `nuswidetrain.txt`
            where it is there; else all others, and of more than `learn_from` on disk a fixed choice (by a hash
            of the name). Labels are those of `Groundtruth` all the same.
        images: folder of the images; by default Flickr, images, or `home` itself.
        learn_from: see `lists`.

    Raises:
        InputError: a list is not there or empty, or a published list names images that ImageList has not.
        LabelError: naming file and fault: a label file of another length or with other values than 0 and 1.
    """
    names = class_names("nus-wide")
    table = _labels_of_all(home, names)
    folder = Path(images) if images else first_folder(home, ("Flickr", "images", ".")) or home
    if lists is None:
        splits = [_names(home / "ImageList" / f"{part}Imagelist.txt") for part in ("Train", "Test")]
        notes = ["the official split; the paper's is given by lists=FOLDER"]
    else:
        splits, notes = _published_split(Path(lists), table, folder, learn_from)
    for split in splits:
        unknown = [name for name in split if name not in table]
        if unknown:
            raise InputError(f"{len(unknown):,} listed images are not in ImageList, such as {unknown[0]}")
    first, second = ([_entry(folder, name, table[name]) for name in split] for split in splits)
    return Annotations(names, first, second, notes)


def read_urls(path: Path) -> dict[str, str | None]:
    """NUS-WIDE-urls.txt: image (`actor/0001_2124494179`) to an address of it, middle size first, None for none."""
    urls: dict[str, str | None] = {}
    for line in read_lines(path):
        cells = line.split()
        if len(cells) < 3 or cells[0].startswith("%") or cells[0] == "Photo_file":
            continue
        large, middle, *rest = [*cells[2:], "null"]
        urls[_name(cells[0])] = next((url for url in (middle, large, *rest) if url != "null"), None)
    return urls


def _entry(folder: Path, name: str, labels: frozenset[int]) -> Annotated:
    return Annotated(file_item(folder / f"{name}.jpg"), labels)


def _name(line: str) -> str:
    """`C:\\ImageData\\Flickr\\actor\\0001_2124494179.jpg` or any part of it to `actor/0001_2124494179`."""
    return "/".join(line.replace("\\", "/").split("/")[-2:]).removesuffix(".jpg")


def _names(path: Path) -> list[str]:
    return [_name(line) for line in read_lines(path)]


def _labels_of_all(home: Path, classes: list[str]) -> dict[str, frozenset[int]]:
    """Every image of the lists with its labels, from AllLabels or else from TrainTestLabels."""
    truth, lists = home / "Groundtruth", home / "ImageList"
    if (truth / "AllLabels").is_dir():
        parts = [(lists / "Imagelist.txt", truth / "AllLabels", "")]
    else:
        parts = [(lists / f"{p}Imagelist.txt", truth / "TrainTestLabels", f"_{p}") for p in ("Train", "Test")]
    table: dict[str, frozenset[int]] = {}
    for path, folder, ending in parts:
        names = _names(path)
        columns = [_column(folder / f"Labels_{name}{ending}.txt", len(names), path) for name in classes]
        rows, labels = np.nonzero(np.stack(columns, axis=1))
        starts = np.searchsorted(rows, np.arange(len(names) + 1))
        for row, name in enumerate(names):
            table.setdefault(name, frozenset(labels[starts[row] : starts[row + 1]].tolist()))
    return table


def _column(path: Path, count: int, listing: Path) -> NDArray[np.bool_]:
    values = np.array(read_lines(path))
    if len(values) != count:
        raise LabelError(f"{printable(path)}: {len(values):,} lines, but {listing.name} has {count:,} images")
    ones: NDArray[np.bool_] = values == "1"
    odd = np.flatnonzero(~(ones | (values == "0")))
    if len(odd):
        raise LabelError(f"{printable(path)}, line {odd[0] + 1}: {str(values[odd[0]])!r}; must be 0 or 1")
    return ones


def _published_split(
    lists: Path, table: dict[str, frozenset[int]], folder: Path, learn_from: int
) -> tuple[list[list[str]], list[str]]:
    held, train = find_list(lists, "nuswideval"), find_list(lists, "nuswidetrain")
    if held is None:
        raise InputError(f"{printable(lists)}: no nuswideval.txt in it, the published list of the test images")
    test = list(read_split_list(held))
    if train is not None:
        return [list(read_split_list(train)), test], ["the published split, from both lists"]
    disk, tested = Disk(), set(test)
    others = [name for name in table if name not in tested]
    here = [name for name in others if disk.has(file_item(folder / f"{name}.jpg"))]
    if len(here) <= learn_from:
        return [others, test], ["the published test list; the images to learn from are all others"]
    chosen = set(sorted(here, key=lambda name: hashlib.sha256(name.encode()).digest())[:learn_from])
    note = (
        f"the published test list; the images to learn from are a fixed {learn_from:,} of {len(here):,} others on disk"
    )
    return [[name for name in here if name in chosen], test], [note]


def about_missing(home: Path, missing: list[Path]) -> str | None:
    """How many of the missing images have an address in the url list; None where there is no url list."""
    path = first_folder(home, URL_LISTS, Path.is_file)
    if path is None:
        return None
    urls = read_urls(path)
    names = [f"{image.parent.name}/{image.stem}" for image in missing]
    with_url = sum(urls.get(name) is not None for name in names)
    unlisted = sum(name not in urls for name in names)
    return (
        f"of {len(names):,} missing images {with_url:,} have an address in {path.name}, {len(names) - with_url:,} have "
        f"none ({unlisted:,} are not in it)"
    )
