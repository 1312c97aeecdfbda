"""Whatever a user calls images becomes a stream of `Item`, and the stream becomes batches of tensors.

Nothing is decoded before its turn, and never more than a few batches are held, however many images there are.
"""

from __future__ import annotations

import glob
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from piaa.errors import ImageError, InputError
from piaa.inputs.images import SUFFIXES, printable, to_image
from piaa.vision.preprocess import Preprocess

Preprocessor = Callable[[Image.Image], Tensor]


@dataclass(frozen=True)
class Item:
    """One image of a run, not decoded yet.

    Attributes:
        id: the path as text that is always UTF-8, or `image-12` (counted from 0) for one without a file.
        source: what `piaa.inputs.images.to_image` takes, or an `ImageError` that is known before any decoding.
    """

    id: str
    source: Any

    def load(self, ample: int = 0) -> Image.Image:
        """Decode: PIL RGB, upright.

        Args:
            ample: pixels a side that are enough; see `piaa.inputs.images.open_image`.

        Raises:
            ImageError: it cannot be read; its path is this `id`.
        """
        if isinstance(self.source, ImageError):
            raise self.source
        try:
            return to_image(self.source, name=self.id, ample=ample)
        except ImageError as error:
            raise ImageError(self.id, error.reason) from error


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
    """Find the image files below a folder.

    By their ending (`piaa.inputs.images.SUFFIXES`). Hidden files and folders are left out, uncounted. Links are
    followed; a folder is entered once, by whichever of its names sorts first, so loops end.

    Raises:
        InputError: the folder itself cannot be listed.
    """
    listing = Listing([], Counter(), [])
    seen: set[tuple[int, int]] = set()
    pending = [Path(folder)]
    while pending:
        current = pending.pop()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as scan:
                entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            reason = error.strerror or str(error)
            if not seen or current == Path(folder):
                raise InputError(f"{printable(folder)}: the folder cannot be listed: {reason}") from error
            listing.unreadable.append((printable(current), f"the folder cannot be listed: {reason}"))
            continue
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        folders = [current / entry.name for entry in visible if _is_folder(entry)]
        pending += reversed(folders)
        for entry in visible:
            if not _is_folder(entry):
                _sort_in(listing, current / entry.name)
    listing.paths.sort(key=lambda path: os.fsencode(path.relative_to(folder)).split(os.fsencode(os.sep)))
    return listing


def iterate(inputs: Any) -> Iterator[Item]:
    """The images of anything a user may give.

    Args:
        inputs: a folder; an image file; a glob (`photos/**/*.jpg`); a PIL image; a numpy array H x W x 3 or
            N x H x W x 3, or a tensor 3 x H x W or N x 3 x H x W; or an iterable of image files, PIL images,
            arrays and tensors. Arrays and tensors hold pictures, not normalised values: see `to_image`.

    Returns:
        Items in an order that depends on the input alone.

    Raises:
        InputError: no such file or folder, no image in it, or not something that can hold images. A single
            bad member of a list is no such error: its `load` raises `ImageError`.
    """
    if isinstance(inputs, Item):
        return iter([inputs])
    if isinstance(inputs, str | os.PathLike):
        return _from_path(inputs)
    if isinstance(inputs, Image.Image | bytes):
        return iter([Item("image-0", inputs)])
    if isinstance(inputs, torch.Tensor | np.ndarray):
        many = inputs.ndim == 4
        return _from_members(inputs if many else [inputs])
    if isinstance(inputs, Mapping):
        raise InputError("a mapping is no list of images: its values would be lost; give list(images.values())")
    if isinstance(inputs, Iterable):
        return _from_members(inputs)
    kind = type(inputs).__name__
    raise InputError(f"a {kind} holds no images: give a folder, a path, or a list of paths, images or arrays")


def _from_path(path: str | os.PathLike[str]) -> Iterator[Item]:
    name = printable(path)
    if os.path.isdir(path):
        listing = list_folder(path)
        if not listing.paths and not listing.unreadable:
            others = sum(listing.skipped.values())
            raise InputError(f"{name}: no image in this folder ({others} files with other endings)")
        return listing.items()
    if os.path.lexists(path):
        return iter([Item(name, Path(path))])
    pattern = os.fspath(path)
    if not glob.has_magic(pattern):
        raise InputError(f"{name}: no such file or folder")
    found = sorted(_matches(pattern), key=os.fsencode)
    paths = [match for match in found if not match.is_dir() and _suffix(match) in SUFFIXES]
    if not paths:
        raise InputError(f"{name}: no image matches this pattern")
    return (Item(printable(match), match) for match in paths)


def _matches(pattern: str) -> Iterator[Path]:
    """What a glob pattern names. `**` does not follow links to folders (they can loop) and skips hidden names."""
    parts = Path(pattern).parts
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed]) if fixed else Path()
    for match in root.glob(str(Path(*parts[fixed:]))):
        if not any(part.startswith(".") for part in match.relative_to(root).parts):
            yield match


def _from_members(members: Iterable[Any]) -> Iterator[Item]:
    for index, member in enumerate(members):
        if isinstance(member, Item):
            yield member
        elif isinstance(member, str | os.PathLike):
            yield Item(printable(member), Path(member))
        else:
            yield Item(f"image-{index}", member)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _sort_in(listing: Listing, path: Path) -> None:
    suffix = _suffix(path)
    if suffix in SUFFIXES:
        listing.paths.append(path)
    else:
        listing.skipped[suffix] += 1


def _suffix(path: str | os.PathLike[str]) -> str:
    return os.path.splitext(os.fspath(path))[1].lower()


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
