"""One image of a run, not decoded yet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from piaa.errors import ImageError
from piaa.inputs.chatter import to_the_log
from piaa.inputs.images import MAX_PIXELS, printable, to_image

Stamp = tuple[Any, ...]
"""What stays the same as long as an image does; made of numbers and text, so that it can be written down."""


class Lazy(ABC):
    """An image that is not a file of its own: a member of a tar, a row of a table, a file elsewhere, a frame.

    Those of this package can be sent to other processes.
    """

    @abstractmethod
    def fetch(self) -> Any:
        """What `piaa.inputs.images.to_image` takes. Called in any thread; may raise anything."""

    def stamp(self) -> Stamp | None:
        """See `Item.stamp`."""
        return None


@dataclass(frozen=True)
class Item:
    """One image of a run, not decoded yet.

    Attributes:
        id: the path or URL as text that is always UTF-8; `FILE.tar!MEMBER` in a tar, `TABLE!row-12` in a table,
            `CLIP.mp4!3.200s` in a video; `image-12` (counted from 0) for one that has no name.
        source: what `piaa.inputs.images.to_image` takes, a `Lazy`, or an `ImageError` that is known before any
            decoding.
        max_pixels: see `piaa.inputs.images.open_image`.
    """

    id: str
    source: Any
    max_pixels: int = field(default=MAX_PIXELS, kw_only=True)

    def load(self, ample: int = 0) -> Image.Image:
        """Decode: PIL RGB, upright.

        Args:
            ample: pixels a side that are enough; see `piaa.inputs.images.open_image`.

        Raises:
            ImageError: it cannot be read; its path is this `id`.
        """
        if isinstance(self.source, ImageError):
            raise self.source
        to_the_log()
        try:
            return to_image(self._fetched(), name=self.id, max_pixels=self.max_pixels, ample=ample)
        except ImageError as error:
            raise ImageError(self.id, error.reason) from error

    def stamp(self) -> Stamp | None:
        """What tells an unchanged image from a changed one, without reading it.

        Returns:
            Size in bytes and time of change in ns for a file; what the source offers for others (ETag and size for a
            remote file, both files' sizes and times for a member of a tar). None where nothing is known: a picture in
            memory, a file that is gone, a server that says nothing.
        """
        if isinstance(self.source, Lazy):
            return self.source.stamp()
        return stamp_of(self.source) if isinstance(self.source, Path) else None

    def fetched(self) -> Item:
        """The same with what its `Lazy` source gives, so that it is fetched once for several uses.

        Raises:
            ImageError: it cannot be fetched.
        """
        return Item(self.id, self._fetched(), max_pixels=self.max_pixels)

    def _fetched(self) -> Any:
        if not isinstance(self.source, Lazy):
            return self.source
        try:
            return self.source.fetch()
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # whatever a foreign library does: one image must not stop the others
            raise ImageError(self.id, f"cannot be fetched: {_plain(error)}") from error


def stamp_of(path: Path) -> Stamp | None:
    """Size in bytes and time of change in ns; None for a file that is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def failed(name: str, reason: str) -> Item:
    """An item that only says why there is no image, so that a run reports it like a bad image."""
    return Item(printable(name), ImageError(printable(name), printable(reason)))


def _plain(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file (moved or removed?)"
    return f"{type(error).__name__}: {printable(str(error))}" if str(error) else type(error).__name__
