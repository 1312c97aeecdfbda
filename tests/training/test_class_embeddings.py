"""Word vectors from a file: whole names, words of a name, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from piaa.errors import LabelError
from piaa.training.class_embeddings import read_class_embeddings

TEXT = "the 9 9 9\nDog 1 2 3\nhot 0 0 2\ntable 4 4 0\ndining 0 2 0\nhot-dog 7 7 7\n"


def test_words_are_averaged_and_a_whole_name_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text(TEXT, encoding="utf-8")
    found = read_class_embeddings(path, ["dog", "Dining table", "hot dog"])
    assert found.tolist() == [[1, 2, 3], [2, 3, 0], [7, 7, 7]]


def test_an_array_is_taken_in_the_order_of_the_classes(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "e.npy", values)
    assert read_class_embeddings(tmp_path / "e.npy", ["b", "a"]).tolist() == values.tolist()
    with pytest.raises(LabelError, match=r"each of the 3 classes.*\(2, 3\)"):
        read_class_embeddings(tmp_path / "e.npy", ["a", "b", "c"])


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text(TEXT + "cat 1 2\n", encoding="utf-8")
    with pytest.raises(LabelError, match="the first: zebra"):
        read_class_embeddings(path, ["dog", "zebra"])
    with pytest.raises(LabelError, match="different numbers"):
        read_class_embeddings(path, ["dog", "cat"])
    with pytest.raises(LabelError, match="cannot be read"):
        read_class_embeddings(tmp_path / "none.txt", ["dog"])
    (tmp_path / "broken.npy").write_bytes(b"no array")
    with pytest.raises(LabelError, match="cannot be read"):
        read_class_embeddings(tmp_path / "broken.npy", ["dog"])
