"""AP by the size of the objects: relative to the image, and in pixels as COCO divides them."""

from __future__ import annotations

from torch import Tensor

from piaa.errors import InputError
from piaa.evaluation.metrics.precision import mean_average_precision

Bins = dict[str, tuple[float, float]]

SIZE_BINS: Bins = {"small": (0.0, 0.22), "medium": (0.22, 0.40), "large": (0.40, 2.0)}
"""Relative size of an object: its longer side over the image's."""

AREA_BINS: Bins = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}
"""Area of an object in pixels of the image as published: COCO's small, medium and large."""


def average_precision_by_size(
    scores: Tensor, labels: Tensor, sizes: Tensor, rule: str = "torchmetrics"
) -> dict[str, float]:
    """mAP with positives of one relative size alone.

    The paper's table 6 is another thing: there whole classes are chosen for being usually large or small, and their
    plain AP is given (`average_precision`).

    Args:
        scores: N x C.
        labels: N x C of 1, 0 and -1 (does not count).
        sizes: N x C, relative size of the largest instance of the class in the image; NaN where unknown or absent.
        rule: a name in `AP_RULES`.

    Returns:
        `small`, `medium`, `large` to mAP; an image that has the class in another size is left out for that class. NaN
        where no object has the size.

    Raises:
        InputError: shapes that differ.
    """
    return _by_bins(scores, labels, sizes, SIZE_BINS, rule)


def average_precision_by_area(
    scores: Tensor, labels: Tensor, areas: Tensor, rule: str = "torchmetrics"
) -> dict[str, float]:
    """mAP with positives of one area alone, by COCO's bounds of 32 x 32 and 96 x 96 pixels.

    Args:
        scores: N x C.
        labels: N x C of 1, 0 and -1 (does not count).
        areas: N x C, area in pixels (of the box, width times height) of the largest instance of the class in the image,
            in the pixels of the image as published, before any resizing; NaN where unknown or absent.
        rule: a name in `AP_RULES`.

    Returns:
        As `average_precision_by_size`. A bound belongs to the larger bin.

    Raises:
        InputError: shapes that differ.
    """
    return _by_bins(scores, labels, areas, AREA_BINS, rule)


def _by_bins(scores: Tensor, labels: Tensor, measure: Tensor, bins: Bins, rule: str) -> dict[str, float]:
    if measure.shape != labels.shape:
        raise InputError(f"sizes must be images x classes as the labels, got {tuple(measure.shape)}")
    positive = labels > 0
    result = {}
    for name, (low, high) in bins.items():
        other = positive & ~((measure >= low) & (measure < high))
        result[name] = mean_average_precision(scores, labels.long().masked_fill(other, -1), rule)
    return result
