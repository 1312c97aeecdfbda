"""What an output says about itself: the provenance in every format, and `_manifest.json` of a folder of parts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.files import SYSTEM_FILES
from piaa.jobs.formats import FOREIGN
from piaa.version import __version__

MANIFEST = "_manifest.json"
FORMAT, FORMAT_VERSION = "piaa-tags", 1


def about_tags(scorer: Any) -> dict[str, Any]:
    """Where tags come from; equal runs give equal values, so no time is among them.

    Args:
        scorer: see `piaa.jobs.tag.TagScorer`; its `setup`, where it has one, says which model it is.
    """
    setup = getattr(scorer, "setup", None)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "piaa": __version__,
        "classifier": scorer.fingerprint,
        "model": setup.describe() if setup is not None else {},
        "classes": list(scorer.label_names),
        **({FOREIGN: True} if getattr(scorer, "tests_foreign", False) else {}),
    }


def now() -> int:
    """Seconds since 1970; those of SOURCE_DATE_EPOCH, if set, so that outputs can be reproduced byte by byte."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(given) if given.isdecimal() else int(time.time())


def check_parts(folder: Path) -> Path:
    """Refuse a folder of parts that could not be written, or that holds something else.

    Raises:
        InputError: in these cases.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; an output without an ending is a folder of Parquet parts")
    parent = folder.parent
    if not parent.is_dir():
        raise InputError(f"{folder}: cannot be written: the folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK):
        raise InputError(f"{folder}: cannot be written: no permission to write in {parent}")
    if folder.is_dir() and not (folder / MANIFEST).exists():
        names = sorted(set(os.listdir(folder)) - SYSTEM_FILES)
        if names:
            shown = ", ".join(names[:3])
            raise InputError(f"{folder}: holds what 'piaa tag' did not write ({shown}); name a new or an empty folder")
    if folder.is_dir() and (folder / MANIFEST).exists():
        read_manifest(folder)
    return folder


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of parts.

    Raises:
        InputError: not there, damaged, or of a newer version.
    """
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        version, parts = value["format_version"], value["parts"]
        whole = value["format"] == FORMAT and isinstance(value["about"], dict) and all("path" in part for part in parts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no manifest that 'piaa tag' wrote: {error}") from error
    if not whole:
        raise InputError(f"{path}: no manifest that 'piaa tag' wrote")
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path}: written by a newer piaa (layout {version}, this one knows {FORMAT_VERSION}); upgrade"
        )
    return dict(value)


def make_manifest(about: dict[str, Any], parts: Sequence[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """A manifest; `values` are what the run adds: its id, layout, shard, generation."""
    counts = {name: sum(part[name] for part in parts) for name in ("rows", "failed", "gone")}
    if about.get(FOREIGN):
        counts[FOREIGN] = sum(part[FOREIGN] for part in parts)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": now(),
        **values,
        "about": about,
        "counts": {**counts, "tagged": counts["rows"] - counts["failed"] - counts["gone"]},
        "parts": list(parts),
    }
