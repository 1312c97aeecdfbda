"""Embeddings of classes from a user's file, such as the GloVe vectors that SST and SARB were published with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from piaa.errors import LabelError


def read_class_embeddings(path: Path, names: Sequence[str]) -> Tensor:
    """Embeddings of classes, C x e, float32.

    Args:
        path: a `.npy` array C x e in the order of the classes, or a text file of word vectors as GloVe's are: a word
            and its numbers a line. A class of several words has the mean of theirs; a line that has the whole name,
            its spaces written as `_` or `-`, goes first.
        names: C class names.

    Raises:
        LabelError: the file cannot be read, has another shape, or lacks a word.
    """
    try:
        vectors = _array(path) if path.suffix == ".npy" else _words(path, names)
    except (OSError, ValueError) as error:
        raise LabelError(f"{path}: cannot be read as class embeddings ({error})") from error
    if vectors.ndim != 2 or len(vectors) != len(names) or not np.isfinite(vectors).all():
        raise LabelError(
            f"{path}: class embeddings must be finite numbers, one row for each of the {len(names)} classes; "
            f"this has the shape {vectors.shape}"
        )
    return torch.from_numpy(vectors.astype(np.float32))


def _array(path: Path) -> np.ndarray:
    found: np.ndarray = np.load(path, allow_pickle=False)
    return found


def _words(path: Path, names: Sequence[str]) -> np.ndarray:
    whole = {name: name.lower().replace(" ", "_") for name in names}
    parts = {name: [word for word in re.split(r"[\s_-]+", name.lower()) if word] for name in names}
    wanted = {*whole.values(), *(word for words in parts.values() for word in words)}
    found: dict[str, np.ndarray] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            word, _, numbers = line.rstrip().partition(" ")
            key = word.lower().replace("-", "_") if "-" in word.strip("-") else word.lower()
            if key in wanted:
                found.setdefault(key, np.array(numbers.split(), dtype=np.float64))
    missing = [word for name in names if whole[name] not in found for word in parts[name] if word not in found]
    if missing:
        raise LabelError(f"{path}: has no line for {len(missing)} words of the classes, the first: {missing[0]}")
    rows = [
        found[whole[name]] if whole[name] in found else np.mean([found[word] for word in parts[name]], axis=0)
        for name in names
    ]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("its lines have different numbers of values")
    return np.stack(rows)
