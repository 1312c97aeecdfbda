"""CLIP by itself: a softmax over the cosines of the plain [CLS] embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from piaa.baselines.base import Model, OnEmbeddings, Tensors, on_cpu
from piaa.vision.encoder import Encoded
from piaa.vocabulary.labels import Label
from piaa.vocabulary.prototypes import TEMPLATE_SETS, text_prototypes


@dataclass(frozen=True)
class Clip(OnEmbeddings):
    """The zero-shot classifier, class against class; nothing is learnt.

    Attributes:
        scale: of the softmax: 80, as the published code of PIAA has it for VOC and COCO (10 for NUS-WIDE; CLIP's own
            is 100).
    """

    scale: float = 80.0

    without_maps: ClassVar[str] = "it looks at [CLS] alone, not at patches"

    @property
    def templates(self) -> tuple[str, ...]:
        """ "a photo of a {}"."""
        return TEMPLATE_SETS["published"]

    def words(self, model: Model, labels: Sequence[Label], templates: Sequence[str]) -> dict[str, Tensor]:
        """`prototypes`, `C x d`."""
        return {"prototypes": on_cpu(text_prototypes(model, labels, templates))}

    def observe(self, encoded: Encoded, words: Tensors) -> Tensor:
        """Cosines, `N x C`."""
        return F.normalize(encoded.cls.float(), dim=-1) @ words["prototypes"].T

    def score(self, rows: Tensor, words: Tensors, learnt: Tensors) -> Tensor:
        """Their softmax."""
        return (self.scale * rows).softmax(dim=-1)


CLIP = Clip("clip", "CLIP", front_end="clip")
