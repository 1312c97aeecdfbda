"""Small trees in the official layouts, from plain tables; every image is a scene drawn by the project."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from piaa.scenes import render, sample_scene

ROOT = Path(__file__).resolve().parents[2]
LISTS = Path(os.environ.get("PIAA_LISTS") or ROOT.parent / "shared" / "data" / "labels")
HAVE_LISTS = (LISTS / "voc07train.txt").is_file()
WIDTH, HEIGHT = 64, 48

Objects = Sequence[tuple[str, bool, tuple[int, int, int, int]]]


@cache
def _jpeg(index: int) -> bytes:
    import io

    stream = io.BytesIO()
    render(sample_scene(3, "test", index), (WIDTH, HEIGHT)).save(stream, "JPEG")
    return stream.getvalue()


def picture(path: Path, index: int = 0) -> Path:
    """One of a few drawn scenes as a JPEG, 64 x 48."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_jpeg(index % 4))
    return path


def voc_tree(root: Path, year: int, splits: Mapping[str, Mapping[str, Objects]], images: bool = True) -> Path:
    """VOCdevkit/VOCyear: split to image to (class as written on disk, difficult, xmin ymin xmax ymax)."""
    home = root / "VOCdevkit" / f"VOC{year}"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        (home / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\r\n" for name in rows))
        for number, (name, objects) in enumerate(rows.items()):
            (home / "Annotations" / f"{name}.xml").write_text(voc_xml(name, objects))
            if images:
                picture(home / "JPEGImages" / f"{name}.jpg", number)
    return home


def voc_xml(name: str, objects: Objects) -> str:
    """An annotation as the archives have it, a person's part (with a name of its own) included."""
    parts = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    body = "".join(
        f"<object><name>{label}</name><pose>Left</pose><truncated>0</truncated><difficult>{int(difficult)}</difficult>"
        f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
        f"{parts if label == 'person' else ''}</object>"
        for label, difficult, (x0, y0, x1, y1) in objects
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}.jpg</filename>{size}<segmented>0</segmented>{body}</annotation>"


CATEGORY_IDS = [n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
"""COCO's 80 category ids have gaps."""


def coco_json(
    path: Path,
    names: Sequence[str],
    rows: Mapping[str, Iterable[tuple[int, tuple[float, float, float, float], int]]],
) -> None:
    """instances_*.json: file name to (class index, box x y width height, iscrowd)."""
    images, annotations = [], []
    for number, (name, objects) in enumerate(rows.items(), start=1):
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for label, box, crowd in objects:
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": CATEGORY_IDS[label], "bbox": list(box),
                "area": box[2] * box[3] / 2, "iscrowd": crowd, "segmentation": [],
            })  # fmt: skip
    categories = [{"id": CATEGORY_IDS[c], "name": name, "supercategory": "x"} for c, name in enumerate(names)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories[::-1]}))


def nus_tree(
    root: Path,
    names: Sequence[str],
    train: Mapping[str, Iterable[int]],
    test: Mapping[str, Iterable[int]],
    all_of_it: bool,
) -> Path:
    """ImageList and Groundtruth/AllLabels or TrainTestLabels, Windows paths and line ends as in the archives."""
    parts = {"Train": train, "Test": test}
    (root / "ImageList").mkdir(parents=True)
    for part, rows in parts.items():
        _names(root / "ImageList" / f"{part}Imagelist.txt", rows)
    if all_of_it:
        rows = {**test, **train}
        _names(root / "ImageList" / "Imagelist.txt", rows)
        _columns(root / "Groundtruth" / "AllLabels", names, rows, "")
    else:
        for part, rows in parts.items():
            _columns(root / "Groundtruth" / "TrainTestLabels", names, rows, f"_{part}")
    return root


def _names(path: Path, rows: Iterable[str]) -> None:
    path.write_text("".join(name.replace("/", "\\") + ".jpg\r\n" for name in rows))


def _columns(folder: Path, names: Sequence[str], rows: Mapping[str, Iterable[int]], ending: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = [["0"] * len(rows) for _ in names]
    for row, labels in enumerate(rows.values()):
        for label in labels:
            columns[label][row] = "1"
    for name, column in zip(names, columns, strict=True):
        (folder / f"Labels_{name}{ending}.txt").write_text("\r\n".join(column) + "\r\n")
