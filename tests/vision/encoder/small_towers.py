"""Small random towers, of every architecture option that changes the arithmetic."""

import torch
from open_clip.transformer import LayerNorm, QuickGELU, VisionTransformer
from torch import nn

OPTIONS = {
    "plain": {},
    "quickgelu": {"act_layer": QuickGELU},
    "layer-scale": {"ls_init_value": 0.3},
    "no-ln-pre-average-pool": {"no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True},
    "average-pool-of-normed": {"pool_type": "avg"},
    "patch-dropout": {"patch_dropout": 0.5},
    "sin-cos": {"pos_embed_type": "sin_cos_2d"},
}


def small_visual(seed=0, image_size=64, layers=12, **options):
    torch.manual_seed(seed)
    visual = VisionTransformer(
        **{"act_layer": nn.GELU, "norm_layer": LayerNorm, **options},
        image_size=image_size,
        patch_size=16,
        width=64,
        layers=layers,
        heads=4,
        mlp_ratio=2.0,
        output_dim=32,
    )
    with torch.no_grad():  # every bias and gain must matter, and tokens must differ
        for name, weight in visual.named_parameters():
            if weight.ndim == 1 and "embedding" not in name and "gamma" not in name:
                weight.add_(0.2 * torch.randn_like(weight))
            elif "in_proj_weight" in name or name == "conv1.weight":
                weight.mul_(2)
    return visual.eval()
