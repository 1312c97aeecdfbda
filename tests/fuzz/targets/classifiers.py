"""Classifier files: safetensors with JSON in the metadata. Half of the cases have a whole header."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import torch

from piaa.classifier import Classifier
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales
from piaa.vocabulary.labels import Label

from ..harness import Seed, Target
from ..mutate import mutated

OLD = Path(__file__).resolve().parents[2] / "data" / "classifier-v1.piaa"


def seeds(folder: Path) -> list[Seed]:
    made = torch.Generator().manual_seed(0)
    weight, prototypes = (torch.randn(3, 8, generator=made) for _ in range(2))
    scales = Scales(1.0, 2.0, 3.0, "softmax")
    learnt = PatchClassifier(weight, torch.zeros(3), prototypes, scales, 0.5, "max")
    labels = [Label("cat", ("kitten",)), Label("dog"), Label("umbrella")]
    Classifier(labels, learnt, scales, settings={"model": "embedded", "recipe": {}}).save(folder / "seed.piaa")
    return [Seed((folder / "seed.piaa").read_bytes()), Seed(OLD.read_bytes())]


def read(data: bytes, suffix: str, folder: Path) -> None:
    path = folder / "case.piaa"
    path.write_bytes(data)
    found = Classifier.load(path)
    found.save(folder / "again.piaa")


def change(data: bytes, rng: random.Random) -> bytes:
    """The same tensors with a header whose length is right and whose metadata was changed as JSON."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        text = header["__metadata__"]["piaa"]
        header["__metadata__"]["piaa"] = mutated([text.encode()], rng).decode(errors="replace")
        written = json.dumps(header).encode()
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        return data
    return struct.pack("<Q", len(written)) + written + data[8 + length :]


TARGET = Target("classifiers", seeds, read, change=change)
