"""What a worker does with a block of images: the same batches, in the same order, as the one-machine jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch

from piaa.cluster.results import Limits, Result, pruned, scores_to_bytes, to_bytes
from piaa.engine import Learner, Scorer
from piaa.errors import ImageError, PiaaError
from piaa.inputs.items import Batch, Item, batches
from piaa.recognizer import Recognizer

MOST_BYTES = 256 * 2**20
"""Of the files of one block that are read ahead; a block with more is read image by image."""


class Worker(Protocol):
    """Deals with one block at a time; nothing of a block stays behind."""

    def work(self, first: int, items: Sequence[Item], limits: Limits | None) -> Result:
        """The result of a block."""
        ...


class _Reader:
    """Batches of a block, and what failed in it."""

    def __init__(self, batch_size: int, threads: int) -> None:
        self.batch_size, self.threads = batch_size, threads
        self.errors: list[ImageError] = []
        self.read: list[int] = []

    def batches(self, first: int, items: Sequence[Item], preprocess: object) -> Iterator[Batch]:
        self.errors, self.read = [], []
        for batch in batches(items, preprocess, self.batch_size, self.threads, self.errors.append, start=first):  # type: ignore[arg-type]
            self.read += batch.indices
            yield batch

    def failed(self, first: int, count: int) -> dict[int, str]:
        """Errors come in the order of the images."""
        there = set(self.read)
        missing = [index for index in range(first, first + count) if index not in there]
        return {index: error.reason for index, error in zip(missing, self.errors, strict=True)}


class FitWorker:
    """Gathers the evidence of a block.

    Args:
        recognizer: not fitted; its model is loaded here.
        fingerprint: of the learner that the evidence is for.
        threads: of torch, and of decoding.

    Raises:
        PiaaError: model, words or recipe are others here than there.
    """

    def __init__(self, recognizer: Recognizer, fingerprint: str, threads: tuple[int, int]) -> None:
        torch.set_num_threads(threads[0])
        learner = recognizer.learner()
        assert isinstance(learner, Learner)
        self.learner = learner
        if self.learner.fingerprint != fingerprint:
            raise PiaaError(
                f"this worker would learn something else (fingerprint {self.learner.fingerprint}, wanted "
                f"{fingerprint}): piaa, torch, the weights and the kind of processor must be the same on all machines"
            )
        self.empty = self.learner.state_dict()
        self.reader = _Reader(self.learner.setup.decoded_together, threads[1])

    def work(self, first: int, items: Sequence[Item], limits: Limits | None) -> Result:
        """Images that cannot be read are named with their reason; the evidence is of all others."""
        self.learner.load_state_dict(self.empty)
        for batch in self.reader.batches(first, items, self.learner.preprocess):
            self.learner.update(batch.images, batch.indices)
        state = self.learner.state_dict()
        data = to_bytes(pruned(state, limits) if limits else state)
        return Result(first, len(items), self.reader.failed(first, len(items)), data)


class TagWorker:
    """Scores the images of a block.

    Args:
        recognizer: fitted; its model is loaded here.
        threads: of torch, and of decoding.
    """

    def __init__(self, recognizer: Recognizer, fingerprint: str, threads: tuple[int, int]) -> None:
        torch.set_num_threads(threads[0])
        scorer = recognizer.scorer()
        assert isinstance(scorer, Scorer)
        self.scorer = scorer
        if self.scorer.fingerprint != fingerprint:
            raise PiaaError(
                f"this worker would give other scores (fingerprint {self.scorer.fingerprint}, wanted {fingerprint})"
            )
        self.reader = _Reader(self.scorer.setup.decoded_together, threads[1])

    def work(self, first: int, items: Sequence[Item], limits: Limits | None) -> Result:
        """Scores of eq. 13 of every image that can be read, and as the last column how unlike the fit's it is."""
        batches = self.reader.batches(first, items, self.scorer.preprocess)
        seen = [self.scorer.look(batch.images) for batch in batches]
        rows = [torch.cat([one.scores.float(), one.strangeness[:, None]], dim=1) for one in seen]
        return Result(first, len(items), self.reader.failed(first, len(items)), scores_to_bytes(rows))


def read_ahead(items: Sequence[Item]) -> list[Item]:
    """The same items with the bytes of their files, as far as they can be had; a fault is left to who decodes them."""
    sizes = [_size(item) for item in items]
    if sum(sizes) > MOST_BYTES:
        return list(items)
    return [_with_bytes(item) if size else item for item, size in zip(items, sizes, strict=True)]


def _size(item: Item) -> int:
    if type(item) is not Item or not isinstance(item.source, Path):
        return 0
    try:
        return os.path.getsize(item.source) if os.path.isfile(item.source) else 0
    except OSError:
        return 0


def _with_bytes(item: Item) -> Item:
    try:
        return Item(item.id, item.source.read_bytes())
    except (OSError, ValueError):
        return item
