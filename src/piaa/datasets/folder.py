"""Images in folders: with a truth file beside them, or one folder a class (ImageFolder)."""

from __future__ import annotations

from pathlib import Path

from piaa.datasets.base import Annotated, Annotations, file_item
from piaa.errors import InputError
from piaa.evaluation.truth import Truth, read_truth
from piaa.inputs.images import printable
from piaa.inputs.items import Item, list_folder
from piaa.vocabulary.labels import read_labels

LABEL_FILES = ("labels.txt", "classes.txt")
TRUTH_FILES = ("truth.csv", "truth.jsonl")
LEARN_FOLDERS = ("unlabelled", "unlabeled", "train")
TEST_FOLDERS = ("test", "val", "validation")
SAME = "no folder of images to learn from: the test images are learnt from too, without their labels"


def find_folder(root: Path) -> Path | None:
    """`root`, where it holds a label file and a truth file."""
    return root if _first(root, LABEL_FILES) and _first(root, TRUTH_FILES) else None


def read_folder(
    home: Path, *, labels: str | None = None, truth: str | None = None, unlabelled: str | None = None
) -> Annotations:
    """A folder with a label file, a truth file that names the test images, and images to learn from.

    Args:
        home: the folder; the other paths are relative to it.
        labels: class names, one a line; by default labels.txt or classes.txt.
        truth: see `piaa.evaluation.truth`; by default truth.csv or truth.jsonl.
        unlabelled: folder of images to learn from; by default unlabelled or train, and without any of them the
            test images themselves (a note says so).

    Raises:
        InputError: a file or folder is not there, or no image is in it.
        LabelError: see `piaa.evaluation.truth.read_truth`.
    """
    names = [label.name for label in read_labels(_chosen(home, labels, LABEL_FILES, "label file"))]
    test = from_truth(read_truth(_chosen(home, truth, TRUTH_FILES, "truth file"), names))
    if unlabelled is not None and not (home / unlabelled).is_dir():
        raise InputError(f"{printable(home / unlabelled)}: no such folder")
    folder = home / unlabelled if unlabelled is not None else _first(home, LEARN_FOLDERS)
    if folder is None:
        return Annotations(names, test, test, [SAME])
    return Annotations(names, [Annotated(item, None) for item in list_folder(folder).items()], test)


def from_truth(truth: Truth) -> list[Annotated]:
    """The images of a truth file, by their paths from here."""
    return [
        Annotated(file_item(truth.folder / path), labels, truth.sizes.get(path, {}), truth.areas.get(path, {}))
        for path, labels in truth.labels.items()
    ]


def find_image_folder(root: Path) -> Path | None:
    """`root`, where it holds train and test (or val), each with a folder for each class."""
    learn, test = _first(root, LEARN_FOLDERS), _first(root, TEST_FOLDERS)
    whole = learn and test and learn.is_dir() and test.is_dir() and _classes(learn) and _classes(test)
    return root if whole else None


def read_image_folder(home: Path, *, unlabelled: str | None = None, test: str | None = None) -> Annotations:
    """ImageFolder: SPLIT/CLASS/image, or CLASS/image without splits; nested folders belong to their class.

    Args:
        home: the folder.
        unlabelled: folder of the images to learn from; by default train (or unlabelled).
        test: folder of the test images; by default test or val. Without such folders every folder of `home` is a
            class, and its images are both (a note says so).

    Raises:
        InputError: a named folder is not there, or holds no class folder.
    """
    learn_from = home / unlabelled if unlabelled else _first(home, LEARN_FOLDERS)
    test_on = home / test if test else _first(home, TEST_FOLDERS)
    if not (unlabelled or test) and not (learn_from and test_on):
        names = _classes(home)
        entries = _class_images(home, names)
        return Annotations(names, entries, entries, [SAME])
    if learn_from is None or test_on is None:
        what = f"images to learn from ({', '.join(LEARN_FOLDERS)})" if learn_from is None else "test images (test, val)"
        raise InputError(f"{printable(home)}: no folder of {what}")
    names = sorted({*_classes(learn_from), *_classes(test_on)})
    return Annotations(names, _class_images(learn_from, names), _class_images(test_on, names))


def _class_images(folder: Path, names: list[str]) -> list[Annotated]:
    here = [(number, folder / name) for number, name in enumerate(names) if (folder / name).is_dir()]
    if not here:
        raise InputError(f"{printable(folder)}: no folder in it; wanted one for each class")
    entries: list[Annotated] = []
    for number, place in here:
        items: list[Item] = list(list_folder(place).items())
        entries += [Annotated(item, frozenset([number])) for item in items]
    return entries


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"{printable(folder)}: no such folder")
    return sorted(place.name for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def _first(home: Path, names: tuple[str, ...]) -> Path | None:
    return next((home / name for name in names if (home / name).exists()), None)


def _chosen(home: Path, name: str | None, usual: tuple[str, ...], what: str) -> Path:
    path = home / name if name is not None else _first(home, usual)
    if path is None:
        raise InputError(f"{printable(home)}: no {what}; wanted {' or '.join(usual)}, or name another")
    return path
