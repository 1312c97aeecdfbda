"""Questions are a fair sample: their estimates cover the truth, and thresholds move to where the answers say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piaa.app.questions import Inquiry


def world(seed: int, images: int = 600, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated scores of one class, and who has it: with the probability that the score says, shifted and bent."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-2.5, 2.5, (images, 1))
    truth = rng.random((images, 1)) < 1 / (1 + np.exp(-(shift + slope * odds)))
    return 1 / (1 + np.exp(-odds)), truth


def answered(scores: np.ndarray, truth: np.ndarray, seed: int, count: int = 20) -> Inquiry:
    inquiry = Inquiry(scores, [0], seed=seed)
    inquiry.pick(count)
    inquiry.answers = {n: bool(truth[q.image, 0]) for n, q in enumerate(inquiry.questions)}
    return inquiry


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    hits, widths = [], []
    for seed in range(200):
        scores, truth = world(seed)
        found = answered(scores, truth, seed).estimate(np.array([0.5]))
        given_, true = scores >= 0.5, truth
        for (mean, low, high), real in (
            (found.precision, true[given_].mean()),
            (found.recall, given_[true].mean()),
        ):
            hits.append(low <= real <= high)
            widths.append(high - low)
            assert 0 <= low <= mean <= high <= 1
    assert 0.9 <= np.mean(hits) <= 1
    assert np.mean(widths) < 0.5  # they say something


def test_more_answers_say_more() -> None:
    scores, truth = world(3)
    widths = []
    for count in (10, 40, 160):
        _, low, high = answered(scores, truth, 1, count).estimate(np.array([0.5])).precision
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True) and widths[-1] < widths[0] / 2


@pytest.mark.parametrize(("shift", "low", "high"), [(-3.0, 0.6, 0.95), (3.0, 0.05, 0.4)])
def test_thresholds_move_to_where_the_answers_say(shift: float, low: float, high: float) -> None:
    """Scores that promise too much call for a higher threshold, and such as promise too little for a lower one."""
    moved = [answered(*world(seed, shift=shift), seed, 30).estimate(np.array([0.5])).threshold for seed in range(15)]
    assert low <= np.median(moved) <= high


def test_moving_helps_on_average() -> None:
    def f1(scores: np.ndarray, truth: np.ndarray, threshold: float) -> float:
        given_ = scores >= threshold
        return 2 * (given_ & truth).sum() / max(1, given_.sum() + truth.sum())

    gains = []
    for seed in range(30):
        scores, truth = world(seed, shift=-2.5)
        gains.append(f1(scores, truth, answered(scores, truth, seed).estimate(np.array([0.5])).threshold)
                     - f1(scores, truth, 0.5))  # fmt: skip
    assert np.mean(gains) > 0.02


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 40), st.integers(0, 5))
def test_questions_are_different_pairs(images: int, classes: int, count: int, seed: int) -> None:
    scores = np.random.default_rng(seed).random((images, classes))
    inquiry = Inquiry(scores, [10 * c for c in range(classes)], seed=seed)
    inquiry.pick(count)
    pairs = {(q.image, q.class_index) for q in inquiry.questions}
    assert len(pairs) == len(inquiry.questions) == min(count, images * classes)
    assert all(image < images and c % 10 == 0 and c < 10 * classes for image, c in pairs)
    found = inquiry.estimate(np.full(classes, 2.0))  # nothing is given
    assert np.isnan(found.precision[0]) and 0.05 <= found.threshold <= 0.95
