"""Lists of images: `--list FILE`, and paths on standard input.

What a list names is opened whatever its ending; each row is one image. Rows that name nothing are items whose `load`
says so. Nothing is listed whole in memory, so a list that names an image twice gives it twice.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from piaa.errors import InputError
from piaa.files import parse_json
from piaa.inputs.images import printable
from piaa.inputs.item import Item, failed
from piaa.inputs.sources.base import Settings, Source, inside
from piaa.inputs.sources.places import RemoteFile, is_url, local_path, open_stream
from piaa.inputs.sources.tars import Held

NAMES = ("path", "url", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_url")
"""Columns that name an image, the first that is there."""
CONTENTS = ("bytes", "image_bytes", "content", "data", "image")
"""Columns that hold one; `image` may be Hugging Face's struct of `bytes` and `path`."""
ENDINGS = (".txt", ".csv", ".jsonl", ".parquet")
_MARK = b"\xef\xbb\xbf"  # of UTF-8, as some editors put it in front
_CHUNK = 1 << 16
_ROWS = 16  # of a Parquet table at a time: their images are in memory


def is_table(place: str | os.PathLike[str]) -> bool:
    """Whether a place is a Parquet table of images, such as a shard of a data set, by its ending."""
    return os.fspath(place).lower().endswith(".parquet")


class ListSource(Source):
    """The images that a file lists, in its order.

    `.txt`: a path or URL a line, or NUL between them. `.csv`: with a header. `.jsonl`: strings, or objects. `.parquet`:
    a table. Of a table, the column is one of `NAMES`, or of `CONTENTS` (in JSON lines in base64); with both, the first
    is the id and the second the image. Relative paths are taken from the folder of the list. An image without a name
    is `LIST!row-12` (counted from 0).

    Args:
        place: path or URL of the list.
        settings: how images are read.

    Raises:
        InputError: the list is not there, or is of another kind.
    """

    def __init__(self, place: str | os.PathLike[str], settings: Settings) -> None:
        super().__init__(settings, printable(place))
        self.place = os.fspath(place)
        self.ending = os.path.splitext(self.place)[1].lower()
        if self.ending not in ENDINGS:
            raise InputError(f"{self.label}: a list of images ends in {', '.join(ENDINGS)}")
        if not is_url(self.place) and not local_path(self.place).is_file():
            raise InputError(f"{self.label}: no such list")
        self.base = self.place.rpartition("/")[0] if is_url(self.place) else os.path.dirname(self.place)

    def items(self) -> Iterator[Item]:
        """See the class."""
        read = {".txt": self._lines, ".csv": self._csv, ".jsonl": self._jsonl, ".parquet": self._parquet}[self.ending]
        try:
            with open_stream(self.place, self.settings.storage) as stream:
                yield from read(stream)
        except (OSError, UnicodeError, csv.Error) as error:
            raise InputError(f"{self.label}: the list cannot be read: {error}") from error

    def begins(self) -> list[str]:
        """The folder of the list, from which its paths count; the list, for rows that have no name."""
        return [f"{self.base}/" if is_url(self.base) else inside(self.base), *super().begins()]

    def nothing(self) -> str:
        """That it is empty."""
        return "this list names no image"

    def _lines(self, stream: IO[bytes]) -> Iterator[Item]:
        for line in split_lines(stream):
            yield from named(line, self.base, self.settings)

    def _csv(self, stream: IO[bytes]) -> Iterator[Item]:
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.DictReader(text)
        name, content = self._columns(reader.fieldnames or [])
        for number, row in enumerate(reader):
            yield from self._row(number, row.get(name) if name else None, row.get(content) if content else None)

    def _jsonl(self, stream: IO[bytes]) -> Iterator[Item]:
        for number, line in enumerate(line for line in stream if line.strip()):
            try:
                row = parse_json(line.decode("utf-8-sig" if number == 0 else "utf-8"))
            except ValueError as error:
                yield failed(f"{self.label}!row-{number}", f"no JSON: {error}")
                continue
            if isinstance(row, str):
                yield from self._row(number, row, None)
            elif isinstance(row, dict):
                name, content = self._columns(list(row), strict=False)
                yield from self._row(number, row.get(name) if name else None, row.get(content) if content else None)
            else:
                yield failed(f"{self.label}!row-{number}", "wanted a path or an object with one")

    def _parquet(self, stream: IO[bytes]) -> Iterator[Item]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(stream)
            name, content = self._columns([field.name for field in table.schema_arrow], schema=table.schema_arrow)
            number = 0
            for batch in table.iter_batches(batch_size=_ROWS, columns=[c for c in (name, content) if c]):
                for row in batch.to_pylist():
                    yield from self._row(number, row.get(name) if name else None, row.get(content) if content else None)
                    number += 1
        except pa.ArrowException as error:
            raise InputError(f"{self.label}: no Parquet file, or a damaged one: {error}") from error

    def _columns(
        self, columns: Iterable[str], strict: bool = True, schema: Any = None
    ) -> tuple[str | None, str | None]:
        """The column that names an image and the one that holds it; either may be missing."""
        there = {column.strip().lower(): column for column in columns if column is not None}
        names = [there[name] for name in NAMES if name in there]
        contents = [there[name] for name in CONTENTS if name in there and there[name] not in names[:1]]
        if schema is not None:
            names = [name for name in names if _is_text(schema.field(name).type)]
            contents = [there[name] for name in CONTENTS if name in there]
            contents = [name for name in contents if not _is_text(schema.field(name).type)]
        if strict and not names and not contents:
            wanted = ", ".join(dict.fromkeys((*NAMES[:3], *CONTENTS[:1])))
            raise InputError(f"{self.label}: no column names or holds images; wanted one called {wanted} or the like")
        return (names[0] if names else None), (contents[0] if contents else None)

    def _row(self, number: int, name: Any, content: Any) -> Iterator[Item]:
        label = f"{self.label}!row-{number}"
        if isinstance(content, Mapping):
            content = content.get("bytes")
        if isinstance(name, Mapping):
            name, content = name.get("path"), name.get("bytes") or content
        if content in (None, "", b""):
            if isinstance(name, str) and name.strip():
                yield from named(name, self.base, self.settings)
            else:
                yield failed(label, "this row names no image")
            return
        try:
            data = base64.b64decode(content, validate=True) if isinstance(content, str) else content
        except (ValueError, binascii.Error) as error:
            yield failed(label, f"its bytes are no base64: {error}")
            return
        if not isinstance(data, bytes):
            yield failed(label, f"a {type(content).__name__} where the bytes of an image belong")
            return
        yield self.settings.item(printable(name) if isinstance(name, str) and name.strip() else label, Held(data))


