"""Words that a text tower cannot tell apart are named, in a fit as in its report."""

import numpy as np
import pytest
import torch

from piaa.recognizer import Recognizer
from piaa.vocabulary.alike import groups_alike, vocabulary_notes


def test_equal_prototypes_form_groups_and_others_do_not() -> None:
    unit = torch.nn.functional.normalize(torch.randn(6, 16, generator=torch.Generator().manual_seed(1)), dim=1)
    assert groups_alike(unit) == []
    unit[4], unit[5] = unit[1], unit[1]
    assert groups_alike(unit) == [[1, 4, 5]]
    notes = vocabulary_notes(list("abcdef"), unit)
    assert len(notes) == 1 and all(repr(name) in notes[0] for name in "bef") and "'a'" not in notes[0]


def test_one_class_alone_is_named() -> None:
    assert "'anchor'" in vocabulary_notes(["anchor"], torch.eye(1))[0]


def test_a_fit_warns_and_its_report_keeps_the_words() -> None:
    images = list(np.random.default_rng(0).integers(0, 255, (12, 96, 96, 3), dtype=np.uint8))
    with pytest.warns(UserWarning, match="'bicycle', 'piano'"):
        fitted = Recognizer(["anchor", "bicycle", "piano"], image_size=96).fit(images)
    assert "'piano'" in fitted.classifier_.report["vocabulary_notes"][0]


def test_one_class_alone_is_not_given_to_every_image() -> None:
    images = list(np.random.default_rng(0).integers(0, 255, (12, 96, 96, 3), dtype=np.uint8))
    for recipe in ("default", "published-voc"):
        with pytest.warns(UserWarning, match="'anchor' is the only class"):
            fitted = Recognizer(["anchor"], image_size=96, recipe=recipe).fit(images)
        assert sum(map(len, fitted.predict(images))) < len(images), recipe
