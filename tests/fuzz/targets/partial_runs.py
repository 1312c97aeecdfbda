"""What a killed run leaves: the checkpoint of `piaa fit`, and the manifest."""

from __future__ import annotations

from pathlib import Path

import torch

from piaa.jobs.fit import _load_checkpoint, _save_checkpoint
from piaa.jobs.partial import open_partial
from piaa.method.evidence import Evidence

from ..harness import Seed, Target

SETTINGS = {"the images": "abc"}


def seeds(folder: Path) -> list[Seed]:
    partial = open_partial(folder / "c.piaa", SETTINGS, {"checkpoint_every": 4}, False)
    evidence = _evidence()
    made = torch.Generator().manual_seed(0)
    prototypes = torch.nn.functional.normalize(torch.randn(2, 4, generator=made), dim=1)
    patches = torch.randn(2, 3, 4, generator=made)
    evidence.update(patches[:, 0], patches, torch.arange(2), prototypes, 10.0)
    _save_checkpoint(partial, evidence, 2, [{"path": "a", "reason": "b", "stage": "read"}])  # type: ignore[arg-type]
    found = {name: (partial.path / name).read_bytes() for name in ("checkpoint.safetensors", "manifest.json")}
    (folder / "good").mkdir(exist_ok=True)
    for name, data in found.items():
        (folder / "good" / name).write_bytes(data)
    return [Seed(data, "." + name.rpartition(".")[2]) for name, data in found.items()]


def read(data: bytes, suffix: str, folder: Path) -> None:
    home = folder / "c.piaa.partial"
    for name in ("checkpoint.safetensors", "manifest.json"):
        good = (folder / "good" / name).read_bytes()
        (home / name).write_bytes(data if name.endswith(suffix) else good)
    partial = open_partial(folder / "c.piaa", SETTINGS, {}, True)
    _load_checkpoint(partial, _evidence())  # type: ignore[arg-type]


def _evidence() -> Evidence:
    return Evidence(2, 4, 8, 4)


TARGET = Target("partial-runs", seeds, read, memory=600)  # a sample of whole images may take 256 MiB
