"""Shards of several machines put together: the same rows in the same order as one machine's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from piaa.errors import InputError
from piaa.files import whole_file, writing
from piaa.jobs.evidence import check_shares
from piaa.jobs.formats import Row, Style
from piaa.jobs.layout import Layout
from piaa.jobs.lock import locked
from piaa.jobs.manifest import make_manifest, part_file, read_manifest
from piaa.jobs.partial import partial_path
from piaa.jobs.parts import Block, Parts, commit, read_blocks, read_numbers, rows_of
from piaa.jobs.tables import check_output, is_folder, write_table


def merge_parts(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """Put the folders of all shards of a run together.

    Args:
        folders: what `piaa tag --shard i/n` wrote, in any order.
        out: a folder of parts, or a file of another format.

    Returns:
        What the manifest counts: rows, failed, gone, tagged.

    Raises:
        InputError: they are not all the shards of one run, or the output cannot be written.
    """
    manifests = [read_manifest(folder) for folder in folders]
    first = manifests[0]
    for manifest, folder in zip(manifests, folders, strict=True):
        for name, what in (("about", "another classifier"), ("layout", "other columns"), ("listed", "other images")):
            if manifest[name] != first[name]:
                raise InputError(f"{folder}: made with {what} than {folders[0]}, so these are not shards of one run")
    check_shares([manifest["shard"] for manifest in manifests])
    out = check_output(out, first["about"]["classes"])
    with locked(out):
        blocks = _in_order(folders, manifests)
        if is_folder(out):
            return _to_folder(out, first, blocks)
        return _to_file(out, first, blocks, manifests)


def _to_folder(out: Path, first: dict[str, Any], blocks: Iterator[Block]) -> dict[str, Any]:
    new = partial_path(out) / "new"
    with writing(new):
        shutil.rmtree(new.parent, ignore_errors=True)
        new.mkdir(parents=True)
    parts = Parts(new, first["about"], Layout(**first["layout"]))
    written = parts.write(blocks)
    kept = {name: first[name] for name in ("run", "layout", "listed")}
    manifest = make_manifest(first["about"], written, **kept, generation=0, shard="1/1")
    commit(new, out, manifest)
    shutil.rmtree(new.parent, ignore_errors=True)
    return dict(manifest["counts"])


def _to_file(
    out: Path, first: dict[str, Any], blocks: Iterator[Block], manifests: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    classes = first["about"]["classes"]
    rows: Iterator[list[Row]] = (list(rows_of(table, classes)) for _, table in blocks)
    with whole_file(out) as aside:
        write_table(aside, out.suffix, rows, classes if first["layout"]["all_scores"] else [], Style(first["about"]))
    parts = [part for manifest in manifests for part in manifest["parts"]]
    return dict(make_manifest({}, parts)["counts"])


def _in_order(folders: Sequence[Path], manifests: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """All blocks, those of one shard that lie in several parts put together, by their number."""
    places: dict[int, list[tuple[Path, int]]] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        for part in manifest["parts"]:
            path = part_file(folder, part)
            for place, (number, _) in enumerate(read_numbers(path)):
                places.setdefault(number, []).append((path, place))
    opened: tuple[Path | None, list[Block]] = (None, [])
    for number in sorted(places):
        tables = []
        for path, place in places[number]:
            if opened[0] != path:
                opened = (path, read_blocks(path))
            tables.append(opened[1][place][1])
        yield number, pa.concat_tables(tables)
