"""Where look-alikes fill the gap, a second witness keeps the promise of a precision; elsewhere it changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from piaa.method.thresholds import get_rule, learn_thresholds

Array = NDArray[np.float64]


def world(gap: float, alike: float, seed: int = 0) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Scores with a share of look-alikes between absent and present, a witness they do not fool, and the truth."""
    random = np.random.default_rng(seed)
    images, classes = 1500, 12
    truth = random.random((images, classes)) < 0.1
    fooled = ~truth & (random.random((images, classes)) < alike)
    size = random.gamma(3.0, 0.5, (images, classes))
    odds = random.normal(-3, 1, (images, classes)) + gap * truth * size + gap * fooled
    witness = random.normal(0, 1, (images, classes)) + 1.5 * truth
    return 1 / (1 + np.exp(-odds)), witness, truth


def precision(scores: Array, truth: NDArray[np.bool_], witness: Array | None) -> float:
    decided = learn_thresholds(scores, "precision:0.9", witness).decide(scores)
    return float(truth[decided].mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_promise_that_look_alikes_break_is_kept_by_a_second_witness(seed: int) -> None:
    scores, witness, truth = world(3.0, 0.05, seed)
    assert precision(scores, truth, None) < 0.84
    assert 0.86 <= precision(scores, truth, witness) <= 0.98


def test_where_classes_are_separated_the_mixture_alone_decides() -> None:
    scores, witness, _ = world(8.0, 0.0)
    apart = learn_thresholds(scores, "precision:0.9")
    assert np.array_equal(learn_thresholds(scores, "precision:0.9", witness).values, apart.values)


def test_a_witness_that_knows_nothing_changes_nothing() -> None:
    scores, witness, _ = world(2.2, 0.1)
    plain = get_rule("precision:0.9")(scores)
    assert np.array_equal(get_rule("precision:0.9", np.zeros_like(witness))(scores), plain)
    assert np.array_equal(get_rule("precision:0.9", -witness)(scores), plain)
