"""Pictures that the embedded model was not made for, by the mean of their [CLS] embeddings."""

from __future__ import annotations

from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from piaa.vision.models.sources import EMBEDDED, EMBEDDED_DIR

USUAL = EMBEDDED_DIR / "usual_cls.safetensors"
"""The mean direction on drawn scenes; `training/usual_cls.py` made it."""
UNLIKE = 0.6
"""Cosine below which pictures are called unlike scenes. Scenes of other seeds and sizes: 0.95 and more; photographs,
pages of text, noise and plain colours: 0.4 and less."""


def unlike_notes(model: str, mean: Tensor) -> list[str]:
    """What a user of the embedded model should know of these pictures, in sentences; empty for other models.

    Args:
        model: its name.
        mean: d, of the unit-length [CLS] embeddings of all pictures.
    """
    if model != EMBEDDED or not bool(mean.any()):
        return []
    likeness = float(F.cosine_similarity(mean.double(), load_file(USUAL)["mean"].double(), dim=0))
    if likeness >= UNLIKE:
        return []
    return [
        "these pictures are unlike the drawn scenes that the built-in model knows, so its labels mean nothing here: "
        "name a real model, such as --model ViT-B-16 --pretrained openai"
    ]
