"""Patterns such as `photos/**/*.jpg`."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator
from pathlib import Path

from piaa.inputs.formats import is_tar, suffix_of
from piaa.inputs.images import printable
from piaa.inputs.item import Item
from piaa.inputs.sources.base import Settings, Source, inside
from piaa.inputs.sources.lists import ListSource, is_table
from piaa.inputs.sources.members import parts_items
from piaa.inputs.sources.tars import TarSource


class GlobSource(Source):
    """The image files that a pattern names, one folder held at a time.

    `*`, `?` and `[...]` stand for parts of a name, `**` for any folders; it does not follow links to folders (they can
    loop). Hidden names are left out, folders that match are not entered. In the order of their paths, part by part,
    each byte by byte. A pattern that ends as tars do, or in `.parquet`, gives what is in them.

    Args:
        pattern: with at least one of these signs.
        settings: how files are read.
    """

    def __init__(self, pattern: str, settings: Settings) -> None:
        super().__init__(settings, printable(pattern))
        parts = Path(pattern).parts
        fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
        self.root = Path(*parts[:fixed]) if fixed else Path()
        self._repeats = False
        self.parts = (*parts[fixed:], "*") if parts[-1] == "**" else parts[fixed:]

    def items(self) -> Iterator[Item]:
        """See the class."""
        for path in self._below(self.root, self._closed({0})):
            if is_tar(self.parts[-1]):
                yield from self._held_by(TarSource(os.fspath(path), self.settings))
            elif is_table(self.parts[-1]):
                yield from self._held_by(ListSource(path, self.settings))
            elif not self.settings.wants(suffix_of(path.name)):
                self.skipped[suffix_of(path.name)] += 1
            elif self.settings.gave(path):
                self._repeats = True
            else:
                yield from self.settings.of_file(path)
        self.settings.patterns.append(self.matches)

    def _held_by(self, part: Source) -> Iterator[Item]:
        """The images of a tar or a table; one that cannot be read is an item whose `load` says so."""
        return (item for _, item in parts_items(part, self.skipped))

    def matches(self, path: Path) -> bool:
        """Whether the pattern names this path, written as it is."""
        start = len(self.root.parts)
        if path.parts[:start] != self.root.parts or any(part.startswith(".") for part in path.parts[start:]):
            return False
        *folders, name = path.parts[start:]
        states = self._closed({0})
        for folder in folders:
            fitting = [state for state in states if self._fits(folder, state)]
            following = [state if self.parts[state] == "**" else state + 1 for state in fitting]
            states = self._closed({state for state in following if state < len(self.parts)})
        return self._fits(name, len(self.parts) - 1) and len(self.parts) - 1 in states

    def below(self, name: str) -> list[str]:
        """Below the folder at which the pattern begins; in a tar also the member's name."""
        found = super().below(name)
        tar, mark, member = name.partition("!")
        return [*found, member] if mark and found and (is_tar(tar) or is_table(tar)) else found

    def begins(self) -> list[str]:
        """The folder at which the pattern begins."""
        return [inside(self.root)]

    def nothing(self) -> str:
        """That nothing matches; empty where the images were given before."""
        return "" if self._repeats else "no image matches this pattern"

    def _below(self, folder: Path, states: frozenset[int]) -> Iterator[Path]:
        """Files below a folder that match.

        Args:
            folder: where to look.
            states: the parts of the pattern that a name in it may match, so that no file comes twice.
        """
        try:
            with os.scandir(folder) as scan:
                entries = sorted((e for e in scan if not e.name.startswith(".")), key=lambda e: os.fsencode(e.name))
        except OSError:  # what a pattern does not reach, it does not name
            return
        for entry in entries:
            matched = [state for state in states if self._fits(entry.name, state)]
            if not matched:
                continue
            if not _leads_on(entry):
                if any(state == len(self.parts) - 1 for state in matched):
                    yield folder / entry.name
                continue
            following = {state + 1 for state in matched if self.parts[state] != "**" and state + 1 < len(self.parts)}
            if not entry.is_symlink():
                following |= {state for state in matched if self.parts[state] == "**"}
            if following:
                yield from self._below(folder / entry.name, self._closed(following))

    def _fits(self, name: str, state: int) -> bool:
        return self.parts[state] == "**" or fnmatch.fnmatch(name, self.parts[state])

    def _closed(self, states: set[int]) -> frozenset[int]:
        """With each `**` also what follows it, since it may stand for no folder."""
        closed = set(states)
        for state in sorted(states):
            following = state
            while self.parts[following] == "**":
                following += 1
                closed.add(following)
        return frozenset(closed)


def _leads_on(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
