"""Images by their ids: one within a tar, a table or a saved data set, such as `shards/000.tar!a/1.jpg`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from piaa.errors import InputError
from piaa.inputs.formats import is_tar
from piaa.inputs.images import printable
from piaa.inputs.item import Item, failed
from piaa.inputs.sources.base import Settings, Source
from piaa.inputs.sources.hugging_face import HuggingFaceSource, is_saved
from piaa.inputs.sources.lists import ENDINGS, ListSource
from piaa.inputs.sources.places import is_url, local_path
from piaa.inputs.sources.tars import TarSource

_ROW = "row-"


class WithinSource(Source):
    """One image of a tar, a table or a saved data set, named by the id that it has there.

    Args:
        place: the id.
        settings: how it is read.
    """

    def __init__(self, place: str, settings: Settings) -> None:
        super().__init__(settings, printable(place))
        self.holder = holder_of(place) or ""

    def items(self) -> Iterator[Item]:
        """The image.

        Raises:
            InputError: there is none of this name.
        """
        holder = _opened(self.holder, self.settings)
        for item in holder.items():
            if item.id == self.label:
                yield item
                return
        raise InputError(f"{self.label}: no such image in {holder.label}")

    def begins(self) -> list[str]:
        """That of what holds it."""
        return [f"{printable(self.holder)}!"]


def holder_of(place: str) -> str | None:
    """What an id says that the image lies in; None for one that does not look like it, or where that is not there."""
    at = place.find("!")
    while at > 0:
        holder, name = place[:at], place[at + 1 :]
        if name and _holds(holder, name):
            return holder
        at = place.find("!", at + 1)
    return None


def find_items(
    names: Iterable[str], settings: Settings, open_place: Callable[[str, Settings], Source | None]
) -> Iterator[Item]:
    """The images of these ids; each tar, table and data set among what holds them is read once, from front to back.

    Args:
        names: ids, as items had them.
        settings: how they are read.
        open_place: gives the source of a place that is named in text.

    Yields:
        An item for each id, in another order than that of the ids; for one that is not there, an item whose `load`
        says so.
    """
    holders: dict[str, dict[str, None]] = {}
    for name in names:
        holder = holder_of(name)
        if holder is not None:
            holders.setdefault(holder, {})[name] = None
            continue
        yield _alone(name, settings, open_place)
    for holder, wanted in holders.items():
        source = _opened(holder, settings)
        try:
            for item in source.items():
                if item.id in wanted:
                    del wanted[item.id]
                    yield item
                if not wanted:
                    break
        except InputError as error:
            yield from (failed(name, str(error)) for name in wanted)
            continue
        yield from (failed(name, f"no such image in {source.label}") for name in wanted)


def _alone(name: str, settings: Settings, open_place: Callable[[str, Settings], Source | None]) -> Item:
    alone = replace(settings, entered=set(), named=set(), patterns=[])  # two names of one file are two images here
    try:
        source = open_place(name, alone)
        found = None if source is None else next(source.items(), None)
    except InputError as error:
        return failed(name, str(error).removeprefix(f"{printable(name)}: "))
    if found is None or found.id != printable(name):
        return failed(name, "no such file (moved or removed?)")
    return found


def _holds(holder: str, name: str) -> bool:
    """Whether something that can hold an image of this name is there; of what is elsewhere, the ending decides."""
    table = holder.lower().endswith(ENDINGS) and name.startswith(_ROW)
    if is_url(holder):
        return is_tar(holder) or table
    path = local_path(holder)
    try:
        return (path.is_file() and (is_tar(holder) or table)) or (name.startswith(_ROW) and is_saved(path))
    except (OSError, ValueError):  # a name that no file can have
        return False


def _opened(holder: str, settings: Settings) -> Source:
    if is_tar(holder):
        return TarSource(holder, settings)
    if holder.lower().endswith(ENDINGS):
        return ListSource(holder, settings)
    return HuggingFaceSource(local_path(holder), settings)
