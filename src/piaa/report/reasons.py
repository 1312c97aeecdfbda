"""Failures: which images are worst, and why, computed from their labels."""

from __future__ import annotations

from collections.abc import Sequence

from piaa.evaluation.metrics import SIZE_BINS
from piaa.report.data import GalleryImage, LabelCall, State

GIVEN = 0.5
"""The calibrated score from which on a label is given, but to images unlike those of the fit."""


def calls(entry: GalleryImage, state: State) -> list[LabelCall]:
    """The labels of one image that are `right`, `wrong` or `missed`."""
    return [call for call in entry.labels if call.state == state]


def image_f1(entry: GalleryImage) -> float:
    """F1 of one image's labels; 1 where it has none and was given none."""
    right, errors = len(calls(entry, "right")), len(calls(entry, "wrong")) + len(calls(entry, "missed"))
    return 2 * right / (2 * right + errors) if right + errors else 1.0


def worst(entries: Sequence[GalleryImage], count: int) -> tuple[GalleryImage, ...]:
    """The `count` images of least F1 that have an error; more errors first among equals, then by name."""
    failed = [entry for entry in entries if image_f1(entry) < 1]

    def rank(entry: GalleryImage) -> tuple[float, int, str]:
        errors = sum(call.state != "right" for call in entry.labels)
        return image_f1(entry), -errors, entry.name

    return tuple(sorted(failed, key=rank)[:count])


def reason(entry: GalleryImage) -> str:
    """One sentence on what went wrong in an image, from its labels, scores and object sizes alone."""
    right, wrong, missed = (calls(entry, state) for state in ("right", "wrong", "missed"))
    if not wrong and not missed:
        return "Every label is right."
    parts = []
    if any(call.score >= GIVEN for call in missed):
        parts.append("taken for an image unlike those of the fit, and so given no label")
    if missed:
        whole = len(missed) + len(right)
        parts.append(f"missed {len(missed)} of {whole} {'label' if whole == 1 else 'labels'} ({_missed_why(missed)})")
    if wrong:
        surest = max(wrong, key=lambda call: call.score)
        count = "one that is" if len(wrong) == 1 else f"{len(wrong)} that are"
        each = "" if len(wrong) == 1 else "surest: "
        parts.append(f"gave {count} not there ({each}{surest.name} at {surest.score:.2f})")
    sentence = "; ".join(parts)
    return sentence[0].upper() + sentence[1:] + "."


def _missed_why(missed: list[LabelCall]) -> str:
    """The size of the smallest missed object where it is small, else the missed label nearest to being given."""
    sizes = [call.size for call in missed if call.size is not None]
    if sizes and min(sizes) <= SIZE_BINS["small"][1]:
        call = next(call for call in missed if call.size == min(sizes))
        which = call.name if len(missed) == 1 else f"the smallest, {call.name},"
        return f"{which} spans {min(sizes):.0%} of the image's longer side"
    nearest = max(missed, key=lambda call: call.score)
    return (
        f"{nearest.name} scored {nearest.score:.2f}"
        if len(missed) == 1
        else (f"the nearest, {nearest.name}, scored {nearest.score:.2f}")
    )
