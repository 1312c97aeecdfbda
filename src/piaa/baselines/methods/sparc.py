"""SPARC (CVPR 2025) with PIAA's face: `piaa.baselines.sparc` on cosines of [CLS] with three kinds of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.baselines import sparc
from piaa.baselines.base import Model, OnEmbeddings, Tensors, on_cpu
from piaa.baselines.prompts import compound_prompts, imagenet_templates, members
from piaa.errors import LabelError
from piaa.vision.encoder import Encoded
from piaa.vocabulary.labels import Label
from piaa.vocabulary.prototypes import text_prototypes

SIMPLE = "a photo of a {}"


@dataclass(frozen=True)
class Sparc(OnEmbeddings):
    """Statistics of cosines, learnt from unlabelled images; then each image by itself.

    A row has C cosines with the ensemble prompts, C with the plain ones, P with the compound ones. A score is the
    sigmoid of SPARC's own, which has no bounds; the order of images and classes stays.

    Attributes:
        compound: the compound prompts; empty: made by the rule of `piaa.baselines.prompts.compound_prompts`.
    """

    compound: tuple[str, ...] = ()

    learns: ClassVar[bool] = True
    without_maps: ClassVar[str] = "it looks at [CLS] alone, not at patches"

    @property
    def templates(self) -> tuple[str, ...]:
        """The 80 of ImageNet, for the ensemble prompt."""
        return imagenet_templates()

    def words(self, model: Model, labels: Sequence[Label], templates: Sequence[str]) -> dict[str, Tensor]:
        """`prototypes` (ensemble) and `simple`, `C x d`; `compound`, `P x d`; `members`, `P x C`."""
        if len(labels) < 2:
            raise LabelError("SPARC standardises over classes, so it needs 2 class names at least")
        prompts = list(self.compound or compound_prompts(labels))
        return {
            "prototypes": on_cpu(text_prototypes(model, labels, templates)),
            "simple": on_cpu(text_prototypes(model, [Label(label.name) for label in labels], SIMPLE)),
            "compound": F.normalize(on_cpu(model.encode_text(prompts)), dim=-1),
            "members": members(prompts, labels),
        }

    def observe(self, encoded: Encoded, words: Tensors) -> Tensor:
        """All cosines, `N x (2 C + P)`."""
        texts = torch.cat([words["prototypes"], words["simple"], words["compound"]])
        return F.normalize(encoded.cls.float(), dim=-1) @ texts.T

    def learn(self, rows: Tensor, words: Tensors) -> dict[str, Tensor]:
        """`piaa.baselines.sparc.SparcStatistics` as tensors.

        Raises:
            InputError: for fewer than 2 images.
        """
        known = sparc.learn(*self._split(rows, words), words["members"])
        sizes = [0 if direction is None else len(direction) for direction in known.directions]
        directions = [direction for direction in known.directions if direction is not None]
        return {
            "singleton_mean": known.singleton_mean,
            "singleton_std": known.singleton_std,
            "compound_mean": known.compound_mean,
            "compound_std": known.compound_std,
            "directions": torch.cat(directions) if directions else torch.zeros(0),
            "direction_sizes": torch.tensor(sizes),
        }

    def score(self, rows: Tensor, words: Tensors, learnt: Tensors) -> Tensor:
        """The sigmoid of SPARC's score."""
        parts = torch.split(learnt["directions"], learnt["direction_sizes"].tolist())
        known = sparc.SparcStatistics(
            learnt["singleton_mean"],
            learnt["singleton_std"],
            learnt["compound_mean"],
            learnt["compound_std"],
            [part if len(part) else None for part in parts],
        )
        return sparc.score(*self._split(rows, words), words["members"], known).sigmoid()

    @staticmethod
    def _split(rows: Tensor, words: Tensors) -> tuple[Tensor, Tensor, Tensor]:
        classes = len(words["prototypes"])
        single, simple, compound = torch.split(rows, [classes, classes, rows.shape[1] - 2 * classes], dim=1)
        return single, simple, compound


@dataclass(frozen=True)
class PublishedSparc(Sparc):
    """The same with statistics of the images that are scored: an image's scores depend on the others."""

    transductive: ClassVar[bool] = True


SPARC = (Sparc("sparc", "SPARC", front_end="clip"), PublishedSparc("sparc-published", "SPARC", front_end="clip"))
