"""A small random tower and the size of its images."""

import torch
from open_clip.transformer import LayerNorm, QuickGELU, VisionTransformer

SIZE = (64, 96)
"""Not square, and not the size that the tower was made for."""


def small_visual(seed=0, act_layer=QuickGELU):
    torch.manual_seed(seed)
    visual = VisionTransformer(
        image_size=64, patch_size=16, width=64, layers=4, heads=4, mlp_ratio=2.0, output_dim=32,
        act_layer=act_layer, norm_layer=LayerNorm,
    )  # fmt: skip
    with torch.no_grad():  # every bias and gain must matter, and tokens must differ
        for name, weight in visual.named_parameters():
            if weight.ndim == 1 and "embedding" not in name:
                weight.add_(0.2 * torch.randn_like(weight))
            elif "in_proj_weight" in name or name == "conv1.weight":
                weight.mul_(2)
    return visual.eval()
