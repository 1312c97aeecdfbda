"""What is given in Python: lists, generators, arrays, tensors, pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.inputs.images import printable
from piaa.inputs.item import Item, failed
from piaa.inputs.sources.base import Settings, Source


class MemberSource(Source):
    """The members of an iterable in their order, drawn as they are needed.

    Text and paths are files, folders, patterns, tars or URLs; a file that is not there is an item whose `load` says
    so, and so is a folder without an image. Pictures, arrays, tensors and bytes are `image-12`, counted from 0 over all
    members. An iterator can be iterated once.

    Args:
        members: the iterable.
        settings: how images are read.
        open_place: gives the source of a member that is text or a path; None for one that is not there.
    """

    def __init__(
        self, members: Iterable[Any], settings: Settings, open_place: Callable[[str, Settings], Source | None]
    ) -> None:
        super().__init__(settings)
        self.members, self.open_place = members, open_place

    def items(self) -> Iterator[Item]:
        """See the class."""
        for index, member in enumerate(self.members):
            if isinstance(member, Item):
                yield member
            elif isinstance(member, Source):
                yield from self._part(member)
            elif isinstance(member, str | os.PathLike):
                yield from self._place(member)
            else:
                yield self.settings.item(f"image-{index}", member)

    def _place(self, member: str | os.PathLike[str]) -> Iterator[Item]:
        alone = replace(self.settings, entered=set(), named=set())  # a list that names a thing twice has it twice
        try:
            source = self.open_place(os.fspath(member), alone)
        except InputError as error:
            yield failed(printable(member), str(error).removeprefix(f"{printable(member)}: "))
            return
        if source is None:
            yield self.settings.item(printable(member), Path(member))  # its `load` says that it is not there
        else:
            yield from self._part(source)

    def _part(self, part: Source) -> Iterator[Item]:
        yield from (item for _, item in parts_items(part, self.skipped))


class SeveralSource(Source):
    """Several sources, one after the other.

    One that has no image is an item whose `load` says so, as long as another has some. An image that an earlier one
    gave is left out where both are folders or files on disk.

    Args:
        parts: the sources, made with these settings.
        settings: how images are read.
    """

    def __init__(self, parts: list[Source], settings: Settings) -> None:
        super().__init__(settings)
        self.parts = parts
        self._empty: list[Item] = []

    def items(self) -> Iterator[Item]:
        """See the class."""
        self._empty, found = [], False
        for part in self.parts:
            for good, item in parts_items(part, self.skipped):
                if good and not found:
                    found = True
                    yield from self._empty
                if good or found:
                    yield item
                else:
                    self._empty.append(item)

    def below(self, name: str) -> list[str]:
        """What each of them calls it."""
        return [short for part in self.parts for short in part.below(name)]

    def nothing(self) -> str:
        """What each of them says."""
        return "; ".join(str(item.source) for item in self._empty) or "no images given"


def parts_items(part: Source, skipped: Counter[str]) -> Iterator[tuple[bool, Item]]:
    """The items of a part of something larger, which counts in `skipped`.

    Yields:
        True and an item; or False and one whose `load` says why the part has none.
    """
    part.skipped, found, reason = skipped, False, ""
    try:
        for item in part.items():
            found = True
            yield True, item
    except InputError as error:
        reason = str(error).removeprefix(f"{part.label}: ")
    reason = reason or ("" if found else part.nothing())
    if reason:
        yield False, failed(part.label, reason)
