"""Text patches + max, table 3 without PIAA: each patch against the prototypes, the best patch counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.baselines.base import Model, OnEmbeddings, Sight, Tensors, on_cpu
from piaa.vision.encoder import Encoded
from piaa.vocabulary.labels import Label
from piaa.vocabulary.prototypes import TEMPLATE_SETS, text_prototypes

CHUNK = 1 << 24
"""Elements of the largest `N x M x C` temporary."""


@dataclass(frozen=True)
class TextPatches(OnEmbeddings):
    """A softmax over classes at each patch, then the maximum over patches; nothing is learnt.

    Attributes:
        scale: of the softmax, as the published code of PIAA.
    """

    scale: float = 60.0

    @property
    def templates(self) -> tuple[str, ...]:
        """ "a photo of a {}"."""
        return TEMPLATE_SETS["published"]

    def words(self, model: Model, labels: Sequence[Label], templates: Sequence[str]) -> dict[str, Tensor]:
        """`prototypes`, `C x d`."""
        return {"prototypes": on_cpu(text_prototypes(model, labels, templates))}

    def observe(self, encoded: Encoded, words: Tensors) -> Tensor:
        """The scores themselves, `N x C`."""
        step = max(1, CHUNK // max(1, encoded.patches.shape[1] * len(words["prototypes"])))
        parts = [self._probabilities(part, words).amax(dim=1) for part in torch.split(encoded.patches, step)]
        return torch.cat(parts)

    def score(self, rows: Tensor, words: Tensors, learnt: Tensors) -> Tensor:
        """Rows as they are."""
        return rows

    def maps(self, sight: Sight, words: Tensors, image: Tensor) -> Tensor:
        """p(c | patch)."""
        encoded = sight.encoder()(image[None])
        return self._probabilities(encoded.patches[0].cpu(), words).T.reshape(-1, *encoded.grid)

    def _probabilities(self, patches: Tensor, words: Tensors) -> Tensor:
        return (self.scale * F.normalize(patches.float(), dim=-1) @ words["prototypes"].T).softmax(dim=-1)


TEXT_PATCHES = (
    TextPatches("text-patches", "text patches + max"),
    TextPatches("clip-patches", "CLIP", front_end="clip"),
    TextPatches("sclip", "SCLIP", front_end="sclip"),
    TextPatches("itaclip", "ITACLIP", front_end="itaclip"),
    TextPatches("sc-clip", "SC-CLIP", front_end="sc-clip"),
)
"""With the front-end that the user names, and with each of table 3's."""
