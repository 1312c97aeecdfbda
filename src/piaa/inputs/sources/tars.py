"""Tar files: WebDataset shards and any others.

The `webdataset` library is not used: it hands on decoded samples in a shuffled pipeline, whereas here each image must
have a name and a place of its own, so that a run can be resumed; the format itself is a plain tar.
"""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from piaa.errors import ImageError, InputError
from piaa.inputs.formats import HEAD, SUFFIXES, looks_like_image, suffix_of
from piaa.inputs.images import printable
from piaa.inputs.item import Item, Lazy, Stamp, failed
from piaa.inputs.sources.base import Settings, Source
from piaa.inputs.sources.places import MAX_BYTES, is_url, local_path, open_stream, url_stamp


@dataclass(frozen=True)
class Member(Lazy):
    """An image at its place in a tar on disk that is not compressed: read when its turn comes."""

    tar: str
    offset: int
    size: int
    known: Stamp | None = None

    def fetch(self) -> bytes:
        """The member's bytes."""
        with open(self.tar, "rb") as stream:
            stream.seek(self.offset)
            data = stream.read(self.size)
        if len(data) < self.size:
            raise ImageError(self.tar, "the tar is cut short")
        return data

    def stamp(self) -> Stamp | None:
        """Size and time of the member, then those of the tar."""
        return self.known


@dataclass(frozen=True)
class Held(Lazy):
    """An image whose bytes were read already, since its source can be read but once, from front to back."""

    data: bytes
    known: Stamp | None = None

    def fetch(self) -> bytes:
        """The bytes."""
        return self.data

    def stamp(self) -> Stamp:
        """What the source says of it; else a checksum and the size of the bytes."""
        return self.known or (hashlib.blake2b(self.data, digest_size=16).hexdigest(), len(self.data))


class _Header(tarfile.TarInfo):
    """A member's header, which says so where the tar ends in any way but by its end mark; `tarfile` would just stop."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
        """Parse 512 bytes.

        Raises:
            tarfile.ReadError: for fewer, or for others than a header.
        """
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if isinstance(buf, bytes) and len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise
            raise tarfile.ReadError(str(error) if buf else "there is no end mark") from error


@dataclass
class _Tar:
    """A tar that is being read.

    Attributes:
        archive: of `tarfile`.
        stamp: of the file.
        path: where its members can be read later; empty where they cannot.
        names: how often each name occurred.
    """

    archive: tarfile.TarFile
    stamp: Stamp | None
    path: str
    names: Counter[str] = field(default_factory=Counter)


class TarSource(Source):
    """The images in a tar, in the order in which they lie there.

    Their ids are `PATH.tar!MEMBER`; where a member's name occurs again, `!2`, `!3` follow. Hidden members are left out;
    those with other endings are counted in `skipped`; of those without one the content is looked at. A tar that is cut
    short gives what is whole, then an item whose `load` says so. A compressed tar, or one that is elsewhere, is read
    from front to back.

    Args:
        place: path or URL.
        settings: how images are read.
    """

    def __init__(self, place: str, settings: Settings) -> None:
        super().__init__(settings, printable(place))
        self.place = place

    def items(self) -> Iterator[Item]:
        """See the class."""
        plain = not is_url(self.place) and self.place.lower().endswith(".tar")
        members = 0
        try:
            stamp = url_stamp(self.place, self.settings.storage)
            with (
                open_stream(self.place, self.settings.storage) as stream,
                tarfile.open(fileobj=stream, mode="r:" if plain else "r|*", tarinfo=_Header) as archive,
            ):
                tar = _Tar(archive, stamp, str(local_path(self.place)) if plain else "")
                for member in archive:
                    archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
                    members += 1
                    if member.isreg() and not _hidden(member.name):
                        yield from self._member(tar, member)
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            if not members:
                raise InputError(f"{self.label}: not a readable tar: {error}") from error
            yield failed(self.label, f"damaged or cut short after {members} members: {error}")

    def nothing(self) -> str:
        """How many members there are."""
        others = sum(self.skipped.values())
        return f"no image in this tar ({others} files with other endings)"

    def _member(self, tar: _Tar, member: tarfile.TarInfo) -> Iterator[Item]:
        suffix = suffix_of(member.name)
        if suffix and suffix not in SUFFIXES:
            self.skipped[suffix] += 1
            return
        name = f"{self.label}!{printable(member.name)}"
        if member.size > MAX_BYTES:
            yield failed(name, f"{member.size:,} bytes are more than the {MAX_BYTES:,} that a member may have")
            return
        data = b""
        if not tar.path or not suffix:
            stream = tar.archive.extractfile(member)
            data = stream.read(HEAD if tar.path else member.size) if stream else b""
        if not suffix and not looks_like_image(data[:HEAD]):
            self.skipped[suffix] += 1
            return
        tar.names[name] += 1
        again = f"!{tar.names[name]}" if tar.names[name] > 1 else ""
        known = None if tar.stamp is None else (member.size, int(member.mtime), *tar.stamp)
        source = Member(tar.path, member.offset_data, member.size, known) if tar.path else Held(data, known)
        yield self.settings.item(name + again, source)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
