"""The weights in a TorchScript archive, read without running anything of it.

`torch.jit.load` runs what an archive says is to be run at loading (`__setstate__`), which may write files. Here the
archive is a zip of a pickle, of raw numbers and of source text: the pickle is read by an unpickler that knows tensors
and modules alone, and of the source text only the names of parameters and buffers are looked up.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.errors import ModelError

_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_CLASS = re.compile(r"^class ([^\s(]+)\(", re.MULTILINE)
_NAMES = re.compile(r"^  __(?:parameters|buffers)__ = \[(.*)\]", re.MULTILINE)


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, as OpenAI's `.pt` files are."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):  # a damaged archive is none
        return False


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers of an archive, by the names that `state_dict` would give them, on the CPU.

    Raises:
        pickle.UnpicklingError: it holds what is neither a tensor nor a module.
        ModelError: it holds no weights, or its parts do not fit each other.
    """
    with zipfile.ZipFile(path) as archive:
        root = _root(archive, path)
        with archive.open(f"{root}data.pkl") as stream:
            module = _Reader(stream, archive, root).load()
        wanted = dict(_declared(archive, root))
    if not isinstance(module, _Module):
        raise ModelError(f"{path}: a TorchScript archive of something else than a module")
    weights = dict(_walk(module, wanted, ""))
    if not weights:
        raise ModelError(f"{path}: a TorchScript archive without weights that can be read as data; use safetensors")
    return weights


class _Module:
    """A module of the archive: its attributes by name, and the name of its class."""

    kind = ""
    attributes: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class _Reader(pickle.Unpickler):
    """Knows tensors, modules and plain values; what it hands to the pickle is made anew for each name."""

    def __init__(self, stream: Any, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(stream)
        self._archive, self._root = archive, root
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return type("_Module", (_Module,), {"kind": f"{module}.{name}"})
        if module == "torch" and name in _TYPES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _tensor(storage, offset, size, stride)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle":  # lists and dictionaries with their types
            return lambda value, *_: value
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of a model's weights")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, type_name, key, _, count = pid
        if kind != "storage" or type_name not in _TYPES or not re.fullmatch(r"[0-9]+", str(key)):
            raise pickle.UnpicklingError(f"a storage that is none: {pid!r}")
        if key not in self._storages:
            self._storages[key] = self._storage(str(key), _TYPES[type_name], int(count))
        return self._storages[key]

    def _storage(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        about = self._archive.getinfo(f"{self._root}data/{key}")
        if about.compress_type != zipfile.ZIP_STORED or about.file_size < count * dtype.itemsize:
            raise pickle.UnpicklingError(f"storage {key} is not {count} numbers of {dtype}")
        content = bytearray(self._archive.read(about))
        return torch.frombuffer(content, dtype=dtype, count=count) if count else torch.zeros(0, dtype=dtype)


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    if math.prod(size) > len(storage):
        raise pickle.UnpicklingError(f"a tensor of {math.prod(size)} numbers in a storage of {len(storage)}")
    return storage.as_strided(size, stride, offset).clone()  # refuses what lies outside


def _root(archive: zipfile.ZipFile, path: Path) -> str:
    """The folder in which the archive's parts lie."""
    found = [name for name in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(found) != 1:
        raise ModelError(f"{path}: no TorchScript archive: it has {len(found)} files data.pkl")
    return found[0].removesuffix("data.pkl")


def _declared(archive: zipfile.ZipFile, root: str) -> Iterator[tuple[str, set[str]]]:
    """The parameters and buffers of each class, as the archive's source text lists them."""
    for name in archive.namelist():
        if not (name.startswith(f"{root}code/") and name.endswith(".py")):
            continue
        module = name.removeprefix(f"{root}code/").removesuffix(".py").replace("/", ".")
        text = archive.read(name).decode("utf-8")
        begins = [*_CLASS.finditer(text)]
        ends = [*(begin.start() for begin in begins[1:]), len(text)]
        for begin, end in zip(begins, ends, strict=True):
            lists = _NAMES.findall(text, begin.start(), end)
            yield f"{module}.{begin[1]}", {each for one in lists for each in re.findall(r'"([^"]*)"', one)}


def _walk(module: _Module, wanted: dict[str, set[str]], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.attributes.items():
        if isinstance(value, _Module):
            yield from _walk(value, wanted, f"{prefix}{name}.")
        elif isinstance(value, Tensor) and name in wanted.get(module.kind, ()):
            yield f"{prefix}{name}", value
