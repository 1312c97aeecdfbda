"""Label files."""

from __future__ import annotations

from pathlib import Path

from piaa.vocabulary.labels import read_labels

from ..harness import Seed, Target

SEEDS = (
    "cat\ndog\numbrella: parasol, brolly\n",
    "# a comment\r\n\r\nbird: \r\nTrinidad, Tobago:\r\n",
    "\ufeffchien\nзонт\n傘: 番傘\n",
    "a\n" * 3,
)


def seeds(folder: Path) -> list[Seed]:
    return [Seed(text.encode()) for text in SEEDS]


def read(data: bytes, suffix: str, folder: Path) -> None:
    path = folder / "labels.txt"
    path.write_bytes(data)
    for label in read_labels(path):
        assert label.name.isprintable() or label.name.strip(), label
        assert not set(label.name) & set("\n\r\x1b\x00"), label


TARGET = Target("labels", seeds, read, share=0.5)
