"""Classifier files of format version 1, brought into the form of the present one.

Version 1 kept the scales as two tensors of three numbers; the fusion, alpha and the aggregator stood in the recipe.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from piaa.errors import ClassifierError
from piaa.method.recipes import Scales, recipe_from_dict

_MOVED = ("statistics.scales", "statistics.text_scales")


def updated(content: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Content and tensors of version 1 as the present version has them.

    Raises:
        ClassifierError: when something is missing.
    """
    try:
        settings = content["settings"]
        recipe = recipe_from_dict(settings["recipe"])
        fusion = getattr(recipe.scales, "fusion", "softmax")
        learnt = {
            "scales": _scales(tensors["statistics.scales"], fusion),
            "alpha": recipe.alpha,
            "aggregator": recipe.aggregator,
            "threshold_rule": settings["threshold_rule"],
        }
        text_scales = _scales(tensors["statistics.text_scales"], fusion)
        listed = [name for name in content.get("tensors", []) if name not in _MOVED]
    except (KeyError, TypeError, ValueError) as error:
        raise ClassifierError(f"damaged: its settings cannot be read ({error!r})") from error
    kept = {name: tensor for name, tensor in tensors.items() if name not in _MOVED}
    return {**content, "learnt": learnt, "text_scales": text_scales, "tensors": listed}, kept


def _scales(numbers: Tensor, fusion: str) -> dict[str, Any]:
    inference, patch, cls = numbers.tolist()
    return Scales(inference, patch, cls, fusion).to_dict()
