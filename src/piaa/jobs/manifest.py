"""What an output says about itself: the provenance in every format, and `_manifest.json` of a folder of parts."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from piaa.errors import InputError
from piaa.files import SYSTEM_FILES, is_storable, parse_json
from piaa.jobs.formats import FOREIGN
from piaa.jobs.layout import Layout
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
        value = parse_json(path.read_text(encoding="utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # no halves of surrogate pairs
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no manifest that 'piaa tag' wrote: {error}") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("format_version"), int):
        raise InputError(f"{path}: no manifest that 'piaa tag' wrote")
    version = value["format_version"]
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path}: written by a newer piaa (layout {version}, this one knows {FORMAT_VERSION}); upgrade"
        )
    wrong = [name for name, kind in _VALUES.items() if type(value.get(name)) is not kind]
    wrong += [] if wrong or all(map(_is_part, value["parts"])) else ["parts"]
    wrong += [] if wrong or _COLUMNS <= value["layout"].keys() <= Layout().of_rows().keys() else ["layout"]
    wrong += [] if wrong or _texts(value["about"].get("classes")) else ["about"]
    if wrong:
        raise InputError(f"{path}: no manifest that 'piaa tag' wrote, or a damaged one: wrong or missing: {wrong[0]}")
    return value


def part_file(folder: Path, part: dict[str, Any]) -> Path:
    """A part that a manifest names, once it is known to be the file that was written.

    Args:
        folder: of the manifest.
        part: what the manifest says of it.

    Raises:
        InputError: it is not there, or has other bytes.
    """
    path = folder / str(part["path"])
    try:
        with open(path, "rb") as stream:
            same = hashlib.file_digest(stream, "sha256").hexdigest() == part["sha256"]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: a part that cannot be read: {error}") from error
    if not same:
        raise InputError(
            f"{path}: not the part that {MANIFEST} names (damaged, or changed by another program): bring it back, or "
            f"tag anew into another folder"
        )
    return path


_VALUES = {
    "run": str, "generation": int, "layout": dict, "shard": str, "listed": str, "about": dict, "counts": dict,
    "parts": list,
}  # fmt: skip
_COLUMNS = {"all_scores", "embeddings", "content_hash", "partition"}
_COUNTS = ("rows", "failed", "gone")


def _is_part(part: Any) -> bool:
    if not isinstance(part, dict) or not all(type(part.get(name)) is int for name in (*_COUNTS, "bytes")):
        return False
    if type(part.get(FOREIGN, 0)) is not int:  # older ones have none
        return False
    path = part.get("path")
    if not isinstance(path, str) or not is_storable(path) or not isinstance(part.get("sha256"), str):
        return False
    return not PurePath(path).is_absolute() and ".." not in PurePath(path).parts


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def versions() -> dict[str, str]:
    """Of what tags depend on, and of what wrote them."""
    import platform

    import PIL
    import pyarrow
    import torch

    return {
        "piaa": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pillow": PIL.__version__,
        "pyarrow": pyarrow.__version__,
    }


def make_manifest(about: dict[str, Any], parts: Sequence[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """A manifest; `values` are what the run adds: its id, layout, shard, generation."""
    counts = {name: sum(part[name] for part in parts) for name in _COUNTS}
    if about.get(FOREIGN):
        counts[FOREIGN] = sum(part.get(FOREIGN, 0) for part in parts)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": now(),
        "versions": versions(),
        **values,
        "about": about,
        "counts": {**counts, "tagged": counts["rows"] - counts["failed"] - counts["gone"]},
        "parts": list(parts),
    }
