"""Words: which background words stay, which pairs are made, and what a prompt names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from piaa.baselines import METHODS
from piaa.baselines.prompts import (
    BACKGROUND_WORDS,
    background_labels,
    compound_prompts,
    members,
    read_compound_prompts,
)
from piaa.datasets.base import class_names
from piaa.errors import InputError, LabelError
from piaa.methods import templates_of
from piaa.vocabulary.labels import Label, parse_labels


def test_background_words_are_the_published_ones() -> None:
    """For VOC all 25; for COCO without "keyboard" and "sign", as its published list."""
    assert [label.name for label in background_labels(parse_labels(class_names("voc")))] == list(BACKGROUND_WORDS)
    coco = [label.name for label in background_labels(parse_labels(class_names("coco")))]
    assert set(BACKGROUND_WORDS) - set(coco) == {"keyboard", "sign"} and len(coco) == 23


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 90))
def test_each_class_is_in_some_prompts_and_no_pair_twice(count: int) -> None:
    labels = [Label(f"thing{number}x") for number in range(count)]
    prompts = compound_prompts(labels)
    named = members(prompts, labels)
    assert torch.equal(named.sum(dim=1), torch.full((len(prompts),), 2.0))
    assert len(set(prompts)) == len(prompts)
    assert int(named.sum(dim=0).min()) >= 1 and int(named.sum(dim=0).max()) <= 10


def test_names_are_found_as_words_longest_first() -> None:
    labels = parse_labels(["dog: puppy", "hot dog", "bus", "cat", "person"])
    prompts = ["two dogs and a Puppy", "a hot dog on a bench", "buses", "a catalogue, a dog", "hot dogs beside a cat"]
    assert members(prompts, labels).tolist() == [
        [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 0], [0, 1, 0, 1, 0],
    ]  # fmt: skip
    with pytest.raises(LabelError, match="'a catalogue' names no class"):
        members(["a catalogue"], labels)


def test_prompts_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("# mine\n\na cat  and a dog\na cat and a dog\n a dog on a bus \n")
    assert read_compound_prompts(file) == ("a cat and a dog", "a dog on a bus")
    file.write_text("# nothing\n")
    with pytest.raises(LabelError, match="no prompts in it"):
        read_compound_prompts(file)


def test_published_templates_are_the_methods_own() -> None:
    assert len(templates_of(METHODS["tagclip"], "published")) == 85
    assert len(templates_of(METHODS["sparc"], "published")) == 80
    assert templates_of(METHODS["clip"], "published") == ("a photo of a {}",)
    assert templates_of(METHODS["tagclip"], "a {}") == ("a {}",)
    with pytest.raises(InputError, match="2 images and 2 classes"):
        METHODS["sparc"].learn(torch.zeros(1, 5), {"prototypes": torch.zeros(2, 4), "members": torch.zeros(1, 2)})
