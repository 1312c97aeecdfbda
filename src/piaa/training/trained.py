"""A trained head on disk and in use: one safetensors file that says how it came about; no pickle is read or written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from piaa.errors import ClassifierError
from piaa.method.thresholds import Thresholds
from piaa.training import files
from piaa.training.heads import Head, Logits, features_named, scaled
from piaa.training.networks import network_of

FORMAT, VERSION = "piaa-trained-head", 1
PATCHES = "patches"
"""What a graph network sees: all patches; it finds the classes itself."""


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """A head with all that scoring needs.

    Attributes:
        head: on the CPU; linear classifiers, or the logits of a graph network.
        features: a name of `piaa.training.heads.FEATURES`, or `PATCHES` for a graph network.
        prototypes: C x d.
        names: C class names.
        settings: JSON values: model, front end, method, regime, seed, ...
        thresholds: where PIAA taught it: of the sum of both, learnt from the training images without a label.
    """

    head: Head | Logits
    features: str
    prototypes: Tensor
    names: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    thresholds: Thresholds | None = None

    @torch.no_grad()
    def score(self, cls: Tensor, patches: Tensor) -> Tensor:
        """Raw embeddings N x d and N x M x d to probabilities N x C, each image by itself."""
        if self.features == PATCHES:
            return torch.sigmoid(self.head(scaled(patches)))
        return torch.sigmoid(self.head(features_named(self.features)(cls, patches, self.prototypes)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all.

        Raises:
            ClassifierError: it cannot be written.
        """
        plain = {
            "format": FORMAT, "version": VERSION, "features": self.features, "labels": self.names,
            "settings": self.settings, "network": self.head.network.sizes if isinstance(self.head, Logits) else {},
        }  # fmt: skip
        learnt, tensors = files.of_thresholds(self.thresholds)
        tensors |= {**self.head.state_dict(), "prototypes": self.prototypes}
        files.write(path, plain | learnt, tensors, "the trained head")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TrainedHead:
        """Read a file that `save` wrote.

        Raises:
            ClassifierError: it is missing, damaged, or of something else.
        """
        path = Path(path)
        try:
            foreign = "no trained head; give a file that 'piaa train' wrote without --backbone"
            plain, tensors = files.read(path, (FORMAT, VERSION), foreign)
            head, thresholds = _head(plain.get("network", {}), tensors), files.take_thresholds(plain, tensors)
            return cls(head, plain["features"], tensors["prototypes"], plain["labels"], plain["settings"], thresholds)
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise ClassifierError(f"{path}: cannot be read as a trained head ({error})") from error


def _head(sizes: dict[str, Any], tensors: dict[str, Tensor]) -> Head | Logits:
    if sizes:
        return Logits(network_of(sizes, files.part(tensors, "network")))
    head = Head(*tensors["weight"].shape)
    head.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
    return head
