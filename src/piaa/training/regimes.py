"""Which labels a training run may see: drawn once from the truth with a seed, then stored and never drawn again.

Everywhere in this room observed labels are N x C int8: 1 seen as present, 0 seen as absent, -1 not seen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from piaa.errors import InputError, LabelError
from piaa.files import write_text

PRESENT, ABSENT, UNSEEN = 1, 0, -1
SHARE = 0.1
"""Labels that the regime `partial` keeps, as in table 1."""


def full(truth: Tensor, random: torch.Generator) -> Tensor:
    """Every label is seen. `truth` is N x C of 0 and 1."""
    return truth.to(torch.int8)


def partial(truth: Tensor, random: torch.Generator) -> Tensor:
    """Each label, present or absent, is seen with probability `SHARE` (Chen et al., AAAI 2022)."""
    seen = torch.rand(truth.shape, generator=random) < SHARE
    return torch.where(seen, truth.to(torch.int8), UNSEEN)


def single_positive(truth: Tensor, random: torch.Generator) -> Tensor:
    """One label of those that an image has is seen, nothing else (Cole et al., CVPR 2021).

    Of an image without labels nothing is seen.
    """
    observed = torch.full(truth.shape, UNSEEN, dtype=torch.int8)
    drawn = (torch.rand(truth.shape, generator=random) + 1) * truth
    rows = truth.bool().any(dim=1).nonzero().squeeze(1)
    observed[rows, drawn.argmax(dim=1)[rows]] = PRESENT
    return observed


def none(truth: Tensor, random: torch.Generator) -> Tensor:
    """No label is seen; a teacher's take their place (`piaa.training.teachers`)."""
    return torch.full(truth.shape, UNSEEN, dtype=torch.int8)


REGIMES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "full": full,
    "partial": partial,
    "single-positive": single_positive,
    "none": none,
}
"""By the name that `--regime` takes."""


def observe(regime: str, truth: Tensor, seed: int) -> Tensor:
    """The labels that a regime lets through.

    Args:
        regime: a name of `REGIMES`.
        truth: N x C of 0 and 1.
        seed: of the draw; equal seeds give equal labels.

    Returns:
        N x C int8: 1 present, 0 absent, -1 not seen.

    Raises:
        InputError: an unknown regime.
    """
    if regime not in REGIMES:
        raise InputError(f"no label regime is called {regime!r}; choose one of: {', '.join(REGIMES)}")
    return REGIMES[regime](truth, torch.Generator().manual_seed(seed))


def write_observed(
    path: str | os.PathLike[str], ids: Sequence[str], names: Sequence[str], observed: Tensor, regime: str, seed: int
) -> None:
    """Store drawn labels as JSON lines: a head `{regime, seed, labels}`, then `{path, present, absent}` an image.

    Raises:
        InputError: the file cannot be written.
    """
    lines = [json.dumps({"regime": regime, "seed": seed, "labels": list(names)}, ensure_ascii=False)]
    for name, row in zip(ids, observed.tolist(), strict=True):
        present = [c for c, value in enumerate(row) if value == PRESENT]
        absent = [c for c, value in enumerate(row) if value == ABSENT]
        lines.append(json.dumps({"path": name, "present": present, "absent": absent}, ensure_ascii=False))
    write_text(path, "\n".join(lines) + "\n")


def read_observed(
    path: str | os.PathLike[str], ids: Sequence[str], names: Sequence[str], regime: str, seed: int
) -> Tensor:
    """Read what `write_observed` stored, N x C.

    Raises:
        LabelError: the file is of other images, classes, regime or seed, or damaged.
    """
    try:
        head, *rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
        same = head == {"regime": regime, "seed": seed, "labels": list(names)}
        if not same or [row["path"] for row in rows] != list(ids):
            raise LabelError(
                f"{path}: these labels were drawn for other images or classes, or by another regime or seed; "
                "name another file, or delete it to draw anew"
            )
        observed = torch.full((len(rows), len(names)), UNSEEN, dtype=torch.int8)
        for number, row in enumerate(rows):
            observed[number, row["present"]] = PRESENT
            observed[number, row["absent"]] = ABSENT
        return observed
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise LabelError(f"{path}: not readable as stored labels ({error!r}); delete it to draw anew") from error
