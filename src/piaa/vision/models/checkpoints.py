"""Weights from files, never unpickled as Python objects: safetensors, `weights_only`, or TorchScript read as data."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.errors import ModelError
from piaa.files import parse_json
from piaa.vision.models.torchscript import is_torchscript, read_torchscript

_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the weights in a safetensors file, a state dict saved by torch, or a TorchScript archive.

    Returns:
        name to tensor, on the CPU, in the dtype of the file.

    Raises:
        ModelError: when the file is missing, damaged, holds code instead of weights alone, or is something
        else.
    """
    if not os.path.isfile(path):  # False for a name too long too
        raise ModelError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if is_torchscript(path):
            return {key: value for key, value in read_torchscript(path).items() if key not in _NOT_WEIGHTS}
        content = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: holds more than weights, or is damaged; such a file can run code and is refused. "
            "Convert it to safetensors where you trust it"
        ) from error
    except Exception as error:  # each reader has exceptions of its own
        raise ModelError(f"{path}: cannot read weights from it: {_first_line(error)}") from error
    return _state_dict_in(content, path)


def _state_dict_in(content: object, path: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path}: holds no state dict (names with tensors)")
    weights = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    prefix = "module."
    if all(key.startswith(prefix) for key in weights):
        weights = {key[len(prefix) :]: value for key, value in weights.items()}
    return {key: value for key, value in weights.items() if key not in _NOT_WEIGHTS}


def read_directory_weights(directory: Path) -> dict[str, Tensor]:
    """Read `model.safetensors`, its shards, or `pytorch_model.bin` of a Hugging Face directory.

    Raises:
        ModelError: when none is there, or one cannot be read.
    """
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        named = read_json(index).get("weight_map", {})
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
            raise ModelError(f"{index}: its weight_map must be an object of names and file names")
        weights: dict[str, Tensor] = {}
        for name in sorted(set(named.values())):
            if Path(name).name != name:
                raise ModelError(f"{index}: names a file outside its directory: {name!r}")
            weights |= read_state_dict(directory / name)
        return weights
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (directory / name).is_file():
            return read_state_dict(directory / name)
    raise ModelError(f"{directory}: no model.safetensors and no pytorch_model.bin in it")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: when the file is missing, not JSON or not an object.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot read it as JSON: {_first_line(error)}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: must hold a JSON object")
    return content


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
