"""An image tower from a state dict in OpenAI's layout (`conv1.weight`, `transformer.resblocks.N.*`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from piaa.errors import ModelError

HEAD_WIDTH = 64
"""Every tower that OpenAI published has heads of this width; the layout does not record it."""


def openai_visual(state_dict: Mapping[str, Tensor]) -> Any:
    """Build open_clip's VisionTransformer (QuickGELU) around the weights.

    Args:
        state_dict: image tower weights; the prefix `visual.` may be there or not, and text weights beside it.

    Returns:
        An `open_clip.transformer.VisionTransformer` in eval mode, float32.

    Raises:
        ModelError: when a weight is missing or of the wrong shape.
    """
    from open_clip.transformer import LayerNorm, QuickGELU, VisionTransformer

    if any(key.startswith("visual.") for key in state_dict):
        state_dict = {key[7:]: value for key, value in state_dict.items() if key.startswith("visual.")}
    try:
        width, _, patch, _ = state_dict["conv1.weight"].shape
        positions, output_dim = state_dict["positional_embedding"].shape[0], state_dict["proj"].shape[1]
        mlp_width = state_dict["transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
    except (KeyError, ValueError, IndexError) as error:
        raise ModelError(f"not a vision transformer in OpenAI's layout: {error} is missing or misshapen") from error
    layers = 1 + max(int(key.split(".")[2]) for key in state_dict if key.startswith("transformer.resblocks."))
    side = round((positions - 1) ** 0.5)
    visual = VisionTransformer(
        image_size=side * patch,
        patch_size=patch,
        width=width,
        layers=layers,
        heads=width // HEAD_WIDTH,
        mlp_ratio=mlp_width / width,
        output_dim=output_dim,
        act_layer=QuickGELU,
        norm_layer=LayerNorm,
    )
    try:
        visual.load_state_dict({key: value.to(torch.float32) for key, value in state_dict.items()})
    except RuntimeError as error:
        raise ModelError(f"the weights do not fit a vision transformer in OpenAI's layout: {error}") from error
    return visual.eval()
