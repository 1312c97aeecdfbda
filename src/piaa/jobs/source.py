"""The images of a run as a stream: drawn block by block, never held as a whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sized
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from piaa.errors import InputError
from piaa.inputs.items import Item, iterate, list_folder


@dataclass
class Source:
    """What a user called images, opened once.

    Attributes:
        items: the stream.
        total: how many, where that is known without reading the stream.
        skipped: files that were left out, by lower-case ending; complete when the stream has ended.
    """

    items: Iterator[Item]
    total: int | None = None
    skipped: Counter[str] = field(default_factory=Counter)

    def take(self, count: int) -> list[Item]:
        """The next items, fewer at the end."""
        return list(islice(self.items, count))


def open_items(inputs: Any) -> Source:
    """Open what `piaa.inputs.items.iterate` takes.

    Raises:
        InputError: see there.
    """
    if isinstance(inputs, str | os.PathLike) and os.path.isdir(inputs):
        listing = list_folder(inputs)
        if listing.paths or listing.unreadable:
            return Source(listing.items(), len(listing.paths) + len(listing.unreadable), listing.skipped)
    known = len(inputs) if isinstance(inputs, list | tuple) and isinstance(inputs, Sized) else None
    return Source(iterate(inputs), known)


def open_again(inputs: Any) -> Source:
    """Open it once more, from its first item.

    Raises:
        InputError: it can be read only once, as a generator.
    """
    if isinstance(inputs, Iterator):
        raise InputError("cannot resume: the images changed, and they come from what can be read only once")
    return open_items(inputs)
