"""Seeded synthetic problems of the golden files' kind: clusters of patches, text prototypes across a modality gap.

A patch is the images' common direction + its object's direction (most patches have none) + noise; a text prototype is
the object's direction seen imprecisely + the texts' own common direction; [CLS] sees all objects of the image faintly.
`VARIANTS` changes one thing at a time: what a rule that was fitted to the golden files alone would stumble over.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Problem:
    cls: Tensor  # N x d
    patches: Tensor  # N x M x d
    text: Tensor  # C x d, unit length
    labels: Tensor  # N x C, for judging alone


@dataclass(frozen=True)
class Setting:
    images: int = 300
    patches: int = 49
    dim: int = 64
    classes: int = 20
    noise: float = 0.24  # of a patch, per dimension
    text_error: float = 0.9  # length of a prototype's error against an object direction of length 1
    gap: float = 1.4  # length of the texts' common direction
    labels: float = 2.5  # objects an image has on average
    imbalance: float = 0.0  # class frequency falls as rank to this power
    smallest: int = 2  # patches that the smallest object covers
    largest: int = 10  # and the largest


VARIANTS: dict[str, Setting] = {
    "like the golden files": Setting(),
    "more noise": Setting(noise=0.30),
    "less noise": Setting(noise=0.15),
    "poor text": Setting(text_error=1.3),
    "good text": Setting(text_error=0.5),
    "no gap": Setting(gap=0.0),
    "wide gap": Setting(gap=3.0),
    "wide embedding": Setting(dim=256, noise=0.13),
    "large images": Setting(patches=196, largest=30),
    "small objects": Setting(smallest=1, largest=3),
    "80 classes": Setting(classes=80, images=1000, dim=128, noise=0.18),
    "300 classes": Setting(classes=300, images=1500, dim=256, noise=0.13),
    "5 classes": Setting(classes=5, labels=1.2),
    "rare classes": Setting(images=1000, imbalance=1.0),
    "crowded": Setting(labels=6.0),
}


def make_problem(setting: Setting, seed: int) -> Problem:
    random = torch.Generator().manual_seed(seed)

    def gauss(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    n, m, d, c = setting.images, setting.patches, setting.dim, setting.classes
    objects = F.normalize(gauss(c, d), dim=1)
    common, text_common = F.normalize(gauss(2, d), dim=1)
    error = setting.text_error * F.normalize(gauss(c, d), dim=1)
    frequency = torch.arange(1, c + 1, dtype=torch.float32) ** -setting.imbalance
    chance = (frequency / frequency.sum() * setting.labels).clamp(max=0.9)
    labels = torch.rand(n, c, generator=random) < chance
    labels[torch.arange(n), torch.multinomial(frequency, n, replacement=True, generator=random)] |= ~labels.any(dim=1)
    covered = torch.full((n, m), -1)
    for image, label in labels.nonzero().tolist():
        width = int(torch.randint(setting.smallest, setting.largest + 1, (1,), generator=random))
        covered[image, torch.randperm(m, generator=random)[:width]] = label
    present = torch.where((covered >= 0)[..., None], objects[covered.clamp(min=0)], 0.0)
    strength = 0.7 + 0.6 * torch.rand(n, m, 1, generator=random)
    patches = common + strength * present + setting.noise * gauss(n, m, d)
    cls = common + 0.28 * labels.float() @ objects + 0.75 / d**0.5 * gauss(n, d)
    return Problem(cls, patches, F.normalize(objects + error + setting.gap * text_common, dim=1), labels)
