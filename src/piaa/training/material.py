"""What a training run works on: stored embeddings of images, and the text prototypes of their classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piaa.training.heads import features_named, scaled

MOST_BYTES = 2**30
"""Of class-wise features that are computed once and kept; above it they are computed anew for each batch."""


LEFT_OUT = 0.2
"""Share of a stored embedding's numbers that its second view has not."""


class Embeddings(Protocol):
    """Stored embeddings, as `piaa.experiments.features.Features` has them."""

    @property
    def ids(self) -> list[str]:
        """N."""

    @property
    def cls(self) -> NDArray[np.float16]:
        """N x d."""

    @property
    def patches(self) -> NDArray[np.float16]:
        """N x M x d."""

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns), M = rows * columns."""

    @property
    def failed(self) -> list[tuple[str, str]]:
        """(id, reason) of images that could not be read."""


@dataclass(frozen=True)
class Material:
    """Embeddings of N images of one split.

    Attributes:
        ids: N.
        cls: N x d, raw, any float type; an array, on disk or in memory.
        patches: N x M x d, likewise.
        grid: (rows, columns), M = rows * columns.
        prototypes: C x d, unit length, float32.
        names: C class names.
    """

    ids: list[str]
    cls: Any
    patches: Any
    grid: tuple[int, int]
    prototypes: Tensor
    names: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, rows: Sequence[int] | Tensor | slice) -> tuple[Tensor, Tensor]:
        """[CLS] and patches of some images, float32."""
        index = rows.cpu().numpy() if isinstance(rows, Tensor) else rows
        return tuple(torch.from_numpy(np.asarray(part[index], dtype=np.float32)) for part in (self.cls, self.patches))  # type: ignore[return-value]

    def batches(self, size: int = 256) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """[CLS], patches, and the positions of the images, a batch at a time."""
        for start in range(0, len(self), size):
            stop = min(len(self), start + size)
            yield *self.rows(slice(start, stop)), torch.arange(start, stop)


def material_of(embeddings: Embeddings, prototypes: Tensor, names: Sequence[str]) -> Material:
    """Stored embeddings with their classes."""
    return Material(
        list(embeddings.ids), embeddings.cls, embeddings.patches, embeddings.grid, prototypes.float().cpu(), list(names)
    )


class Inputs(Protocol):
    """What a network is given of each image, by row: `HeadInputs`, or images for a backbone.

    Attributes:
        width: k, numbers that a head sees.
    """

    width: int

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Of a batch."""

    def __len__(self) -> int:
        """Images."""

    def again(self, rows: Tensor, random: torch.Generator) -> Tensor:
        """Of a batch, seen another way: B x the same."""


class HeadInputs:
    """What a head sees of each image, by row: kept in half precision where it fits, else computed when asked for.

    Args:
        material: the images.
        name: of `piaa.training.heads.FEATURES`.
    """

    def __init__(self, material: Material, name: str) -> None:
        self.material, self._compute = material, features_named(name)
        first = self._of(slice(0, 1))
        self.width = int(first.shape[-1])
        self._kept: Tensor | None = None
        if 2 * first.numel() * len(material) <= MOST_BYTES:
            parts = [self._compute(cls, patches, material.prototypes).half() for cls, patches, _ in material.batches()]
            self._kept = torch.cat(parts)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """B x C x k or B x 1 x k, float32."""
        return self._of(rows) if self._kept is None else self._kept[rows].float()

    def __len__(self) -> int:
        return len(self.material)

    def again(self, rows: Tensor, random: torch.Generator) -> Tensor:
        """The same with a share of its numbers left out: stored embeddings know no other crop or colour."""
        return without_some(self[rows], random)

    def _of(self, rows: Tensor | slice) -> Tensor:
        cls, patches = self.material.rows(rows)
        return self._compute(cls, patches, self.material.prototypes)


def without_some(features: Tensor, random: torch.Generator) -> Tensor:
    """`LEFT_OUT` of the numbers set to 0, the others larger by as much."""
    return features * ((torch.rand(features.shape, generator=random) >= LEFT_OUT) / (1 - LEFT_OUT))


class PatchInputs:
    """The patches of each image, for a network that finds the classes in them itself.

    Args:
        material: the images.
    """

    def __init__(self, material: Material) -> None:
        self.material, self.width = material, int(material.patches.shape[-1])

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """B x M x d, float32, of length sqrt(d) each."""
        return scaled(self.material.rows(rows)[1])

    def __len__(self) -> int:
        return len(self.material)

    def again(self, rows: Tensor, random: torch.Generator) -> Tensor:
        """The same with a share of its numbers left out: stored embeddings know no other crop or colour."""
        return without_some(self[rows], random)
