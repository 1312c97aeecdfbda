"""PASCAL VOC: an annotation's XML, and an image set."""

from __future__ import annotations

from pathlib import Path

from piaa.datasets.base import assemble
from piaa.datasets.voc import read_voc

from ..harness import Seed, Target

XML = """<annotation><filename>a.jpg</filename><size><width>64</width><height>48</height><depth>3</depth></size>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax>
</bndbox></object><object><name>person</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>
<xmax>2</xmax><ymax>2</ymax></bndbox><part><name>head</name></part></object></annotation>"""


def seeds(folder: Path) -> list[Seed]:
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _good(folder)
    (folder / "JPEGImages" / "a.jpg").touch()
    return [Seed(XML.encode(), ".xml"), Seed(b"a\r\n", ".txt"), Seed(b"a  1\n\na -1\n", ".txt")]


def read(data: bytes, suffix: str, folder: Path) -> None:
    _good(folder)
    place = "Annotations/a.xml" if suffix == ".xml" else "ImageSets/Main/test.txt"
    (folder / place).write_bytes(data)
    assemble("voc2007", read_voc(folder, 2007))
    read_voc(folder, 2007, difficult="count")


def _good(folder: Path) -> None:
    (folder / "Annotations" / "a.xml").write_text(XML)
    for split in ("trainval", "test"):
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("a\n")


TARGET = Target("voc", seeds, read)
