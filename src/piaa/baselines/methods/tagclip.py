"""TagCLIP (arXiv 2312.12828) with PIAA's face: `piaa.baselines.tagclip` on an image tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from piaa.baselines.base import Method, Model, Observer, Sight, Tensors, logit_scale, on_cpu
from piaa.baselines.prompts import SCENE_TEMPLATES, background_labels, imagenet_templates
from piaa.baselines.tagclip import TAGCLIP_SETTINGS, Stages, TagClipSettings, check_tower, tagclip
from piaa.vocabulary.labels import Label
from piaa.vocabulary.prototypes import text_prototypes

TOGETHER = 16
"""Images whose maps are refined together; no image's scores depend on it."""


@dataclass(frozen=True)
class TagClip(Method):
    """All three stages; nothing is learnt. The softmax is at the model's own scale, as published.

    Attributes:
        settings: every number.
        images_together: images that go through the tower together; 1 as published.
    """

    settings: TagClipSettings = field(default_factory=TagClipSettings)
    images_together: int = TOGETHER

    @property
    def templates(self) -> tuple[str, ...]:
        """The 80 of ImageNet and five more."""
        return (*imagenet_templates(), *SCENE_TEMPLATES)

    def words(self, model: Model, labels: Sequence[Label], templates: Sequence[str]) -> dict[str, Tensor]:
        """`prototypes`, `C x d`; `background`, `B x d`; `scale`, of the softmax."""
        background = background_labels(labels)
        both = on_cpu(text_prototypes(model, [*labels, *background], templates))
        return {
            "prototypes": both[: len(labels)],
            "background": both[len(labels) :],
            "scale": torch.tensor(logit_scale(model)),
        }

    def observer(self, sight: Sight, words: Tensors) -> Observer:
        """Images to scores."""
        check_tower(sight.model.tower)

        def look(images: Tensor) -> Tensor:
            parts = torch.split(images, self.images_together)
            return torch.cat([on_cpu(self._stages(sight, words, part).scores) for part in parts])

        return look

    def score(self, rows: Tensor, words: Tensors, learnt: Tensors) -> Tensor:
        """Rows as they are."""
        return rows

    def maps(self, sight: Sight, words: Tensors, image: Tensor) -> Tensor:
        """Refined patch scores, held to 0..1."""
        stages = self._stages(sight, words, image[None])
        refined = on_cpu(stages.refined)[0, :, : len(words["prototypes"])]
        return refined.clamp(0, 1).T.reshape(-1, *stages.grid)

    def plain(self) -> dict[str, Any]:
        """With the settings as plain values."""
        return {**super().plain(), "settings": asdict(self.settings)}

    def _stages(self, sight: Sight, words: Tensors, images: Tensor) -> Stages:
        text = torch.cat([words["prototypes"], words["background"]])
        settings = replace(self.settings, scale=float(words["scale"]))
        return tagclip(sight.model.tower, images, text, len(words["prototypes"]), settings)


def _as_published(name: str, settings: str) -> TagClip:
    return TagClip(name, "TagCLIP", front_end="clip", settings=TAGCLIP_SETTINGS[settings], images_together=1)


TAGCLIP = (
    TagClip("tagclip", "TagCLIP", front_end="clip"),
    _as_published("tagclip-published", "published"),
    _as_published("tagclip-published-cocostuff", "published-cocostuff"),
)
"""Ours, and the published code's for VOC and COCO and for COCO-Stuff."""
