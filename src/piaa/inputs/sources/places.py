"""Paths and URLs: what is on this disk, and what fsspec reaches."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from piaa.errors import ImageError, InputError
from piaa.inputs.images import printable
from piaa.inputs.item import Lazy, Stamp, stamp_of

MAX_BYTES = 1 << 30
"""The largest file from elsewhere, and the largest member of a tar, that is read into memory."""

PAUSES = (0.5, 2.0)
"""Seconds before a file that could not be fetched is asked for again; one that is not there is asked for once."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "http": "aiohttp",
    "https": "aiohttp", "abfs": "adlfs", "az": "adlfs", "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol",
}  # fmt: skip


def is_url(place: str) -> bool:
    """Whether it is a URL of something that is not on this disk."""
    return _URL.match(place) is not None and not place.startswith("file://")


def local_path(place: str) -> Path:
    """A path, or a `file://` URL, as a path."""
    return Path(unquote(urlsplit(place).path)) if place.startswith("file://") else Path(place)


def file_system(url: str, storage: Mapping[str, Any]) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        InputError: a protocol that fsspec does not know, or whose package is not installed.
    """
    import fsspec

    protocol = url.partition("://")[0].lower()
    try:
        system, path = fsspec.core.url_to_fs(url, **storage)
    except ImportError as error:
        package = _PACKAGES.get(protocol, "its fsspec package")
        raise InputError(f"{printable(url)}: {protocol}:// needs {package}: pip install {package} ({error})") from error
    except (ValueError, TypeError, OSError) as error:
        raise InputError(f"{printable(url)}: cannot be opened: {printable(str(error))}") from error
    return system, path


@dataclass(frozen=True)
class RemoteFile(Lazy):
    """A file that fsspec reaches, read whole when its turn comes.

    Attributes:
        url: of the file.
        storage: options of the file system.
        known: its stamp.
        size: bytes, where known.
    """

    url: str
    storage: Mapping[str, Any] = field(default_factory=dict, repr=False)  # it may hold secrets
    known: Stamp | None = None
    size: int | None = None

    def fetch(self) -> bytes:
        """The file's bytes."""
        system, path = file_system(self.url, self.storage)
        if self.size is not None and self.size > MAX_BYTES:
            raise ImageError(self.url, f"{self.size:,} bytes are more than the {MAX_BYTES:,} that are fetched")
        for pause in (*PAUSES, None):
            try:
                data: bytes = system.cat_file(path)
                return data
            except (FileNotFoundError, PermissionError, IsADirectoryError, MemoryError):
                raise
            except Exception:  # each file system has its own: a network that is away for a moment, a busy server
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError("not reached")

    def stamp(self) -> Stamp | None:
        """ETag, or time of change, and size."""
        return self.known


def open_stream(place: str, storage: Mapping[str, Any]) -> IO[bytes]:
    """Open a path or URL for reading from front to back."""
    if not is_url(place):
        return open(local_path(place), "rb")
    system, path = file_system(place, storage)
    stream: IO[bytes] = system.open(path, "rb")
    return stream


def url_stamp(place: str, storage: Mapping[str, Any]) -> Stamp | None:
    """The stamp of a path or URL; None where nothing is known."""
    if not is_url(place):
        return stamp_of(local_path(place))
    system, path = file_system(place, storage)
    try:
        return stamp_of_entry(system.info(path))
    except Exception:  # each file system has its own errors
        return None


def stamp_of_entry(entry: Mapping[str, Any]) -> Stamp | None:
    """From what fsspec says of a file: its checksum or ETag, else its time of change; and its size in bytes."""
    for key in ("ETag", "etag", "md5Hash", "blob_id", "oid", "mtime", "LastModified", "last_modified", "created"):
        if entry.get(key) is not None:
            return str(entry[key]), entry.get("size")
    return None
