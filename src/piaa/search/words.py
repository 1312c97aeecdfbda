"""A query in words: the prompt that is embedded, and the words that a model has never met."""

from __future__ import annotations

import re

from torch import Tensor
from torch.nn import functional as F

from piaa.errors import InputError
from piaa.vision.models import LoadedModel
from piaa.vocabulary.unknown import SMALL_WORDS, unknown_words, words_of

PROMPT = "a photo of {}"


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
    if not set(words_of(query)) - set(unknown) - SMALL_WORDS:
        raise InputError(
            f"the model {model.name} has never met {named}, so it cannot rank images by them; "
            "use other words, or another model with --model"
        )
    return [f"the model {model.name} has never met {named}: the ranking goes by the other words alone"]
