"""Nightly increments: what a folder of parts holds already, which images are new or changed, and which are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from piaa.errors import InputError
from piaa.inputs.items import Item
from piaa.jobs.layout import Layout, content_hash, stamp_text
from piaa.jobs.manifest import part_file, read_manifest
from piaa.jobs.parts import Parts, carry, read_blocks

_Known = tuple[str | None, str | None, bool]


class Before:
    """A folder of parts as it was, and what became of its images.

    Holds the path, size and time of every row: about 300 bytes an image.

    Args:
        folder: the output.
        about: provenance of the run that updates it.
        layout: its columns.

    Attributes:
        generation: of the update.
        kept: images that were there already and are unchanged.

    Raises:
        InputError: there is nothing to update, or it was tagged by another classifier or with other columns.
    """

    def __init__(self, folder: Path, about: dict[str, Any], layout: Layout) -> None:
        self.folder, self.manifest = folder, read_manifest(folder)
        self.generation, self.kept = int(self.manifest["generation"]) + 1, 0
        before = self.manifest["about"]
        if any(before.get(name) != about[name] for name in ("classifier", "classes")):
            raise InputError(f"{folder}: was tagged by another classifier; run without --update to tag all anew")
        if self.manifest["layout"] != layout.of_rows():
            raise InputError(f"{folder}: was written with other options ({self.manifest['layout']}); give the same")
        self._hashed = layout.content_hash
        self._known: dict[str, _Known] = {}
        self._seen: set[str] = set()
        self._again: set[str] = set()
        for part in self.manifest["parts"]:
            self._read(part_file(folder, part))

    def _read(self, path: Path) -> None:
        names = ["path", "stamp", "gone", *(["content_hash"] if self._hashed else [])]
        try:
            table = pq.read_table(path, columns=names, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path}: a part that cannot be read: {error}") from error
        hashes = table["content_hash"].to_pylist() if self._hashed else [None] * len(table)
        columns = (table["stamp"].to_pylist(), hashes, table["gone"].to_pylist())
        self._known |= dict(zip(table["path"].to_pylist(), zip(*columns, strict=True), strict=True))

    def new_items(self, items: Iterator[Item]) -> Iterator[Item]:
        """Those of the items that are new or changed."""
        for item in items:
            known = self._known.get(item.id)
            self._seen.add(item.id)
            if known is not None and self._unchanged(item, known):
                self.kept += 1
                continue
            if known is not None:
                self._again.add(item.id)
            yield item

    def _unchanged(self, item: Item, known: _Known) -> bool:
        before, hashed, gone = known
        now = stamp_text(item)
        if gone or now is None:
            return False
        return now == before or (hashed is not None and content_hash(item.source) == hashed)

    def gone(self) -> int:
        """How many images were there at the last run and are not any more; ask when all items were drawn."""
        return sum(not known[2] and path not in self._seen for path, known in self._known.items())

    def carry_over(self, parts: Parts) -> list[dict[str, Any]]:
        """Bring the rows that still hold into the new parts, marked where their image is gone."""
        carried = []
        for part in self.manifest["parts"]:
            source = self.folder / part["path"]
            blocks = [(number, self._current(table)) for number, table in read_blocks(source)]
            if all(table is None for _, table in blocks):
                carry(source, parts.folder / part["path"])
                carried.append(part)
                continue
            old = dict(read_blocks(source))
            rest = [(number, old[number] if table is None else table) for number, table in blocks]
            rest = [(number, table) for number, table in rest if len(table)]
            if rest:
                carried.append(parts.write_part(part["path"], rest))
        return carried

    def _current(self, table: pa.Table) -> pa.Table | None:
        """The rows that still hold; None where all do, as they are."""
        paths, gone = table["path"].to_pylist(), table["gone"].to_pylist()
        holds = [path not in self._again for path in paths]
        away = [was or path not in self._seen for path, was in zip(paths, gone, strict=True)]
        if all(holds) and away == gone:
            return None
        column = table.schema.get_field_index("gone")
        return table.set_column(column, "gone", pa.array(away, pa.bool_())).filter(pa.array(holds))
