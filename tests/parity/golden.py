"""Where the golden numbers lie, and how far ours are from them."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = Path(os.environ.get("PIAA_GOLDEN") or ROOT.parent / "shared" / "reference")
WEIGHTS, NUMBERS = GOLDEN / "vit_visual_weights.safetensors", GOLDEN / "vit_front_ends.safetensors"
KEYS = {name: f"patches_{name.replace('-', '')}" for name in ("clip", "sclip", "itaclip", "sc-clip")}
ABSENT = not (WEIGHTS.is_file() and NUMBERS.is_file())
WHY = f"no vit_*.safetensors pair in {GOLDEN}"


def centred_error(ours, theirs):
    """Relative error after taking out the mean over patches, which hides differences; the worst image's."""
    ours, theirs = (x - x.mean(dim=1, keepdim=True) for x in (ours, theirs))
    return ((ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1)).max().item()


def cls_error(ours, theirs):
    """Relative error, the worst image's."""
    return ((ours - theirs).norm(dim=1) / theirs.norm(dim=1)).max().item()
