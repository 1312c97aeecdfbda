"""Files and folders that fsspec reaches: `s3://`, `gs://`, `hf://`, `https://`, `memory://` and many more."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping
from typing import Any

from piaa.errors import InputError
from piaa.inputs.formats import SUFFIXES, is_tar, suffix_of
from piaa.inputs.images import printable
from piaa.inputs.item import Item, failed
from piaa.inputs.sources.base import Settings, Source
from piaa.inputs.sources.lists import ListSource, is_table
from piaa.inputs.sources.members import parts_items
from piaa.inputs.sources.places import RemoteFile, file_system, stamp_of_entry
from piaa.inputs.sources.tars import TarSource


class RemoteSource(Source):
    """A remote file, or the image files below a remote folder, one folder listed at a time.

    Or those that a pattern names (`s3://bucket/photos/*.jpg`), but for `**` and over HTTP; one that names tars or
    tables gives what is in them. By their ending alone: nothing is fetched to look at it. Hidden names are left out. In
    the order of their paths, part by part, each byte by byte. Ids are URLs. Folders that cannot be listed come last, as
    items whose `load` says why. Over HTTP a URL that ends in `/` is a folder, whose page links to the files; any other
    is a file.

    Args:
        url: of the file or folder, without its query where that is a secret.
        settings: how images are read.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        super().__init__(settings, printable(url))
        self.url = url
        self._unreadable: list[tuple[str, str]] = []

    def items(self) -> Iterator[Item]:
        """See the class."""
        system, path = file_system(self.url, self.settings.storage)
        if "http" not in _protocols(system) and glob.has_magic(path) and not self._exists(system, path):
            yield from self._matching(system, path)
            return
        if is_tar(self.url):
            tar = TarSource(self.url, self.settings)
            tar.skipped = self.skipped
            yield from tar.items()
            return
        if is_table(self.url):
            yield from ListSource(self.url, self.settings).items()
            return
        self._unreadable.clear()
        web = "http" in _protocols(system)
        if (web and not self.url.endswith("/")) or (not web and not self._is_folder(system, path)):
            yield self._file(self.url, {} if web else self._info(system, path))
            return
        yield from self._below(system, path)
        yield from (failed(name, reason) for name, reason in self._unreadable)

    def begins(self) -> list[str]:
        """The folder, that of the file, or the tar."""
        system, path = file_system(self.url, self.settings.storage)
        root = printable(system.unstrip_protocol(path)).rstrip("/")
        if "http" not in _protocols(system) and glob.has_magic(root):
            return [re.split(r"[*?[]", root)[0].rpartition("/")[0] + "/"]
        if is_tar(self.url) or is_table(self.url):
            return super().begins()
        return [f"{root}/", f"{root.rpartition('/')[0]}/"]

    def nothing(self) -> str:
        """How many other files there are."""
        others = sum(self.skipped.values())
        return f"no image in this folder ({others} files with other endings)"

    def _matching(self, system: Any, pattern: str) -> Iterator[Item]:
        """What a pattern names: image files, and what is in tars and tables; the names that match are held."""
        if "**" in pattern:
            raise InputError(f"{self.label}: elsewhere than on disk a pattern has no **; name the folder, or use *")
        try:
            found: dict[str, Any] = system.glob(pattern, detail=True)
        except Exception as error:  # as above
            raise InputError(f"{self.label}: cannot be listed: {type(error).__name__}: {error}") from error
        for name in sorted(found, key=lambda name: name.encode("utf-8", "surrogatepass")):
            url, last = system.unstrip_protocol(name), name.rpartition("/")[2]
            if found[name]["type"] == "directory" or last.startswith("."):
                continue
            if is_tar(url) or is_table(url):
                holder = TarSource(url, self.settings) if is_tar(url) else ListSource(url, self.settings)
                yield from (item for _, item in parts_items(holder, self.skipped))
            elif suffix_of(last) in SUFFIXES:
                yield self._file(url, found[name])
            else:
                self.skipped[suffix_of(last)] += 1

    def _exists(self, system: Any, path: str) -> bool:
        """Whether a file or folder has just this name, though it looks like a pattern."""
        try:
            return bool(system.exists(path))
        except Exception:  # as above; the listing will say what is wrong
            return False

    def _below(self, system: Any, folder: str) -> Iterator[Item]:
        try:
            entries = system.ls(folder, detail=True)
        except Exception as error:  # each file system has its own
            reason = f"the folder cannot be listed: {type(error).__name__}: {error}"
            if not self._unreadable and folder == file_system(self.url, self.settings.storage)[1]:
                raise InputError(f"{self.label}: {reason}") from error
            self._unreadable.append((system.unstrip_protocol(folder), reason))
            return
        here = folder.rstrip("/") + "/"
        named = {str(entry["name"])[len(here) :].strip("/"): entry for entry in entries if _is_below(here, entry)}
        del entries
        for name in sorted(named, key=lambda name: name.encode("utf-8", "surrogatepass")):
            entry = named[name]
            if name.startswith(".") or not name:
                continue
            if entry["type"] == "directory":
                yield from self._below(system, str(entry["name"]))
            elif suffix_of(name) in SUFFIXES:
                yield self._file(system.unstrip_protocol(str(entry["name"])), entry)
            else:
                self.skipped[suffix_of(name)] += 1
        _forget(system, folder)

    def _file(self, url: str, entry: Mapping[str, Any]) -> Item:
        source = RemoteFile(url, dict(self.settings.storage), stamp_of_entry(entry), entry.get("size"))
        return self.settings.item(printable(url), source)

    def _is_folder(self, system: Any, path: str) -> bool:
        try:
            return bool(system.isdir(path))
        except Exception as error:  # each file system has its own: no such bucket, no permission, no network
            raise InputError(f"{self.label}: cannot be reached: {type(error).__name__}: {error}") from error

    def _info(self, system: Any, path: str) -> Mapping[str, Any]:
        try:
            info: Mapping[str, Any] = system.info(path)
        except FileNotFoundError:
            raise InputError(f"{self.label}: no such file or folder") from None
        except Exception as error:  # as above
            raise InputError(f"{self.label}: cannot be reached: {type(error).__name__}: {error}") from error
        return info


def _protocols(system: Any) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _is_below(here: str, entry: Mapping[str, Any]) -> bool:
    """A page links elsewhere too; some stores list a folder as a member of itself."""
    name = str(entry["name"])
    return name.startswith(here) and "/" not in name[len(here) :].strip("/") and "?" not in name


def _forget(system: Any, folder: str) -> None:
    """fsspec remembers what it listed; a large root would fill memory."""
    cache = getattr(system, "dircache", None)
    if cache is not None:
        for key in (folder, folder.rstrip("/"), folder.rstrip("/") + "/"):
            cache.pop(key, None)
