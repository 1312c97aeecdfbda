"""Folders of this machine that the page may open: those below one root, and no others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.inputs.images import SUFFIXES, printable
from piaa.inputs.items import Item, list_folder

MOST_LISTED = 1000


@dataclass(frozen=True)
class Found:
    """Pictures of a folder.

    Attributes:
        items: the pictures.
        others: how many files have the ending of no picture.
        unreadable: (path, reason) of what could not be looked into.
    """

    items: list[Item]
    others: int
    unreadable: list[tuple[str, str]]


@dataclass(frozen=True)
class Root:
    """The folder that the page may look into.

    Attributes:
        path: absolute, without links.
    """

    path: Path

    @classmethod
    def at(cls, folder: Path) -> Root:
        """The root at a folder.

        Raises:
            InputError: there is no such folder.
        """
        if not folder.expanduser().is_dir():
            raise InputError(f"{printable(folder)}: no such folder on this machine")
        return cls(folder.expanduser().resolve())

    def folder(self, text: str) -> Path:
        """A folder below the root, by its path or by its path from the root.

        Raises:
            InputError: it lies elsewhere, by a link too, or is no folder.
        """
        place = (self.path / Path(text.strip().strip("'\"")).expanduser()).resolve()
        if not place.is_relative_to(self.path):
            raise InputError(
                f"{printable(place)} is not below {printable(self.path)}; to open it, start with: piaa app FOLDER"
            )
        if not place.is_dir():
            raise InputError(f"{printable(place)}: no such folder on this machine")
        return place

    def listing(self, text: str) -> dict[str, Any]:
        """What the page shows of a folder: its path from the root, the folders in it, how many pictures lie in it.

        Raises:
            InputError: see `folder`; or it cannot be listed.
        """
        place = self.folder(text)
        try:
            with os.scandir(place) as scan:
                entries = [entry for entry in scan if not entry.name.startswith(".")]
        except OSError as error:
            raise InputError(f"{printable(place)}: cannot be listed: {error.strerror or error}") from error
        folders = sorted((entry.name for entry in entries if self._opens(entry)), key=str.casefold)
        pictures = sum(os.path.splitext(entry.name)[1].lower() in SUFFIXES for entry in entries)
        inside = place.relative_to(self.path)
        return {
            "root": printable(self.path),
            "path": printable(inside) if inside.parts else "",
            "parent": None if not inside.parts else printable(inside.parent) if inside.parent.parts else "",
            "folders": [printable(name) for name in folders[:MOST_LISTED]],
            "unlisted": max(0, len(folders) - MOST_LISTED),
            "pictures": pictures,
        }

    def pictures(self, place: Path) -> Found:
        """The pictures in a folder and those in it; links that lead out of the root are not followed.

        Raises:
            InputError: there is none, or the folder cannot be listed.
        """
        listing = list_folder(place)
        inside = [path for path in listing.paths if path.resolve().is_relative_to(self.path)]
        others = sum(listing.skipped.values())
        unreadable = list(listing.unreadable)
        if len(inside) < len(listing.paths):
            count = len(listing.paths) - len(inside)
            unreadable.append((printable(place), f"{count:,} pictures are links to outside of {printable(self.path)}"))
        if not inside:
            raise InputError(f"{printable(place)}: no picture in this folder ({others:,} files with other endings)")
        return Found([Item(printable(path), path) for path in inside], others, unreadable)

    def _opens(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir() and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(self.path))
        except OSError:
            return False
