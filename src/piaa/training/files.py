"""Files of what was trained: safetensors with one JSON value in the metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from piaa.errors import ClassifierError, InputError
from piaa.files import parse_json, whole_file
from piaa.method.thresholds import Thresholds

KEY = "piaa"


def write(path: str | os.PathLike[str], plain: dict[str, Any], tensors: dict[str, Tensor], what: str) -> None:
    """Write a file, whole or not at all.

    Args:
        path: the file.
        plain: what JSON can hold, with `format` and `version`.
        tensors: by name; copied, since safetensors refuses tensors that share memory.
        what: in words, for the error.

    Raises:
        ClassifierError: it cannot be written.
    """
    copies = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    try:
        with whole_file(path) as aside:
            save_file(copies, aside, metadata={KEY: json.dumps(plain)})
    except (InputError, SafetensorError) as error:
        raise ClassifierError(f"cannot write {what}: {error}") from error


def of_thresholds(thresholds: Thresholds | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Their plain values and their tensors, for `write`; C each."""
    if thresholds is None:
        return {"threshold_rule": None}, {}
    values, slope = (torch.from_numpy(part) for part in (thresholds.values, thresholds.slope))
    return {"threshold_rule": thresholds.rule}, {"thresholds.values": values, "thresholds.slope": slope}


def take_thresholds(plain: dict[str, Any], tensors: dict[str, Tensor]) -> Thresholds | None:
    """Those of a file, taken out of its tensors; None where it has none."""
    if plain.get("threshold_rule") is None:
        return None
    values, slope = (tensors.pop(f"thresholds.{name}").numpy() for name in ("values", "slope"))
    return Thresholds(values, slope, plain["threshold_rule"])


Parts = tuple[dict[str, Any], dict[str, Tensor]]


def read(path: str | os.PathLike[str], known: tuple[str, int], foreign: str) -> Parts:
    """The plain values and the tensors of a file that `write` wrote.

    Args:
        path: the file.
        known: format and version.
        foreign: what to say of a file of something else.

    Raises:
        ClassifierError: it is of something else.
        SafetensorError, OSError, ValueError: it is missing or damaged.
    """
    with safe_open(Path(path), framework="pt") as opened:
        plain = parse_json((opened.metadata() or {}).get(KEY, "{}"))
        if (plain.get("format"), plain.get("version")) != known:
            raise ClassifierError(f"{path}: {foreign}")
        return plain, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `name` and a dot, without these."""
    return {key.partition(".")[2]: tensor for key, tensor in tensors.items() if key.partition(".")[0] == name}
