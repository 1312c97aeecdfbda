"""The images of a run as a stream: drawn block by block, never held as a whole."""

from __future__ import annotations

import copy
import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from piaa.errors import InputError, PiaaError
from piaa.inputs.items import Item
from piaa.inputs.sources import Source, open_source
from piaa.inputs.sources.folders import FileSource, FolderSource
from piaa.inputs.sources.globs import GlobSource
from piaa.inputs.sources.lists import is_table
from piaa.inputs.sources.members import SeveralSource

COUNT_AT_ONCE = 1.0
"""Seconds that a run waits for the number of its images; a longer count goes on beside the work."""


@dataclass
class Opened:
    """What a user called images, opened once.

    Attributes:
        items: the stream.
        total: how many, as soon as that is known.
        skipped: files that were left out, by lower-case ending; complete when the stream has ended.
    """

    items: Iterator[Item]
    total: int | None = None
    skipped: Counter[str] = field(default_factory=Counter)

    def take(self, count: int) -> list[Item]:
        """The next items, fewer at the end."""
        return list(islice(self.items, count))


def open_items(inputs: Any) -> Opened:
    """Open what `piaa.inputs.sources.open_source` takes.

    Raises:
        InputError: see there; also for a list with nothing in it, as soon as it is drawn from.
    """
    source = open_source(inputs)
    opened = Opened(iter(source), None, source.skipped)
    if isinstance(inputs, list | tuple) and not any(isinstance(each, str | os.PathLike) for each in inputs):
        opened.total = len(inputs)
    elif _on_disk(inputs):
        _count(inputs, opened)
    elif _listable(source):
        _count(copy.deepcopy(source), opened)
    return opened


def open_again(inputs: Any) -> Opened:
    """Open it once more, from its first item.

    Raises:
        InputError: it can be read only once, as a generator.
    """
    if isinstance(inputs, Iterator):
        raise InputError("cannot resume: the images changed, and they come from what can be read only once")
    return open_items(inputs)


def _on_disk(inputs: Any) -> bool:
    """Whether listing the images a second time, for their number, costs little and disturbs nothing."""
    several = inputs if isinstance(inputs, list | tuple) else [inputs]
    return all(
        isinstance(each, str | os.PathLike)
        and "://" not in os.fspath(each)
        and os.fspath(each) != "-"
        and not is_table(each)
        for each in several
    )


def _listable(source: Source) -> bool:
    """The same for what a command line named."""
    if isinstance(source, SeveralSource):
        return all(map(_listable, source.parts))
    if isinstance(source, GlobSource):
        return not is_table(source.parts[-1])  # whose images would be read to count them
    return isinstance(source, FolderSource | FileSource)


def _count(inputs: Any, opened: Opened) -> None:
    """Count in a thread; a large folder is at work before its number is known."""

    def count() -> None:
        try:
            opened.total = sum(1 for _ in open_source(inputs))
        except PiaaError:  # the run itself will say so
            return

    thread = threading.Thread(target=count, name="piaa-count", daemon=True)
    thread.start()
    thread.join(COUNT_AT_ONCE)
