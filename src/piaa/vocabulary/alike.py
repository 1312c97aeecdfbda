"""Classes that a model's text tower cannot tell apart, found before anything is learnt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SAME = 1 - 1e-6
"""Cosine from which on two prototypes are taken for one."""
CHUNK = 1024  # classes compared with all others at a time
MOST_NAMED = 5


def groups_alike(prototypes: Tensor, same: float = SAME) -> list[list[int]]:
    """Groups of two or more classes that have one prototype, in the order of their first class.

    A class joins the first class that it is alike to, so a group's members are all alike to its first one.

    Args:
        prototypes: C x d, unit length.
        same: cosine from which on two count as one.
    """
    unit = prototypes.detach().double().cpu()
    first = torch.cat([((rows @ unit.T) >= same).int().argmax(dim=1) for rows in torch.split(unit, CHUNK)]).tolist()
    groups: dict[int, list[int]] = {}
    for index, owner in enumerate(first):
        groups.setdefault(owner, []).append(index)
    return [members for members in groups.values() if len(members) > 1]


def vocabulary_notes(names: Sequence[str], prototypes: Tensor) -> list[str]:
    """What a user should know of these class names, in sentences that name them; empty when all is well.

    Args:
        names: C class names.
        prototypes: C x d, unit length.
    """
    if len(names) == 1:
        return [
            f"{names[0]!r} is the only class: there is nothing to tell it from, so its scores mean little; "
            "add the classes that its images could show instead"
        ]
    notes = []
    for group in groups_alike(prototypes):
        named = ", ".join(repr(names[index]) for index in group[:MOST_NAMED])
        more = f" and {len(group) - MOST_NAMED} more" if len(group) > MOST_NAMED else ""
        notes.append(
            f"the model's text tower cannot tell these {len(group)} classes apart (one prototype): {named}{more}; "
            "their scores will be alike. Either the words mean the same, or the model has never seen them: "
            "leave out all but one, add synonyms, or take another model"
        )
    return notes
