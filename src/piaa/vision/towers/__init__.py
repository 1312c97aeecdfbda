"""Image towers taken apart: one small adapter per family, all with the same `Tower` face.

Comes in: an image tower of open_clip or timm. Goes out: a `Tower`, whose blocks can be run one by one. Front-ends and
models must never be imported here.
"""

from __future__ import annotations

from typing import Any

from piaa.errors import ModelError
from piaa.vision.towers.base import Grid, Tower
from piaa.vision.towers.openai import openai_visual

__all__ = ["Grid", "Tower", "build_tower", "openai_visual"]


def build_tower(visual: Any) -> Tower:
    """The adapter for an open_clip image tower.

    Args:
        visual: `model.visual` of an open_clip model, or what `openai_visual` gives.

    Raises:
        ModelError: naming the kind of tower, when it is not a vision transformer with patch tokens.
    """
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer

    from piaa.vision.towers.open_clip_vit import OpenClipTower
    from piaa.vision.towers.timm_vit import EvaTower, TimmVitTower

    if isinstance(visual, VisionTransformer):
        return OpenClipTower(visual)
    kind = type(visual).__name__
    if isinstance(visual, TimmModel):
        if isinstance(visual.trunk, Eva):
            return EvaTower(visual)
        if isinstance(visual.trunk, TimmVisionTransformer):
            return TimmVitTower(visual)
        kind = type(visual.trunk).__name__
    raise ModelError(
        f"image towers of type {kind} are not supported: PIAA needs the patch tokens of a vision "
        "transformer; `piaa models` lists those that work"
    )
