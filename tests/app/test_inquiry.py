"""Questions of the page: their intervals cover the truth, and thresholds move as those of a classifier do."""

from __future__ import annotations

import numpy as np
import pytest

from piaa.app.inquiry import Inquiry, at_half
from piaa.app.view import View
from piaa.app.work import Result
from piaa.errors import InputError
from piaa.method.calibration import choose_pairs, estimate
from piaa.method.thresholds import Thresholds

Scores = np.ndarray


def world(seed: int, centre: float, shift: float, images: int = 160, classes: int = 24) -> tuple[Scores, Scores]:
    """Calibrated scores, and who has what: with the chance that the score says, its log-odds shifted."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(centre, 2.5, (images, classes))
    return 1 / (1 + np.exp(-odds)), rng.random(odds.shape) < 1 / (1 + np.exp(-odds - shift))


def clear(seed: int, images: int = 160, classes: int = 24) -> tuple[Scores, Scores]:
    """Scores that tell present from absent nearly without error: all answers agree, and prove little."""
    rng = np.random.default_rng(seed)
    truth = rng.random((images, classes)) < 0.08
    odds = np.where(truth, rng.normal(2, 1.5, truth.shape), rng.normal(-5, 2, truth.shape))
    return 1 / (1 + np.exp(-odds)), truth


WORLDS = {
    "scores are right": lambda seed: world(seed, -2.5, 0, 600, 4),
    "scores promise too much": lambda seed: world(seed, -2, -2.5),
    "scores promise too little": lambda seed: world(seed, -4, 2),
    "clear": clear,
}


@pytest.mark.parametrize("name", WORLDS)
def test_intervals_of_twenty_answers_cover_the_truth(name: str) -> None:
    """95% is promised of each, on the mean; twenty answers that agree prove no perfection."""
    hits, widths = [], []
    for seed in range(100):
        scores, truth = WORLDS[name](seed)
        places, weights = choose_pairs(scores, 20, seed)
        at = tuple(places.T)
        found = estimate(scores[at], truth[at], weights)
        given = scores >= 0.5
        right = (given & truth).sum()
        real = (right / given.sum(), right / truth.sum(), 2 * right / (given.sum() + truth.sum()))
        for share, value in zip((found.precision, found.recall, found.f1), real, strict=True):
            if np.isnan(share.value):  # no answer that it could be told from; the page says so
                continue
            assert 0 <= share.low <= share.value <= share.high <= 1
            hits.append(share.low <= value <= share.high)
            widths.append(share.high - share.low)
    assert np.mean(hits) >= 0.9 and len(hits) > 250
    assert np.mean(widths) < 0.7  # they say something


def view_of(scores: Scores, thresholds: Scores) -> View:
    names = [f"class {c}" for c in range(scores.shape[1])]
    return View(Result([], [f"{i}.jpg" for i in range(len(scores))], names, scores, []), thresholds, {})


def learnt(classes: int) -> Thresholds:
    rng = np.random.default_rng(0)
    return Thresholds(rng.uniform(0.1, 0.6, classes), rng.uniform(0.5, 3, classes), "given")


def test_scores_at_moved_thresholds_are_those_of_the_classifier() -> None:
    """The page keeps its scores and moves its thresholds; a classifier moves its thresholds and scores anew."""
    rng = np.random.default_rng(1)
    raw, thresholds, moved = rng.random((50, 6)), learnt(6), rng.uniform(0.1, 0.9, 6)
    anew = thresholds.override(dict(enumerate(moved.tolist()))).calibrate(raw)
    assert np.allclose(at_half(thresholds.calibrate(raw), moved), anew, atol=1e-9)


def answered(scores: Scores, truth: Scores, thresholds: Scores, class_index: int | None = None) -> Inquiry:
    inquiry = Inquiry.about(view_of(scores, thresholds), learnt(scores.shape[1]), class_index, 20, 3)
    for number, question in enumerate(inquiry.questions):
        image, c = int(question.path[:-4]), int(question.label[6:])
        inquiry.answers[number] = bool(truth[image, c])
    return inquiry


def test_thresholds_move_where_the_answers_are_sure_and_for_the_classes_asked_about() -> None:
    scores, truth = world(5, -2, 3.5, 300, 3)
    start = np.array([0.5, 0.3, 0.6])
    inquiry = answered(scores, truth, start, class_index=1)
    assert {q.label for q in inquiry.questions} == {"class 1"} and abs(len(inquiry.questions) - 20) <= 1
    moved = inquiry.moved(start)
    assert moved[0] == 0.5 and moved[2] == 0.6 and moved[1] < 0.2  # scores promise too little
    cut = inquiry.estimate()["moved"]
    shifted = at_half(scores, start)[:, 1]  # both ways of saying the same labels
    assert np.array_equal(shifted >= cut, scores[:, 1] >= moved[1])


def test_nothing_is_said_of_few_answers_and_nothing_moved_without_reason() -> None:
    scores, truth = clear(2)
    inquiry = answered(scores, truth, np.full(24, 0.5))
    found = inquiry.estimate()
    assert found["moved"] is None and found["precision"][1] < 0.9  # some twenty answers prove no perfection
    with pytest.raises(InputError, match="not sure"):
        inquiry.moved(np.full(24, 0.5))
    inquiry.answers = {number: True for number in range(9)}
    assert inquiry.estimate() == {"answered": 9, "wanted": 10}


def test_only_the_numbers_that_are_offered_are_asked() -> None:
    view = view_of(clear(1)[0], np.full(24, 0.5))
    assert abs(len(Inquiry.about(view, learnt(24), None, 100, 0).questions) - 100) <= 1
    with pytest.raises(InputError, match="20, 50, 100"):
        Inquiry.about(view, learnt(24), None, 21, 0)


def test_questions_come_in_random_order_so_that_the_first_are_a_sample() -> None:
    scores, truth = world(0, -2.5, 0)
    asked = [q.score for q in answered(scores, truth, np.full(24, 0.5)).questions]
    assert asked != sorted(asked) and len(asked) >= 19
