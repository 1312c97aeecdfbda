"""NUS-WIDE: a list of images, a column of labels, the list of addresses."""

from __future__ import annotations

from pathlib import Path

from piaa.datasets.base import assemble, class_names
from piaa.datasets.nus_wide import about_missing, read_nus_wide

from ..harness import Seed, Target

LIST, COLUMN = b"actor\\0001_1.jpg\r\nanimal\\0002_2.jpg\r\n", b"1\r\n0\r\n"
URLS = b"Photo_file Photo_id url_Large url_Middle\r\nC:\\Flickr\\actor\\0001_1.jpg 1 null http://x/y.jpg null null\r\n"


def seeds(folder: Path) -> list[Seed]:
    for name in ("ImageList", "Groundtruth/TrainTestLabels", "Flickr/actor"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for part in ("Train", "Test"):
        for name in class_names("nus-wide"):
            (folder / "Groundtruth" / "TrainTestLabels" / f"Labels_{name}_{part}.txt").write_bytes(COLUMN)
    (folder / "Flickr" / "actor" / "0001_1.jpg").touch()
    return [Seed(LIST, ".list"), Seed(COLUMN, ".column"), Seed(URLS, ".urls")]


def read(data: bytes, suffix: str, folder: Path) -> None:
    name = class_names("nus-wide")[0]
    places = {
        ".list": ("ImageList/TestImagelist.txt", LIST),
        ".column": (f"Groundtruth/TrainTestLabels/Labels_{name}_Train.txt", COLUMN),
        ".urls": ("NUS-WIDE-urls.txt", URLS),
    }
    (folder / "ImageList" / "TrainImagelist.txt").write_bytes(LIST)
    for ending, (place, good) in places.items():
        (folder / place).write_bytes(data if ending == suffix else good)
    assemble("nus-wide", read_nus_wide(folder))
    about_missing(folder, [folder / "Flickr" / "animal" / "0002_2.jpg"])


TARGET = Target("nus-wide", seeds, read)
