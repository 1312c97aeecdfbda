"""Answers stand for all pairs: estimates are unbiased, intervals hold the truth, thresholds move only when sure."""

import numpy as np
import pytest

from piaa.errors import InputError
from piaa.method.calibration import choose_pairs, estimate
from piaa.method.thresholds import learn_thresholds
from piaa.questions import ask, learn
from piaa.tags import Tags


def labelled(seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated scores that are right about the labels (shifted: too low), 400 x 10."""
    random = np.random.default_rng(seed)
    logits = random.normal(-2.5, 2.5, (400, 10))
    truth = random.random((400, 10)) < 1 / (1 + np.exp(-logits))
    return 1 / (1 + np.exp(-(logits - shift))), truth


def test_weights_stand_for_all_pairs_and_the_draw_has_no_doubles() -> None:
    scores, _ = labelled(0)
    places, weights = choose_pairs(scores, 300)
    assert abs(len(places) - 300) <= 1
    assert len(np.unique(places, axis=0)) == len(places)
    assert weights.sum() == pytest.approx(4000, rel=0.1)
    everything, ones = choose_pairs(scores[:5], 1000)
    assert len(everything) == 50 and (ones == 1).all()


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    scores, truth = labelled(1)
    given = scores >= 0.5
    hits = (given & truth).sum()
    actual = {
        "precision": hits / given.sum(),
        "recall": hits / truth.sum(),
        "f1": 2 * hits / (given.sum() + truth.sum()),
    }
    held = dict.fromkeys(actual, 0)
    for seed in range(100):
        places, weights = choose_pairs(scores, 300, seed)
        image, label = places.T
        found = estimate(scores[image, label], truth[image, label], weights, seed)
        for name, value in actual.items():
            part = getattr(found, name)
            held[name] += part.low <= value <= part.high
    assert min(held.values()) >= 88, held


def test_thresholds_move_when_they_are_far_off_and_old_questions_are_refused() -> None:
    thresholds = learn_thresholds(labelled(2)[0])
    scores, truth = labelled(3, shift=3.0)
    tags = Tags([f"{i}.jpg" for i in range(400)], list("abcdefghij"), scores, scores >= 0.5, {})
    questions = ask(tags, thresholds, 500, seed=0)
    answers = [(q, bool(truth[int(q.path[:-4]), "abcdefghij".index(q.label)])) for q in questions]
    found, moved = learn(answers, thresholds)
    assert found.cut < 0.3 and (moved.values < thresholds.values).all()
    before, after = (2 * (g & truth).sum() / (g.sum() + truth.sum()) for g in (scores >= 0.5, scores >= found.cut))
    assert after > before + 0.1
    with pytest.raises(InputError, match="tag and ask anew"):
        learn(answers, moved)
    with pytest.raises(InputError, match="no answers"):
        learn([], thresholds)
