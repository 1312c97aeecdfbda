"""Everything that images come from, behind one face: `Source`. One file for each kind."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from piaa.errors import InputError
from piaa.inputs.formats import is_tar
from piaa.inputs.images import MAX_PIXELS, printable
from piaa.inputs.item import Item
from piaa.inputs.sources.base import Settings, Source
from piaa.inputs.sources.folders import FileSource, FolderSource
from piaa.inputs.sources.globs import GlobSource
from piaa.inputs.sources.hugging_face import HuggingFaceSource, is_dataset, is_saved
from piaa.inputs.sources.lists import InputSource, ListSource, is_table
from piaa.inputs.sources.members import MemberSource, SeveralSource
from piaa.inputs.sources.places import is_url, local_path
from piaa.inputs.sources.remote import RemoteSource
from piaa.inputs.sources.tars import TarSource
from piaa.inputs.sources.within import WithinSource, find_items, holder_of

__all__ = ["Settings", "Source", "named_items", "open_source", "read_arguments"]

_STANDARD_INPUT = "-"

OPENERS: list[tuple[Callable[[str], bool], Callable[[str, Settings], Source]]] = [
    (lambda place: "!" in place and not _is_there(place) and holder_of(place) is not None, WithinSource),
    (is_url, RemoteSource),
    (lambda place: is_saved(local_path(place)), lambda place, settings: HuggingFaceSource(local_path(place), settings)),
    (lambda place: local_path(place).is_dir(), lambda place, settings: FolderSource(local_path(place), settings)),
    (lambda place: is_tar(place) and local_path(place).is_file(), TarSource),
    (lambda place: is_table(place) and local_path(place).is_file(), ListSource),
    (lambda place: os.path.lexists(local_path(place)), lambda place, s: FileSource(local_path(place), s)),
    (glob.has_magic, GlobSource),
]
"""Which source reads a place that is named in text: the first whose test it passes."""


def open_source(
    inputs: Any, *, max_pixels: int = MAX_PIXELS, frames: int = 0, storage: Mapping[str, Any] | None = None
) -> Source:
    """The images of anything a user may give, as a stream that is never listed whole.

    Args:
        inputs: a folder; an image file; a pattern (`photos/**/*.jpg`); a tar; a URL that fsspec knows; the id of an
            image in a tar or a table (`a.tar!1.jpg`); a folder that the `datasets` library saved, or one of its data
            sets; a PIL image; the bytes of a file; a numpy array H x W x 3 or N x H x W x 3, or a tensor 3 x H x W or
            N x 3 x H x W; a `Source`; or an iterable of these. Arrays and tensors hold pictures, not normalised
            values: see `piaa.inputs.images.to_image`.
        max_pixels: the largest width x height that is decoded; see `piaa.inputs.images.open_image`.
        frames: how many frames a video gives, evenly spaced; 0 leaves videos out.
        storage: options of fsspec file systems.

    Returns:
        The source; one that is given is returned as it is. Its order depends on the input alone.

    Raises:
        InputError: no such file or folder, or not something that can hold images. That there is no image in it, the
            iteration says.
    """
    settings = Settings(max_pixels, frames, dict(storage or {}))
    if isinstance(inputs, Source):
        return inputs
    if isinstance(inputs, str | os.PathLike):
        source = _open_place(os.fspath(inputs), settings)
        if source is None:
            raise InputError(f"{printable(inputs)}: no such file or folder")
        return source
    if is_dataset(inputs):
        return HuggingFaceSource(inputs, settings)
    if isinstance(inputs, Item | Image.Image | bytes):
        return MemberSource([inputs], settings, _open_place)
    if isinstance(inputs, torch.Tensor | np.ndarray):
        return MemberSource(inputs if inputs.ndim == 4 else [inputs], settings, _open_place)
    if isinstance(inputs, Mapping):
        raise InputError("a mapping is no list of images: its values would be lost; give list(images.values())")
    if isinstance(inputs, Iterable):
        return MemberSource(inputs, settings, _open_place)
    kind = type(inputs).__name__
    raise InputError(f"a {kind} holds no images: give a folder, a path, or a list of paths, images or arrays")


def read_arguments(
    images: Iterable[str] | None,
    list_file: str | os.PathLike[str] | None = None,
    *,
    max_pixels: int | None = None,
    frames: int = 0,
    storage: Mapping[str, Any] | None = None,
) -> Source:
    """The images that a command line names.

    Args:
        images: folders, files, patterns, tars, URLs, and `-` for paths on standard input; any mix, in this order. An
            image that two of them name comes once, where both are folders or files on disk.
        list_file: then those that a list names; see `piaa.inputs.sources.lists.ListSource`.
        max_pixels: as in `open_source`; None is its default.
        frames: likewise.
        storage: likewise.

    Returns:
        The source, for `inputs` of anything that takes images.

    Raises:
        InputError: nothing is named, or one of them is not there.
    """
    settings = Settings(max_pixels or MAX_PIXELS, frames, dict(storage or {}))
    parts: list[Source] = []
    for place in images or ():
        source = InputSource(settings) if place == _STANDARD_INPUT else _open_place(place, settings)
        if source is None:
            raise InputError(f"{printable(place)}: no such file or folder")
        parts.append(source)
    if sum(isinstance(part, InputSource) for part in parts) > 1:
        raise InputError("'-' stands for standard input, which can be read but once")
    if list_file is not None:
        parts.append(ListSource(list_file, settings))
    if not parts:
        raise InputError("no images given: name folders, files or patterns, '-' for paths on standard input, or --list")
    return parts[0] if len(parts) == 1 else SeveralSource(parts, settings)


def named_items(names: Iterable[str], *, max_pixels: int = MAX_PIXELS) -> Iterator[Item]:
    """The images of ids that items had before: files, URLs, `FILE.tar!MEMBER`, `TABLE!row-12`; each holder read once.

    Yields:
        An item for each id, in another order than that of the ids; for one that is not there, an item whose `load`
        says so.
    """
    return find_items(names, Settings(max_pixels), _open_place)


def _is_there(place: str) -> bool:
    return not is_url(place) and os.path.lexists(local_path(place))


def _open_place(place: str, settings: Settings) -> Source | None:
    """The source of a place; None where there is nothing of this name."""
    try:
        return next((make(place, settings) for fits, make in OPENERS if fits(place)), None)
    except ValueError:  # a null byte in the path
        return None
