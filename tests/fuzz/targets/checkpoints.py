"""Weights of models: safetensors, a state dict of torch, TorchScript, and a Hugging Face directory's JSON."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from piaa.vision.models.checkpoints import is_torchscript, read_directory_weights, read_json, read_state_dict

from ..harness import Seed, Target


def seeds(folder: Path) -> list[Seed]:
    weights = {"a.weight": torch.ones(4, 3), "b": torch.zeros(2, dtype=torch.float16)}
    save_file(weights, folder / "w.safetensors")
    torch.save({"state_dict": weights}, folder / "w.pt")
    torch.save(weights, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.jit.trace(torch.nn.Linear(3, 2), torch.ones(1, 3)).save(str(folder / "script.pt"))
    index = {"weight_map": {"a.weight": "w.safetensors", "b": "w.safetensors"}}
    found = [Seed((folder / name).read_bytes(), ".pt") for name in ("w.pt", "old.pt", "script.pt")]
    found += [Seed((folder / "w.safetensors").read_bytes(), ".safetensors")]
    return [*found, Seed(json.dumps(index).encode(), ".json")]


def read(data: bytes, suffix: str, folder: Path) -> None:
    if suffix == ".json":
        home = folder / "directory"
        home.mkdir(exist_ok=True)
        (home / "model.safetensors.index.json").write_bytes(data)
        (home / "w.safetensors").write_bytes((folder / "w.safetensors").read_bytes())
        read_json(home / "model.safetensors.index.json")
        read_directory_weights(home)
        return
    path = folder / f"case{suffix}"
    path.write_bytes(data)
    is_torchscript(path)
    read_state_dict(path)


TARGET = Target("checkpoints", seeds, read)
