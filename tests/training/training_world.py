"""A small problem for training tests: embeddings with planted classes, no tower."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional as F

from piaa.training.material import Material, material_of

CLASSES, WIDTH, PATCHES = 6, 24, 16


def small_material(images: int = 96, seed: int = 0) -> tuple[Material, torch.Tensor]:
    """Images whose patches show one to three classes each, and their labels N x C."""
    world = torch.Generator().manual_seed(5)
    prototypes = F.normalize(torch.randn(CLASSES, WIDTH, generator=world), dim=1)
    random = torch.Generator().manual_seed(seed + 100)
    labels = torch.zeros(images, CLASSES, dtype=torch.int64)
    patches = 0.25 * torch.randn(images, PATCHES, WIDTH, generator=random)
    for image in range(images):
        shown = torch.randperm(CLASSES, generator=random)[: 1 + image % 3]
        labels[image, shown] = 1
        for number, c in enumerate(shown.tolist()):
            patches[image, 4 * number : 4 * number + 4] += prototypes[c]
    stored = SimpleNamespace(
        ids=[f"{number}.png" for number in range(images)],
        cls=patches.mean(dim=1).numpy().astype(np.float16),
        patches=patches.numpy().astype(np.float16),
        grid=(4, 4),
    )
    return material_of(stored, prototypes, [f"class {c}" for c in range(CLASSES)]), labels
