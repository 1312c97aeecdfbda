"""Folders of parts: manifest and part, as `piaa merge`, `piaa tag --update` and `piaa export` read them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from piaa.errors import PiaaError
from piaa.exchange import read_tags
from piaa.jobs import tag_job
from piaa.jobs.merge import merge_parts
from piaa.jobs.parts import ABOUT, BLOCKS

from ..harness import Seed, Target
from . import partial_runs

PART = "/part-000-00000.parquet"


def seeds(folder: Path) -> list[Seed]:
    partial_runs.seeds(folder)
    good = folder / "good"
    shutil.rmtree(good, ignore_errors=True)
    _tag(folder, "good")
    part = good / PART[1:]
    found = [Seed((good / "_manifest.json").read_bytes(), "/_manifest.json"), Seed(part.read_bytes(), PART)]
    for number, blocks in enumerate((b"[[0, 4]]", b"[[1, 99], [2, -3]]", b"{}", b"[" * 5000, b"")):
        table = pq.read_table(part)
        table = table.replace_schema_metadata({ABOUT: (table.schema.metadata or {})[ABOUT], BLOCKS: blocks})
        if number % 2:
            table = table.drop_columns(["gone"])
        pq.write_table(table, folder / "changed.parquet")
        found.append(Seed((folder / "changed.parquet").read_bytes(), PART))
        (folder / "built").mkdir(exist_ok=True)
        (folder / "built" / hashlib.sha256(found[-1].data).hexdigest()).touch()
    return found


def read(data: bytes, suffix: str, folder: Path) -> None:
    case = folder / "case"
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(folder / "good", case)
    (case / suffix[1:]).write_bytes(data)
    if (folder / "built" / hashlib.sha256(data).hexdigest()).exists():
        _sign(case, data)
    refused = None
    for reads in (
        lambda: merge_parts([case], folder / "merged.jsonl"),
        lambda: read_tags(case),
        lambda: _tag(folder, "case", update=True),
    ):
        try:
            reads()
        except PiaaError as error:
            refused = error
    if refused:
        raise refused


def _sign(case: Path, data: bytes) -> None:
    """The manifest names the part as it is now: its checksum would refuse what was built wrong before it is read."""
    manifest = case / "_manifest.json"
    about = json.loads(manifest.read_text())
    about["parts"][0] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest.write_text(json.dumps(about))


def _tag(folder: Path, out: str, **options: Any) -> None:
    scorer = partial_runs.Scorer()
    tag_job(scorer, folder / "photos", folder / out, batch_size=4, workers=0, shard_size=4, **options)


TARGET = Target("tag-folders", seeds, read, share=0.5)
