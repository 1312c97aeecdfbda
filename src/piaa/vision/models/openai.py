"""OpenAI's own archives: the architecture is read off the shapes of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from piaa.errors import ModelError

HEAD_WIDTH = 64
"""Of both towers of every CLIP that OpenAI published; the weights do not record it."""


def openai_config(weights: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """open_clip's `model_cfg` for weights in OpenAI's layout, with QuickGELU.

    Raises:
        ModelError: when the image tower is a ResNet, or the weights are not in that layout.
    """
    if "visual.layer1.0.conv1.weight" in weights:
        raise ModelError(f"{path}: its image tower is a ResNet; PIAA needs a vision transformer's patch tokens")
    try:
        width, _, patch_size, _ = weights["visual.conv1.weight"].shape
        context, text_width = weights["positional_embedding"].shape
        return {
            "embed_dim": weights["text_projection"].shape[1],
            "quick_gelu": True,
            "vision_cfg": {
                "image_size": patch_size * round((len(weights["visual.positional_embedding"]) - 1) ** 0.5),
                "layers": _layers(weights, "visual.transformer"),
                "width": width,
                "head_width": HEAD_WIDTH,
                "patch_size": patch_size,
            },
            "text_cfg": {
                "context_length": context,
                "vocab_size": len(weights["token_embedding.weight"]),
                "width": text_width,
                "heads": text_width // HEAD_WIDTH,
                "layers": _layers(weights, "transformer"),
            },
        }
    except (KeyError, ValueError, IndexError) as error:
        raise ModelError(f"{path}: not a CLIP model in OpenAI's layout: {error}") from error


def _layers(weights: Mapping[str, Tensor], transformer: str) -> int:
    return sum(key.startswith(f"{transformer}.") and key.endswith(".attn.in_proj_weight") for key in weights)
