"""Corrections as answers: what calibrate says of them is what counting says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from piaa.errors import InputError
from piaa.evaluation.answers import answers_from
from piaa.evaluation.truth import read_truth
from piaa.method.thresholds import learn_thresholds
from piaa.questions import learn
from piaa.tags import Tags

NAMES = ["cat", "cow", "key"]


@pytest.fixture
def world(tmp_path: Path) -> tuple[Tags, np.ndarray]:
    """60 images, of which the truth file names 40; labels are there with the chance that the score says."""
    random = np.random.default_rng(4)
    scores = 1 / (1 + np.exp(-random.normal(-1, 2, (60, 3))))
    present = random.random((60, 3)) < scores
    rows = [f"{n}.jpg,{';'.join(np.array(NAMES)[present[n]])}" for n in range(40)]
    (tmp_path / "truth.csv").write_text("\n".join(["path,labels", *rows]))
    return Tags([str(tmp_path / f"{n}.jpg") for n in range(60)], NAMES, scores, scores >= 0.5, {}), present


def test_all_answers_give_what_counting_gives(world: tuple[Tags, np.ndarray], tmp_path: Path) -> None:
    tags, present = world
    thresholds = learn_thresholds(tags.scores)
    answers = answers_from(read_truth(tmp_path / "truth.csv", NAMES), tags, thresholds)
    assert len(answers) == 120 and {question.weight for question, _ in answers} == {1.5}
    found, _ = learn(answers, thresholds)
    given, true = tags.scores[:40] >= 0.5, present[:40]
    assert found.precision.value == pytest.approx((given & true).sum() / given.sum(), abs=0.03)
    assert found.recall.value == pytest.approx((given & true).sum() / true.sum(), abs=0.03)
    assert found.precision.low < found.precision.value < found.precision.high


def test_what_does_not_fit_is_said(world: tuple[Tags, np.ndarray], tmp_path: Path) -> None:
    tags, _ = world
    thresholds = learn_thresholds(tags.scores)
    with pytest.raises(InputError, match="other classes"):
        answers_from(read_truth(tmp_path / "truth.csv", [*NAMES, "dog"]), tags, thresholds)
    (tmp_path / "other.csv").write_text("path,labels\nelsewhere.jpg,cat\n")
    with pytest.raises(InputError, match="names none"):
        answers_from(read_truth(tmp_path / "other.csv", NAMES), tags, thresholds)