class InputSource(Source):
    """Paths or URLs on standard input (`-`), in their order, newline or NUL between them.

    NUL, if there is one in what comes first (`find -print0`). Relative paths are taken from the current folder.

    Args:
        settings: how images are read.
        stream: read instead of standard input.
    """

    def __init__(self, settings: Settings, stream: IO[bytes] | None = None) -> None:
        super().__init__(settings, "standard input")
        self.stream = stream

    def items(self) -> Iterator[Item]:
        """See the class."""
        for line in split_lines(self.stream or sys.stdin.buffer):
            yield from named(line, "", self.settings)

    def nothing(self) -> str:
        """That nothing came."""
        return "no path came"


def named(line: str, base: str, settings: Settings) -> Iterator[Item]:
    """What one path or URL gives; a relative path is taken from `base`."""
    if is_url(line):
        yield settings.item(printable(line), RemoteFile(line, dict(settings.storage)))
    elif is_url(base) and not line.startswith(("/", "file://")):
        yield from named(f"{base}/{line}", "", settings)
    else:
        path = local_path(line)
        yield from settings.of_file(Path(base) / path if base else path)


def split_lines(stream: IO[bytes]) -> Iterator[str]:
    """Paths of a stream, one after another; bytes that are no UTF-8 are kept as file names keep them."""
    read = getattr(stream, "read1", stream.read)
    rest, separator, first = b"", b"", True
    while True:
        chunk = read(_CHUNK)
        rest = (rest + chunk).removeprefix(_MARK) if first else rest + chunk
        separator = separator or (b"\0" if b"\0" in rest else b"\n" if b"\n" in rest or not chunk else b"")
        if separator:
            first = False
            *whole, rest = rest.split(separator) if chunk else (*rest.split(separator), b"")
            ended = whole if separator == b"\0" else [line.removesuffix(b"\r") for line in whole]
            yield from (os.fsdecode(line) for line in ended if line)
        if not chunk:
            return


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
