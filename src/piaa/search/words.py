"""A query in words: the prompt that is embedded, and the words that a model has never met."""

from __future__ import annotations

import re

from torch import Tensor, nn
from torch.nn import functional as F

from piaa.errors import InputError
from piaa.vision.models import LoadedModel

PROMPT = "a photo of {}"
_GRAMMAR = "a an the of and or with in on at to by for from is are there this that"
_PICTURES = "photo picture image drawing one two many"
SMALL_WORDS = frozenset(f"{_GRAMMAR} {_PICTURES}".split())
"""Words that name nothing to be seen."""


def text_of(model: LoadedModel, query: str) -> Tensor:
    """The query as a text embedding of unit length: d, on the CPU.

    Raises:
        InputError: when there is no word in it.
    """
    words = " ".join(query.split())
    if not re.search(r"\w", words):
        raise InputError("a query without a word; say what the images should show, such as 'a red umbrella'")
    prompt = words if words.lower().startswith(("a photo", "a picture", "a drawing")) else PROMPT.format(words)
    return F.normalize(model.encode_text([prompt]).float().cpu()[0], dim=0)


def check_words(model: LoadedModel, query: str) -> list[str]:
    """What a user should know of these words, in sentences.

    Raises:
        InputError: when the model knows no word that names something: any ranking would be by chance.
    """
    unknown = unknown_words(model, query)
    if not unknown:
        return []
    named = ", ".join(map(repr, unknown))
    if not set(_words(query)) - set(unknown) - SMALL_WORDS:
        raise InputError(
            f"the model {model.name} has never met {named}, so it cannot rank images by them; "
            "use other words, or another model with --model"
        )
    return [f"the model {model.name} has never met {named}: the ranking goes by the other words alone"]


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
    words = dict.fromkeys(_words(query))
    return [word for word in words if any(bool(empty[token]) for token in _tokens(model, word) if token not in around)]


def _tokens(model: LoadedModel, text: str) -> list[int]:
    tokens: list[int] = model._tokenizer([text])[0].tolist()
    return tokens


def _words(query: str) -> list[str]:
    return re.findall(r"\w+", query.lower())
