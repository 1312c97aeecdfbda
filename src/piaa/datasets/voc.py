"""PASCAL VOC 2007 and 2012: VOCdevkit/VOCyear with JPEGImages, Annotations (XML) and ImageSets/Main.

The rule for objects marked `difficult`: they give no label, as the official statistics and classification task
have it (an image set file says 0 for such a class), and as the published lists of the paper have it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from piaa.datasets.base import Annotated, Annotations, Box, annotated, class_names, file_item, first_folder, read_lines
from piaa.errors import InputError, LabelError
from piaa.inputs.images import printable

SPLITS = {2007: ("trainval", "test"), 2012: ("train", "val")}
"""The paper's: images to learn from, images to test on."""

Difficult = Literal["ignore", "count"]


def find_voc(root: Path, year: int) -> Path | None:
    """The folder VOCyear, at `root` or up to two folders below it."""
    name = f"VOC{year}"
    places = (".", name, f"VOCdevkit/{name}", f"*/{name}", f"*/VOCdevkit/{name}")
    return first_folder(root, places, lambda place: place.name == name and (place / "ImageSets" / "Main").is_dir())


def read_voc(
    home: Path,
    year: int,
    *,
    difficult: Difficult = "ignore",
    unlabelled: str | None = None,
    test: str | None = None,
) -> Annotations:
    """Read VOCyear.

    Args:
        home: the folder VOC2007 or VOC2012.
        year: 2007 or 2012.
        difficult: `ignore` (the rule above) or `count`: a difficult object gives its label too.
        unlabelled: an image set of ImageSets/Main; the paper's by default (trainval of 2007, train of 2012).
        test: likewise (test of 2007, val of 2012).

    Raises:
        InputError: a list or an annotation is not there, or a list is empty.
        LabelError: naming file and fault: broken XML, an object without name or box, an unknown class.
    """
    if difficult not in ("ignore", "count"):
        raise InputError(f"difficult={difficult!r}: must be 'ignore' or 'count'")
    names = class_names("voc")
    index = {name.replace(" ", ""): number for number, name in enumerate(names)}
    splits = [chosen or usual for chosen, usual in zip((unlabelled, test), SPLITS[year], strict=True)]
    first, second = (_read_split(home, split, index, difficult) for split in splits)
    rule = "give no label" if difficult == "ignore" else "give their label too"
    return Annotations(names, first, second, [f"objects marked difficult {rule}"])


def _read_split(home: Path, split: str, index: dict[str, int], difficult: Difficult) -> list[Annotated]:
    names = [line.split()[0] for line in read_lines(home / "ImageSets" / "Main" / f"{split}.txt")]
    return [_read_image(home, name, index, difficult) for name in names]


def _read_image(home: Path, name: str, index: dict[str, int], difficult: Difficult) -> Annotated:
    path = home / "Annotations" / f"{name}.xml"
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise InputError(
            f"{printable(path)}: cannot be read: {error.strerror or error}; the image set names {name}, so the "
            "archive is not wholly unpacked"
        ) from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise LabelError(f"{printable(path)}: broken XML ({error}); unpack the archive again") from error
    image_width, image_height = (_number(root, f"size/{side}", path) for side in ("width", "height"))
    boxes = []
    for element in root.findall("object"):
        if difficult == "ignore" and (element.findtext("difficult") or "0").strip() == "1":
            continue
        label = (element.findtext("name") or "").strip()
        if label not in index:
            raise LabelError(f"{printable(path)}: an object of the class {label!r}; VOC has {', '.join(index)}")
        low_x, low_y, high_x, high_y = (_number(element, f"bndbox/{c}", path) for c in ("xmin", "ymin", "xmax", "ymax"))
        width, height = high_x - low_x + 1, high_y - low_y + 1  # corners are pixels of the object, both of them
        boxes.append(Box(index[label], width, height, image_width, image_height, width * height))
    return annotated(file_item(home / "JPEGImages" / f"{name}.jpg"), {box.label for box in boxes}, boxes)


def _number(element: ElementTree.Element, place: str, path: Path) -> float:
    text = element.findtext(place)
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise LabelError(f"{printable(path)}: no number in <{place.replace('/', '><')}>: {text!r}") from None
