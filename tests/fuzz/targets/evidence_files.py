"""Evidence files of `piaa fit --keep-evidence`, as `piaa merge` and `piaa fit --update` read them."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import torch

from piaa.jobs.evidence import EvidenceFile, merge_evidence, read_evidence
from piaa.method.evidence import Evidence

from ..harness import Seed, Target
from ..mutate import mutated


def seeds(folder: Path) -> list[Seed]:
    made = torch.Generator().manual_seed(0)
    evidence = Evidence(2, 4, 8, 4)
    patches = torch.nn.functional.normalize(torch.randn(6, 3, 4, generator=made), dim=-1)
    evidence.update(patches[:, 0], patches, torch.arange(6), torch.eye(2, 4), 10.0)
    state = evidence.state_dict()
    about = {"fingerprint": "x", "labels": [["cat", []], ["dog", []]], "settings": {"model": "embedded"}}
    for name, share, tail in (("a", "1/2", state), ("b", "2/2", None)):
        items = [("photos/9.png", "00" * 16)] if tail else []
        main = {key: value.clone() for key, value in state.items()}
        file = EvidenceFile(about, share, "listed", 6, main, tail, items, bytes(range(96)), 1)
        file.write(folder / f"{name}.evidence")
    return [Seed((folder / "a.evidence").read_bytes())]


def read(data: bytes, suffix: str, folder: Path) -> None:
    path = folder / "case.evidence"
    path.write_bytes(data)
    merge_evidence([read_evidence(path), read_evidence(folder / "b.evidence")]).write(folder / "whole.evidence")


def change(data: bytes, rng: random.Random) -> bytes:
    """The same tensors, and the metadata changed as JSON."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = header["__metadata__"]["piaa"]
    header["__metadata__"]["piaa"] = mutated([text.encode()], rng).decode(errors="replace")
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + data[8 + length :]


TARGET = Target("evidence-files", seeds, read, change=change)
