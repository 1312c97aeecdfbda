"""Words that a model has never met: found before anything is learnt or searched by them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from piaa.vision.models import LoadedModel
from piaa.vocabulary.labels import Label

_GRAMMAR = "a an the of and or with in on at to by for from is are there this that"
_PICTURES = "photo picture image drawing one two many"
SMALL_WORDS = frozenset(f"{_GRAMMAR} {_PICTURES}".split())
"""Words that name nothing to be seen."""

MOST_NAMED = 5


def unknown_words(model: LoadedModel, query: str) -> list[str]:
    """The words, in lower case, of which the model's table of tokens has an empty row.

    A model that was trained on few words, as the embedded one was, has rows of zeros for all others. Of a model that
    says nothing of this, every word counts as known.
    """
    text = getattr(model.clip, "text", None)
    table = getattr(model.clip, "token_embedding", None) or getattr(text, "token_embedding", None)
    if not isinstance(table, nn.Embedding):
        return []
    empty = table.weight.detach().float().abs().amax(dim=1).cpu() == 0
    if not bool(empty.any()):
        return []
    around = set(_tokens(model, ""))  # beginning, end, filling
    words = dict.fromkeys(words_of(query))
    return [word for word in words if any(bool(empty[token]) for token in _tokens(model, word) if token not in around)]


def _tokens(model: LoadedModel, text: str) -> list[int]:
    tokens: list[int] = model._tokenizer([text])[0].tolist()
    return tokens


def words_of(query: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"\w+", query.lower())


def unknown_notes(model: LoadedModel, labels: Sequence[Label], so: str = "their labels are chance") -> list[str]:
    """What a user should know of words that the model has never met, in sentences; empty when all is well.

    A class counts as unknown where each of its phrases has a word that is.

    Args:
        model: of which the words are asked.
        labels: class names, or other words.
        so: what follows for them.
    """
    unknown = [
        label.name
        for label in labels
        if all(set(unknown_words(model, phrase)) - SMALL_WORDS for phrase in label.phrases)
    ]
    if not unknown:
        return []
    more = f" and {len(unknown) - MOST_NAMED} more" if unknown[MOST_NAMED:] else ""
    named = ", ".join(map(repr, unknown[:MOST_NAMED])) + more
    return [
        f"the model {model.name} has never met {len(unknown)} of the {len(labels)} words: {named}; {so}. "
        "Take another model, such as --model ViT-B-16 --pretrained openai"
    ]
