"""Embeddings of a list of images, held in memory: for a few thousand images; more belong into a feature store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piaa.engine import Setup
from piaa.errors import ImageError, InputError
from piaa.inputs.items import Item, batches
from piaa.jobs import Progress


@dataclass(frozen=True)
class Embedded:
    """Embeddings of n images that could be read: ids, cls n x d, patches n x M x d, grid; float16."""

    ids: list[str]
    cls: NDArray[np.float16]
    patches: NDArray[np.float16]
    grid: tuple[int, int]
    failed: list[tuple[str, str]]


def embed(setup: Setup, items: Sequence[Item], workers: int = 2, progress: Progress | None = None) -> Embedded:
    """Encode images once.

    Raises:
        InputError: none can be read.
    """
    failed: list[tuple[str, str]] = []

    def report(error: ImageError) -> None:
        failed.append((error.path, error.reason))

    encode, ids = setup.encoder(), []
    cls, patches, grid = [], [], (0, 0)
    for batch in batches(items, setup.preprocess, setup.decoded_together, workers, report):
        encoded = encode(batch.images)
        ids += batch.ids
        cls.append(encoded.cls.cpu().numpy().astype(np.float16))
        patches.append(encoded.patches.cpu().numpy().astype(np.float16))
        grid = encoded.grid
        if progress:
            progress(batch.indices[-1] + 1, len(items))
    if not ids:
        raise InputError(f"none of the {len(items)} images can be read; the first: {failed[:1]}")
    return Embedded(ids, np.concatenate(cls), np.concatenate(patches), grid, failed)
