"""What is written of each image, and how it is laid out."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from piaa.errors import InputError
from piaa.inputs.item import Item, Lazy

FOLDER = "folder"
"""The partition by the folder that an image lies in."""
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)


@dataclass(frozen=True)
class Layout:
    """How tags are written.

    Attributes:
        all_scores: the calibrated score of every class too.
        embeddings: the [CLS] embedding of each image too; a folder of parts only.
        content_hash: a hash of each file too; a folder of parts only.
        partition: `folder`, or a fixed `key=value`, by which parts are hive-partitioned; none if empty.
        separator: between the cells of a CSV.
        bom: whether a CSV begins with a byte order mark.
    """

    all_scores: bool = False
    embeddings: bool = False
    content_hash: bool = False
    partition: str = ""
    separator: str = ","
    bom: bool = False

    def check_words(self) -> None:
        """Refuse values that mean nothing, whatever the output.

        Raises:
            InputError: in this case.
        """
        key, equals, value = self.partition.partition("=")
        if self.partition and self.partition != FOLDER and not (equals and key.isidentifier() and value):
            raise InputError(
                f"--partition {self.partition}: give 'folder', or one key and value such as day=2026-01-31"
            )
        if len(f"{key}={quote(value, safe='')}".encode()) > 250:
            raise InputError(f"--partition {key}=...: too long for the name of a folder; give a shorter value")
        if len(self.separator) != 1 or self.separator in '"\n\r':
            raise InputError(f"--csv-separator {self.separator!r}: give one character, or tab")

    def check(self, out: Path, folder: bool) -> None:
        """Refuse what this output cannot hold.

        Raises:
            InputError: in this case.
        """
        self.check_words()
        only = {"--embeddings": self.embeddings, "--partition": self.partition, "--content-hash": self.content_hash}
        asked = [name for name, given in only.items() if given]
        if asked and not folder:
            raise InputError(
                f"{out}: {', '.join(asked)} need a folder of Parquet parts: name an output without an ending"
            )
        if (self.separator != "," or self.bom) and out.suffix.lower() != ".csv":
            raise InputError(f"{out}: --csv-separator and --bom are of .csv")

    def of_rows(self) -> dict[str, Any]:
        """What decides the columns: plain values that must be equal where parts come together."""
        return {name: value for name, value in asdict(self).items() if name not in ("separator", "bom")}


class Watched(Item):
    """An item that remembers the size of its picture, upright, and the hash of its file, once it was loaded."""

    def __init__(self, item: Item, content_hash: bool) -> None:
        super().__init__(item.id, item.source, max_pixels=item.max_pixels)
        self.__dict__.update(item=item, hashed=content_hash, facts={})

    def load(self, ample: int = 0) -> Image.Image:
        """See `Item.load`."""
        facts: dict[str, Any] = self.__dict__["facts"]
        item: Item = self.__dict__["item"]
        if isinstance(item.source, Lazy):
            item = item.fetched()  # once
        image = item.load(ample)
        facts["width"], facts["height"] = _size(item.source, image)
        if self.__dict__["hashed"]:
            facts["content_hash"] = content_hash(item.source)
        return image


def facts_of(item: Item) -> dict[str, Any]:
    """What a part says of an image's file: bytes and time of change where it is one, and what was seen on loading."""
    known = item.stamp()
    facts = {**item.__dict__.get("facts", {}), "stamp": stamp_text(item)}
    is_file = isinstance(item.source, Path) and known is not None
    return {**facts, "bytes": known[0], "modified": known[1] // 1000} if is_file and known else facts


def stamp_text(item: Item) -> str | None:
    """What tells an unchanged image from a changed one, as text; None where nothing is known."""
    known = item.stamp()
    return None if known is None else json.dumps(known)


def content_hash(source: Any) -> str | None:
    """BLAKE2b of a file's bytes, 32 hexadecimal digits; None for what has none, or cannot be fetched."""
    if isinstance(source, Lazy):
        try:
            source = source.fetch()
        except Exception:  # whatever a foreign library does; the run itself will say so
            return None
    try:
        if isinstance(source, Path):
            with open(source, "rb") as stream:
                return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return None
    return hashlib.blake2b(source, digest_size=16).hexdigest() if isinstance(source, bytes) else None


def _size(source: Any, image: Image.Image) -> tuple[int, int]:
    """Of the picture as it is in the file: a JPEG may have been decoded smaller."""
    if not isinstance(source, Path | bytes):
        return image.size
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as opened:
            turned = opened.getexif().get(_ORIENTATION, 1) in _TURNED
            return opened.size[::-1] if turned else opened.size
    except Exception:  # a format that another decoder read
        return image.size
