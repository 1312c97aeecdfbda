"""COCO's instances_val2017.json beside a good instances_train2017.json."""

from __future__ import annotations

import json
from pathlib import Path

from piaa.datasets.base import assemble, class_names
from piaa.datasets.coco import read_coco

from ..harness import Seed, Target

IDS = [n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]


def seeds(folder: Path) -> list[Seed]:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in (1, 2)]
    annotations = [
        {"id": n, "image_id": 1 + n % 2, "category_id": n, "bbox": [1, 2, 30, 20], "area": 300, "iscrowd": n % 2}
        for n in (1, 2, 3)
    ]
    categories = [{"id": number, "name": name} for number, name in zip(IDS, class_names("coco"), strict=True)]
    data = json.dumps({"annotations": annotations, "images": images, "categories": categories}).encode()
    for split in ("train2017", "val2017"):
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / split).mkdir(exist_ok=True)
        (folder / "annotations" / f"instances_{split}.json").write_bytes(data)
        (folder / split / "1.jpg").touch()
    return [Seed(data)]


def read(data: bytes, suffix: str, folder: Path) -> None:
    (folder / "annotations" / "instances_val2017.json").write_bytes(data)
    assemble("coco2017", read_coco(folder, 2017))
    read_coco(folder, 2017, crowds="ignore", areas="mask")


TARGET = Target("coco", seeds, read)
