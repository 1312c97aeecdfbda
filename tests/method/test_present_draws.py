"""Draws of how many pairs have a class: what was answered is known, and the rest follows the answers."""

from __future__ import annotations

import numpy as np

from piaa.method.calibration import choose_pairs, estimate
from piaa.method.intervals import present_draws


def test_pairs_that_were_all_asked_about_leave_no_doubt() -> None:
    scores, answers = np.array([0.9, 0.8, 0.6, 0.2, 0.1]), np.array([True, True, False, True, False])
    draws = present_draws(scores, answers, np.ones(5))
    assert (draws == answers).all()
    found = estimate(scores, answers, np.ones(5))
    assert (found.precision.low, found.precision.value, found.precision.high) == (2 / 3, 2 / 3, 2 / 3)
    assert found.recall.value == 2 / 3


def test_draws_stay_within_the_weights_and_contain_the_answers() -> None:
    random = np.random.default_rng(0)
    scores, weights = random.random(40), random.uniform(1, 30, 40)
    answers = random.random(40) < scores
    draws = present_draws(scores, answers, weights, draws=500)
    assert draws.shape == (500, 40)
    assert (draws >= answers).all() and (draws <= np.ceil(weights)).all()
    assert np.array_equal(draws, present_draws(scores, answers, weights, draws=500))


def test_the_mean_follows_the_answers_and_not_the_scores() -> None:
    """400 pairs whose scores promise 0.9 and of which a fifth are right: the prior gives way."""
    random = np.random.default_rng(1)
    scores = np.full(400, 0.9)
    answers = random.random(400) < 0.2
    share = present_draws(scores, answers, np.full(400, 10.0)).sum(axis=1) / 4000
    assert abs(share.mean() - answers.mean()) < 0.02
    assert 0.01 < share.std() < 0.03  # sqrt(0.2 * 0.8 / 400) = 0.02


def test_more_answers_make_narrower_intervals() -> None:
    random = np.random.default_rng(2)
    odds = random.normal(-2.5, 2.5, (400, 10))
    scores, truth = 1 / (1 + np.exp(-odds)), random.random((400, 10)) < 1 / (1 + np.exp(-odds))
    widths = []
    for count in (20, 100, 500, 3000):
        at = choose_pairs(scores, count)
        places = tuple(at[0].T)
        f1 = estimate(scores[places], truth[places], at[1]).f1
        widths.append(f1.high - f1.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[1] < 0.3 and widths[3] < 0.02


def test_nothing_given_tells_of_no_precision_and_nothing_present_of_no_recall() -> None:
    scores = np.array([0.1, 0.2, 0.3])
    found = estimate(scores, np.zeros(3, dtype=bool), np.ones(3))
    assert np.isnan(found.precision.value) and np.isnan(found.recall.value) and found.cut == 0.5
    found = estimate(scores, np.array([True, False, False]), np.full(3, 20.0))
    assert np.isnan(found.precision.value) and (found.recall.low, found.recall.high) == (0, 0)
