"""Whatever a user calls images becomes a stream of `Item`, and the stream becomes batches of tensors.

Nothing is decoded before its turn, and never more than a few batches are held, however many images there are.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from piaa.errors import ImageError, InputError
from piaa.inputs.images import printable
from piaa.inputs.item import Item
from piaa.inputs.sources import Settings, Source, open_source, read_arguments
from piaa.inputs.sources.folders import FolderSource
from piaa.inputs.sources.members import MemberSource
from piaa.vision.preprocess import Preprocess

__all__ = [
    "Batch", "Item", "Listing", "Preprocessor", "Source", "batches", "iterate", "list_folder", "open_source",
    "read_arguments",
]  # fmt: skip

Preprocessor = Callable[[Image.Image], Tensor]


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        paths: image files, nested ones too, sorted by their path below the folder, code point by code point.
        skipped: how many files were left out, by lower-case ending (`.txt`; empty for none).
        unreadable: (folder, reason) of nested folders that cannot be listed.
    """

    paths: list[Path]
    skipped: Counter[str]
    unreadable: list[tuple[str, str]]

    def items(self) -> Iterator[Item]:
        """The images, then one item for each unreadable folder, so that a run reports it like a bad image."""
        yield from (Item(printable(path), path) for path in self.paths)
        yield from (Item(name, ImageError(name, reason)) for name, reason in self.unreadable)


def list_folder(folder: str | os.PathLike[str]) -> Listing:
    """Find the image files below a folder, all at once; `piaa.inputs.sources.folders` does it as a stream.

    Raises:
        InputError: the folder itself cannot be listed.
    """
    source = FolderSource(folder, Settings())
    paths = list(source.paths())
    return Listing(paths, source.skipped, source.unreadable)


def iterate(inputs: Any) -> Iterator[Item]:
    """The images of anything a user may give, one after another; nothing is listed whole.

    Args:
        inputs: what `piaa.inputs.sources.open_source` takes, which has settings too, and counts what is left out.

    Returns:
        Items in an order that depends on the input alone.

    Raises:
        InputError: no such file or folder, no image in it, or not something that can hold images. A single
            bad member of a list is no such error: its `load` raises `ImageError`.
    """
    source = open_source(inputs)
    stream = iter(source)
    if isinstance(source, MemberSource):
        return stream
    first = next(stream, None)  # so that an empty folder is an error here and now
    return chain([] if first is None else [first], stream)


@dataclass(frozen=True)
class Batch:
    """Images that go through the model together.

    Attributes:
        ids: n, of the items.
        indices: n, positions of the items in the stream, from 0; what could not be read leaves a gap.
        images: n x 3 x H x W float32, preprocessed.
    """

    ids: list[str]
    indices: list[int]
    images: Tensor


def batches(
    items: Iterable[Item],
    preprocess: Preprocessor,
    batch_size: int = 64,
    workers: int = 2,
    on_error: Callable[[ImageError], None] | None = None,
    *,
    start: int = 0,
) -> Iterator[Batch]:
    """Decode and preprocess ahead in threads, and stack.

    Order and content of the batches depend on the items alone, not on `workers`. At most `2 * batch_size`
    preprocessed images wait beside the batch in hand; items are drawn from the stream as they are needed.

    Args:
        items: the stream.
        preprocess: PIL RGB to 3 x H x W. A `Preprocess` says how large a picture need be (`ample`).
        batch_size: images in a batch, at least 1; the last one may be smaller.
        workers: threads; 0 works in the caller's.
        on_error: told of each image that cannot be read, in the stream's order, in the caller's thread; what
            it raises ends the iteration. Without it the first such error is raised.
        start: index of the first item.

    Raises:
        InputError: for `batch_size` below 1 or `workers` below 0.
        ImageError: see `on_error`.
    """
    if batch_size < 1 or workers < 0:
        raise InputError(f"batch size must be at least 1 and workers at least 0, got {batch_size} and {workers}")
    return _stack(_decoded(items, preprocess, 2 * batch_size, workers, start), batch_size, on_error)


_Decoded = tuple[int, str, Tensor | ImageError]


def _stack(
    decoded: Iterator[_Decoded], batch_size: int, on_error: Callable[[ImageError], None] | None
) -> Iterator[Batch]:
    ids: list[str] = []
    indices: list[int] = []
    images: list[Tensor] = []
    for index, name, result in decoded:
        if isinstance(result, ImageError):
            if on_error is None:
                raise result
            on_error(result)
            continue
        ids.append(name)
        indices.append(index)
        images.append(result)
        if len(images) == batch_size:
            yield Batch(ids, indices, torch.stack(images))
            ids, indices, images = [], [], []
    if images:
        yield Batch(ids, indices, torch.stack(images))


def _decoded(
    items: Iterable[Item], preprocess: Preprocessor, ahead: int, workers: int, start: int
) -> Iterator[_Decoded]:
    """Results in the order of the stream, computed up to `ahead` items early."""
    numbered = enumerate(items, start)
    if workers == 0:
        yield from (_decode(index, item, preprocess) for index, item in numbered)
        return
    pending: deque[Future[_Decoded]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="piaa-decode")
    try:
        for index, item in numbered:
            pending.append(pool.submit(_decode, index, item, preprocess))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode(index: int, item: Item, preprocess: Preprocessor) -> _Decoded:
    try:
        return index, item.id, preprocess(item.load(preprocess.ample if isinstance(preprocess, Preprocess) else 0))
    except ImageError as error:
        return index, item.id, error
    except MemoryError:
        return index, item.id, ImageError(item.id, "not enough memory to prepare it")
    except Exception as error:  # one image must not stop the others, whatever its preprocessing does
        return index, item.id, ImageError(item.id, f"cannot be prepared: {type(error).__name__}: {error}")
