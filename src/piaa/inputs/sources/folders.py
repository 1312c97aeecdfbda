"""Folders and files on disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from piaa.errors import InputError
from piaa.inputs.formats import HEAD, looks_like_image, suffix_of
from piaa.inputs.images import printable
from piaa.inputs.item import Item, failed
from piaa.inputs.sources.base import Settings, Source, inside, place_of


class FileSource(Source):
    """One file that was named: it is opened whatever its ending.

    Args:
        path: of the file.
        settings: how it is read.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Settings) -> None:
        super().__init__(settings, printable(path))
        self.path = Path(path)

    def items(self) -> Iterator[Item]:
        """The file, or a video's frames; nothing where a folder that was given before holds it."""
        if self.settings.gave(self.path):
            return
        place = place_of(self.path)
        if place is not None:
            self.settings.named.add(place)
        yield from self.settings.of_file(self.path)

    def begins(self) -> list[str]:
        """Its folder."""
        return [inside(self.path.parent)]


class FolderSource(Source):
    """The image files below a folder, nested ones too, one folder held at a time.

    By their ending (`piaa.inputs.formats.SUFFIXES`); a file without one is looked at. Hidden files and folders are
    left out, uncounted. Links are followed; a folder is entered once, by whichever of its names comes first, so loops
    end. In the order of their paths below the folder, part by part, each byte by byte. Nested folders that cannot
    be listed come last, as items whose `load` says why.

    Args:
        path: of the folder.
        settings: how files are read.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Settings) -> None:
        super().__init__(settings, printable(path))
        self.path = Path(path)
        self.unreadable: list[tuple[str, str]] = []
        self._repeats = False

    def items(self) -> Iterator[Item]:
        """See the class."""
        for path in self.paths():
            yield from self.settings.of_file(path)
        yield from (failed(name, reason) for name, reason in self.unreadable)

    def paths(self) -> Iterator[Path]:
        """The image files; afterwards `unreadable` has (folder, reason) of those that could not be listed."""
        self.unreadable.clear()
        yield from self._below(self.path)

    def _below(self, folder: Path) -> Iterator[Path]:
        try:
            status = os.stat(folder)
            here = (status.st_dev, status.st_ino)
            if here in self.settings.entered:
                self._repeats = True
                return
            self.settings.entered.add(here)
            names, folders = _listed(folder)
        except OSError as error:
            reason = f"the folder cannot be listed: {error.strerror or error}"
            if folder == self.path:
                raise InputError(f"{printable(folder)}: {reason}") from error
            self.unreadable.append((printable(folder), reason))
            return
        while names:  # taken from the end, so that a large folder shrinks as it is worked through
            name = names.pop()
            if name in folders:
                yield from self._below(folder / name)
            elif (*here, name) in self.settings.named or any(m(folder / name) for m in self.settings.patterns):
                self._repeats = True
            elif self._wanted(folder / name):
                yield folder / name

    def _wanted(self, path: Path) -> bool:
        suffix = suffix_of(path.name)
        if self.settings.wants(suffix) or (not suffix and _shows_an_image(path)):
            return True
        self.skipped[suffix] += 1
        return False

    def begins(self) -> list[str]:
        """The folder."""
        return [inside(self.path)]

    def nothing(self) -> str:
        """How many other files there are; empty where the images were given before."""
        if self._repeats:
            return ""
        others = sum(self.skipped.values())
        return f"no image in this folder ({others} files with other endings)"


def _listed(folder: Path) -> tuple[list[str], frozenset[str]]:
    """Visible names in a folder, the last first, and which of them are folders."""
    names, folders = [], set()
    with os.scandir(folder) as scan:
        for entry in scan:
            if not entry.name.startswith("."):
                names.append(entry.name)
                if _is_folder(entry):
                    folders.add(entry.name)
    names.sort(key=os.fsencode, reverse=True)
    return names, frozenset(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _shows_an_image(path: Path) -> bool:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as stream:
            return looks_like_image(stream.read(HEAD))
    except OSError:
        return False
