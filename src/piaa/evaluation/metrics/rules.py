"""How a ranking of one class becomes its AP: the rules of the field, by name.

A rule sees only the places of the positives. For P positives, best first, in B resamples of the images:

    hits     P x B, positives that score at least as high as this one, itself counted
    ranks    P x B, images that score at least as high
    weights  P x B, how often this positive is in the resample (all 1 where nothing is resampled)

`hits / ranks` is the precision at the positive's score, `hits / hits[-1]` the recall. Equal scores are one threshold in
every rule, so that no result depends on the order of the images. A rule gives B values, NaN where no positive is left.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from piaa.errors import InputError

Rule = Callable[[Tensor, Tensor, Tensor], Tensor]


def torchmetrics_rule(hits: Tensor, ranks: Tensor, weights: Tensor) -> Tensor:
    """Sum over thresholds of precision times the gain in recall: the mean precision at the positives."""
    return _mean(hits / ranks.clamp(min=1), hits, weights)


def voc2007_rule(hits: Tensor, ranks: Tensor, weights: Tensor) -> Tensor:
    """Mean over the recalls 0, 0.1, ... 1 of the best precision at that recall or more (VOC 2007 to 2009)."""
    precision, total = hits / ranks.clamp(min=1), hits[-1]
    levels = [precision.where(10 * hits >= level * total, 0).amax(dim=0) for level in range(11)]
    return torch.stack(levels).mean(dim=0).where(total > 0, torch.nan)


def voc2010_rule(hits: Tensor, ranks: Tensor, weights: Tensor) -> Tensor:
    """Area under the precision made monotone: at each recall the best precision at that or more (VOC 2010 on)."""
    precision = hits / ranks.clamp(min=1)
    return _mean(precision.flip(0).cummax(dim=0).values.flip(0), hits, weights)


def _mean(precision: Tensor, hits: Tensor, weights: Tensor) -> Tensor:
    total = hits[-1]
    return ((weights * precision).sum(dim=0) / total.clamp(min=1)).where(total > 0, torch.nan)


AP_RULES: dict[str, Rule] = {"torchmetrics": torchmetrics_rule, "voc2007": voc2007_rule, "voc2010": voc2010_rule}


def rule_named(name: str) -> Rule:
    """A rule of `AP_RULES`.

    Raises:
        InputError: naming those that exist.
    """
    if name not in AP_RULES:
        raise InputError(f"no AP rule is called {name!r}; choose one of: {', '.join(AP_RULES)}")
    return AP_RULES[name]
