"""Thresholds learnt from unlabelled scores: where there are two modes, and where look-alikes fill the gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piaa.method.thresholds import RULES, TAIL, learn_thresholds, log_odds, separated, tail_rule


def scores(groups: list[tuple[float, float, int]], seed: int = 0) -> np.ndarray:
    """One class: (mean, spread, count) of log-odds, as scores."""
    random = np.random.default_rng(seed)
    x = np.concatenate([random.normal(mean, spread, count) for mean, spread, count in groups])
    return (1 / (1 + np.exp(-x)))[:, None]


@pytest.mark.parametrize("present", [20, 200, 450])
def test_two_modes_are_parted_between_them_however_many_images_show_the_class(present: int) -> None:
    """The tail's bound, whose spread is that of all images, lies beyond the present ones once these are many."""
    values = scores([(-4, 1, 1000 - present), (4, 1, present)])
    truth = np.arange(1000) >= 1000 - present
    wrong = {rule: int((learn_thresholds(values, rule).decide(values)[:, 0] != truth).sum()) for rule in RULES}
    assert wrong["bimodal"] <= 3
    if present == 450:
        assert wrong["strict"] > 50


def test_look_alikes_are_not_taken_for_the_class() -> None:
    """Between absent and present lie as many look-alikes as there are present images, and no gap is left."""
    values = scores([(-4, 1, 800), (-1.5, 1.2, 150), (2, 1.2, 50)])
    decided = {rule: int(learn_thresholds(values, rule).decide(values).sum()) for rule in ("bimodal", "mixture")}
    assert 30 <= decided["bimodal"] < decided["mixture"] / 1.5
    assert np.array_equal(learn_thresholds(values).values, tail_rule(values, TAIL))


def test_with_few_words_many_look_alikes_are_no_second_mode() -> None:
    """The mixture's two parts lie as far apart as those of a small object, but a third of all images is in one."""
    groups = [(-4.0, 1.0, 650), (-0.4, 1.8, 350)]
    few, many = (np.concatenate([scores(groups, seed) for seed in range(s, s + 5)], axis=1) for s in (0, 5))
    assert not separated(few) and not separated(many)
    small = np.concatenate([scores([(-4.0, 1.0, 880), (-0.4, 1.8, 120)], seed) for seed in range(5)], axis=1)
    assert separated(small)


def test_a_second_witness_tells_look_alikes_from_objects() -> None:
    """The same scores twice: once all of the upper mode are objects, once one in four of them is."""
    random = np.random.default_rng(4)
    upper = random.random((1500, 8)) < 0.15
    odds = np.where(upper, random.normal(-0.6, 1.6, upper.shape), random.normal(-4, 1, upper.shape))
    values = 1 / (1 + np.exp(-odds))
    assert separated(values)
    for share, believed in ((1.0, True), (0.25, False)):
        clear = odds > np.quantile(odds, 0.97)  # the clearest are objects in any case
        objects = upper & (clear | (random.random(upper.shape) < share))
        witness = random.normal(0, 1, upper.shape) + 1.5 * objects
        assert separated(values, witness) == believed
        wanted = "mixture" if believed else "tail"
        given = learn_thresholds(values, "bimodal", witness).values
        expected = learn_thresholds(values, "mixture").values if wanted == "mixture" else tail_rule(values, TAIL)
        assert np.allclose(given, np.maximum(expected, learn_thresholds(values, "mixture").values))


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.integers(0, 99))
def test_a_shift_of_the_log_odds_shifts_the_threshold(shift: float, seed: int) -> None:
    values = scores([(-2, 1, 150), (3, 1, 50)], seed)
    moved = 1 / (1 + np.exp(-(log_odds(values) + shift)))
    one, other = (log_odds(learn_thresholds(each).values)[0] for each in (values, moved))
    assert other == pytest.approx(one + shift, abs=1e-3)


def test_a_class_whose_scores_are_all_alike_is_given_to_no_image_whatever_it_scores_later() -> None:
    scores = np.random.default_rng(2).uniform(0.01, 0.99, (40, 3))
    scores[:, 1] = 1.0
    learnt = learn_thresholds(scores)
    later = np.ones((2, 3))
    assert not learnt.decide(later)[:, 1].any() and learnt.decide(later)[:, 0].all()
    assert (learnt.calibrate(later)[:, 1] < 0.5).all()


def test_scores_of_one_are_not_above_a_threshold_learnt_from_a_few_images() -> None:
    scores = np.ones((3, 2))
    assert not learn_thresholds(scores).decide(scores).any()
