"""The split lists published with the method."""

from __future__ import annotations

from pathlib import Path

from piaa.datasets.lists import read_split_list

from ..harness import Seed, Target


def seeds(folder: Path) -> list[Seed]:
    return [Seed(b"000001 3 7\n000002\n000003 19\n"), Seed("\ufeffa/b 0\r\n".encode())]


def read(data: bytes, suffix: str, folder: Path) -> None:
    (folder / "list.txt").write_bytes(data)
    read_split_list(folder / "list.txt")


TARGET = Target("split-lists", seeds, read, share=0.3)
