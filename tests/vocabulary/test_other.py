"""Other words: none that is asked for, and none that names the same thing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from piaa.errors import LabelError
from piaa.vocabulary.labels import parse_labels
from piaa.vocabulary.other import SAME_THING, of_other_things, parse_other_words

LABELS = parse_labels(["Sofa: couch", "cat"])


def test_words_that_are_asked_for_are_no_other_words() -> None:
    kept = parse_other_words(["COUCH", "dog: hound", "kitten: cat", "chair"], LABELS)
    assert [word.name for word in kept] == ["dog", "chair"]
    assert kept[0].synonyms == ("hound",)


def test_no_other_words_are_none() -> None:
    assert parse_other_words((), LABELS) == []


def test_nothing_but_labels_is_a_mistake() -> None:
    with pytest.raises(LabelError, match="all other words are asked for"):
        parse_other_words(["cat", "sofa"], LABELS)


def test_two_words_for_one_thing_are_told_by_their_prototypes() -> None:
    asked = torch.eye(3, 8)
    near = F.normalize(torch.tensor([0.0, 1.0, 0, 0, 0.2, 0, 0, 0]), dim=0)  # cosine 0.98 with the second
    other = F.normalize(torch.tensor([0.0, 1.0, 0, 0, 0.6, 0, 0, 0]), dim=0)  # 0.86
    assert float(near[1]) > SAME_THING > float(other[1])
    assert of_other_things(asked, torch.stack([other, near, torch.eye(8)[7]])) == [0, 2]
    assert of_other_things(asked, torch.zeros(0, 8)) == []
