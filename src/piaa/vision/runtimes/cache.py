"""Exported graphs on disk, each named by everything that decides what is in it.

    ~/.cache/piaa/engines/0123456789abcdef/encoder.onnx, about.json

`PIAA_CACHE_DIR` names another folder than `~/.cache/piaa`. All of it can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.vision.encoder import Encoder
from piaa.vision.front_ends import FrontEnd
from piaa.vision.towers import Tower

GRAPH, ABOUT = "encoder.onnx", "about.json"
CODE = ("towers", "front_ends", "encoder.py", "runtimes")
"""What of the package decides the graph of a given model."""


def engines_dir() -> Path:
    """The folder of exported graphs and of measured verdicts."""
    named = os.environ.get("PIAA_CACHE_DIR")
    if named:
        return Path(named).expanduser() / "engines"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "piaa" / "engines"


def describe_graph(encoder: Encoder, fingerprint: str, size: tuple[int, int]) -> dict[str, Any]:
    """Plain values that change whenever the exported graph would.

    Args:
        encoder: the encoder.
        fingerprint: `piaa.vision.models.model_fingerprint` of the tower's weights.
        size: (height, width) in pixels.
    """
    return {
        "model_fingerprint": fingerprint,
        "architecture": _architecture(encoder.tower),
        "front_end": encoder.front_end.name,
        "image_size": list(size),
        "code": _code(encoder.front_end),
        "versions": installed("piaa", "torch", "onnx", "onnxscript", "open_clip_torch", "timm"),
    }


def installed(*packages: str) -> dict[str, str]:
    """The versions of packages, of those that are here."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def name_of(about: dict[str, Any]) -> str:
    """16 hexadecimal digits for plain values."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def graph_folder(about: dict[str, Any], make: Callable[[Path], None], root: Path | None = None) -> Path:
    """The folder of one graph; made when it is not there yet, whole or not at all.

    Args:
        about: what decides its content.
        make: writes `GRAPH` into the folder that it is given.
        root: the folder of all graphs; None: `engines_dir()`.

    Raises:
        InputError: when the folder cannot be written.
        ModelError: see `make`.
    """
    root = root or engines_dir()
    folder = root / name_of(about)
    if (folder / GRAPH).is_file():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=root))
        try:
            make(aside)
            (aside / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
            os.replace(aside, folder)
        except OSError:
            if not (folder / GRAPH).is_file():  # unless another process was faster
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"{root}: the exported graph cannot be kept there: {error.strerror or error}; "
            "name another folder in PIAA_CACHE_DIR"
        ) from error
    return folder


def _architecture(tower: Tower) -> str:
    """What the weights do not say: activations, heads, norms, positions that are no weights."""
    digest = hashlib.sha256(repr(tower).encode())
    digest.update(repr((tower.heads, tower.depth, tower.patch_size, tower.image_size, tower.pools_all_tokens)).encode())
    for name, buffer in tower.named_buffers():
        digest.update(name.encode() + buffer.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _code(front_end: FrontEnd) -> str:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.read_bytes())
    digest.update(_source_of(front_end).encode())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    package = Path(__file__).parents[1]  # vision/
    for name in CODE:
        path = package / name
        yield from sorted(path.glob("*.py")) if path.is_dir() else (path,)


def _source_of(front_end: FrontEnd) -> str:
    """The file that a front-end of the user's own is written in, or what there is of its code."""
    function = front_end.patches
    module = sys.modules.get(getattr(function, "__module__", ""))
    file = getattr(module, "__file__", None)
    if file and Path(file).is_file():
        return Path(file).read_text(encoding="utf-8")
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr((code.co_code, code.co_consts)) if code else repr(function)
