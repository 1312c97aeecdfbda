"""What is trained on stored embeddings: one linear classifier a class, on what a frozen tower sees of the image.

A head is given an image's embeddings and gives logits; methods that need it also get the class-wise features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piaa.errors import InputError

ATTENTION_SCALE = 20.0
"""Of the softmax over patches of their cosines with a class's text prototype."""


@dataclass(frozen=True)
class Output:
    """What a head makes of a batch.

    Attributes:
        logits: B x C.
        features: B x C x k, what each class's classifier sees.
    """

    logits: Tensor
    features: Tensor


class Head(nn.Module):
    """C linear classifiers, each on features of its own class (k numbers), as SST and SARB have them.

    Args:
        classes: C.
        width: k.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, width))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, features: Tensor) -> Tensor:
        """B x C x k, or B x 1 x k where all classes see the same, to B x C."""
        if features.shape[1] == 1:
            return F.linear(features[:, 0], self.weight, self.bias)
        return torch.einsum("bck,ck->bc", features, self.weight) + self.bias


class Network(nn.Module):
    """A head, and the backbone below it that learns too; without one it is given what a frozen tower saw.

    Args:
        head: on k numbers; `Head`, or `piaa.training.graph.GraphHead`.
        backbone: what it is given to B x k or B x C x k; None for stored embeddings.
        sizes: JSON values to build it anew (`piaa.training.networks`); empty for linear classifiers.
    """

    head: Any
    backbone: Any

    def __init__(self, head: nn.Module, backbone: nn.Module | None = None, sizes: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.head, self.backbone, self.sizes = head, backbone, sizes or {}

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits B x C, and the features that the head saw: B x C x k or B x 1 x k."""
        features = inputs if self.backbone is None else self.backbone(inputs)
        features = features[:, None] if features.ndim == 2 else features
        return self.head(features), features


class Logits(nn.Module):
    """A network's logits alone, as a head is used."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """B x C."""
        logits: Tensor = self.network(inputs)[0]
        return logits


def whole_image(cls: Tensor, patches: Tensor, prototypes: Tensor) -> Tensor:
    """The [CLS] embedding alone, unit length times the square root of d: N x 1 x d, the same for every class."""
    return scaled(cls)[:, None]


def class_wise(cls: Tensor, patches: Tensor, prototypes: Tensor) -> Tensor:
    """[CLS] beside the mean of the patches, weighted for each class by their likeness to its text: N x C x 2d.

    The weighting stands for the semantic decoupling of SST and SARB, which word vectors guide.
    """
    unit = F.normalize(patches.float(), dim=-1)
    weights = torch.softmax(ATTENTION_SCALE * unit @ prototypes.T, dim=1)  # N x M x C
    seen = scaled(weights.mT @ unit)
    whole = scaled(cls)[:, None].expand(-1, len(prototypes), -1)
    return torch.cat([whole, seen], dim=-1)


def scaled(vectors: Tensor) -> Tensor:
    """Unit length times the square root of the width, so that each number is about 1."""
    long: Tensor = F.normalize(vectors.float(), dim=-1) * vectors.shape[-1] ** 0.5
    return long


FEATURES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"cls": whole_image, "class-wise": class_wise}
"""(cls N x d, patches N x M x d, prototypes C x d) to N x 1 x k or N x C x k, by the name that `--head` takes."""


def features_named(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """An entry of `FEATURES`.

    Raises:
        InputError: naming those that exist.
    """
    if name not in FEATURES:
        raise InputError(f"no head is called {name!r}; choose one of: {', '.join(FEATURES)}")
    return FEATURES[name]
