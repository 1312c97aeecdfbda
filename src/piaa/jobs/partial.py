"""`OUT.partial/`: what a killed run leaves, and what `--resume` goes on from.

    manifest.json           settings of the run; resuming needs the same ones
    shard-00000.jsonl       what a shard covers, then its rows and what failed in it  (tag)
    checkpoint.safetensors  the learner's state                                       (fit)
    errors.jsonl            what failed before the checkpoint                         (fit)

Every file but the last is written aside and moved into place, so what is there is whole; of the last, the checkpoint
says how long it was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.files import parse_json, whole_file, writing

MANIFEST_VERSION = 3

log = logging.getLogger("piaa")


class Partial:
    """The directory of one run. Make it with `open_partial`.

    Attributes:
        path: the directory.
        values: what the run that began it wanted kept (a shard size, say), read back on resuming.
        notices: what the user should be told.
    """

    def __init__(self, path: Path, values: dict[str, Any], notices: list[str]) -> None:
        self.path, self.values, self.notices = path, values, notices

    def write(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Let `fill` write a file aside, then move it to `name`."""
        final = self.path / name
        with whole_file(final) as aside:
            fill(aside)
        return final

    def damaged(self, what: str) -> InputError:
        """The error for something in here that does not fit."""
        return _damaged(self.path, what)

    def notice(self, text: str) -> None:
        """Something that the user should be told, once."""
        if text not in self.notices:
            _notice(self.notices, text)

    def has(self, name: str) -> bool:
        """Whether that file is there, and so whole."""
        return (self.path / name).exists()

    def remove(self) -> None:
        """The run is done: the directory goes."""
        shutil.rmtree(self.path, ignore_errors=True)


def partial_path(out: Path) -> Path:
    """`OUT.partial`, beside the output."""
    return out.with_name(out.name + ".partial")


def open_partial(out: Path, settings: dict[str, Any], values: dict[str, Any], resume: bool) -> Partial:
    """Start anew, or go on.

    Args:
        out: the output file.
        settings: words for the user to JSON values; resuming needs all of them equal.
        values: to be kept; a resumed run gets those of the run that began.
        resume: go on from what is there; without it, that is replaced, with a notice.

    Raises:
        InputError: resuming with other settings, or from something damaged.
    """
    path = partial_path(out)
    notices: list[str] = []
    if resume and (path / "manifest.json").exists():
        kept = _resumed(path, settings)
        return Partial(path, kept, notices)
    if path.exists():
        _notice(notices, f"{path}: leftovers of an unfinished run were replaced (--resume would go on from them)")
    elif resume:
        _notice(notices, f"{path}: not there, so there is nothing to resume; starting from the beginning")
    with writing(path):
        if path.exists():
            shutil.rmtree(path)
        path.mkdir()
    partial = Partial(path, values, notices)
    manifest = {"version": MANIFEST_VERSION, "settings": settings, "values": values}
    manifest["digest"] = _digest(manifest)
    partial.write("manifest.json", lambda aside: aside.write_text(json.dumps(manifest), encoding="utf-8"))
    return partial


def _digest(manifest: dict[str, Any]) -> str:
    """Changes when a manifest does, so that one that was damaged is known as such, whatever is wrong in it."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def _resumed(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    try:
        manifest = parse_json((path / "manifest.json").read_text(encoding="utf-8"))
        if manifest.pop("digest") != _digest(manifest):
            raise ValueError("its digest does not fit")
        version, before, values = manifest["version"], dict(manifest["settings"]), dict(manifest["values"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, f"manifest.json: {type(error).__name__}: {str(error)[:200]}") from error
    if version != MANIFEST_VERSION:
        raise InputError(f"{path}: left by another version of piaa; run again without --resume")
    wanted = json.loads(json.dumps(settings))
    differing = [name for name in {**wanted, **before} if wanted.get(name) != before.get(name)]
    if differing:
        raise InputError(
            f"{path}: cannot resume, since these changed after the unfinished run began: "
            f"{', '.join(differing)}; use the same again, or run without --resume to start over"
        )
    return values


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path}: cannot resume, {what} (damaged?); run again without --resume to start over")


def _notice(notices: list[str], text: str) -> None:
    notices.append(text)
    log.info(text)
