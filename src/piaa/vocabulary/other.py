"""Words that nobody asks for, but that the images may show: what is theirs is no asked word's.

A softmax over few words gives the patches of everything else to the nearest of them. Each other word is a class of its
own in all of PVCL and in eq. 11, and is left out of the result.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from piaa.errors import LabelError
from piaa.vocabulary.labels import Label, parse_labels

SAME_THING = 0.92
"""Cosine of two prototypes from which on they may name one thing. With CLIP ViT-L/14 (shared/data/clip_text) different
things of COCO reach 0.91 (bicycle and motorcycle); one thing in two words has 0.94 to 0.99 (boat and boats, sofa and
couch)."""


FEW = 40
"""Labels up to which other words help most: docs/adaptive.md."""


def few_words_notes(labels: int, others: int) -> list[str]:
    """What helps where few labels are asked for and no other words are known, in sentences."""
    if labels > FEW or others:
        return []
    return [
        f"with {labels} words, things that none of them names are easily taken for one of them: say with --other-words "
        "what else the images may show (a file of words, or coco)"
    ]


def parse_other_words(words: Sequence[str | Label], labels: Sequence[Label]) -> list[Label]:
    """The other words, without those that are among the labels or their synonyms.

    Args:
        words: as `parse_labels`; empty for none.
        labels: what is asked for.

    Raises:
        LabelError: as `parse_labels`; where no word is left.
    """
    if not words:
        return []
    asked = {phrase.casefold() for label in labels for phrase in label.phrases}
    kept = [word for word in parse_labels(words) if asked.isdisjoint(phrase.casefold() for phrase in word.phrases)]
    if not kept:
        raise LabelError("all other words are asked for as well; give words that are not among the labels")
    return kept


def of_other_things(asked: Tensor, others: Tensor) -> list[int]:
    """Which of the other words surely name other things than those asked for, by `SAME_THING`.

    Args:
        asked: C x d, unit length.
        others: K x d, unit length.
    """
    nearest = (others @ asked.T).amax(dim=1)
    return [index for index, cosine in enumerate(nearest.tolist()) if cosine < SAME_THING]
