"""Resamples are exactly those of repeated images; intervals cover as often as they say; comparisons tell luck apart."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_average_precision import problems, torchmetrics_each
from torch import Tensor

from piaa.errors import InputError
from piaa.evaluation import metrics
from piaa.evaluation.metrics.bootstrap import resample_weights
from piaa.evaluation.metrics.precision import resampled_average_precision
from piaa.evaluation.metrics.registry import RESAMPLED

OWN = ["mAP", "mAP-voc2007", "mAP-voc2010", "CF1@3", "OF1@3"]


def drawn(generator: torch.Generator, images: int, classes: int, shift: float = 1.0) -> tuple[Tensor, Tensor]:
    labels = (torch.rand(images, classes, generator=generator) < 0.2).long()
    return (torch.randn(images, classes, generator=generator) + shift * labels).sigmoid(), labels


def test_weights_are_counts_and_seeded() -> None:
    weights = torch.cat(list(resample_weights(50, 400, 3)), dim=1)
    assert weights.shape == (50, 400)
    assert (weights.sum(dim=0) == 50).all()
    assert torch.equal(weights, torch.cat(list(resample_weights(50, 400, 3)), dim=1))
    assert not torch.equal(weights, torch.cat(list(resample_weights(50, 400, 4)), dim=1))
    assert float(weights.var()) == pytest.approx(0.98, abs=0.05)  # multinomial: 1 - 1/50


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.cat(list(resample_weights(30, 100, 1)), dim=1)
    monkeypatch.setattr("piaa.evaluation.metrics.bootstrap.BLOCK", 30 * 7)
    parts = list(resample_weights(30, 100, 1))
    assert len(parts) == 15
    assert torch.equal(torch.cat(parts, dim=1), whole)


@settings(max_examples=80, deadline=None)
@given(problems(marks=-1), st.integers(0, 5), st.sampled_from(sorted(metrics.AP_RULES)))
def test_resampled_ap_is_that_of_repeated_images(problem: tuple[Tensor, Tensor], seed: int, rule: str) -> None:
    scores, labels = problem
    weights = next(resample_weights(len(scores), 4, seed))
    found = resampled_average_precision(scores, labels, rule)(weights)
    for b in range(4):
        rows = torch.arange(len(scores)).repeat_interleave(weights[:, b].long())
        expected = metrics.average_precision(scores[rows], labels[rows], rule)
        torch.testing.assert_close(found[:, b], expected, equal_nan=True, atol=1e-5, rtol=0)
        if rule == "torchmetrics" and not (labels < 0).any():
            theirs = torchmetrics_each(scores[rows], labels[rows])
            torch.testing.assert_close(found[:, b], theirs, equal_nan=True, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", OWN)
def test_all_at_once_is_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels = drawn(torch.Generator().manual_seed(0), 60, 5)
    fast = metrics.bootstrap_interval(name, scores, labels, resamples=50, seed=2)
    metric = metrics.METRICS[name]
    monkeypatch.delitem(RESAMPLED, metric)
    slow = metrics.bootstrap_interval(name, scores, labels, resamples=50, seed=2)
    assert vars(fast) == pytest.approx(vars(slow), abs=1e-5)
    assert fast.low < fast.value < fast.high


@pytest.mark.parametrize("name", ["mAP", "OF1@3"])
def test_intervals_cover_as_often_as_they_say(name: str) -> None:
    generator = torch.Generator().manual_seed(11)
    found = []
    for seed in range(200):
        scores, labels = drawn(generator, 150, 8)
        found.append(metrics.bootstrap_interval(name, scores, labels, resamples=200, seed=seed))
    expected = sum(interval.value for interval in found) / len(found)  # over test sets of this size
    covered = sum(interval.low <= expected <= interval.high for interval in found) / len(found)
    assert 0.90 <= covered <= 0.99  # 0.95, give or take two standard errors of 200 trials and 200 resamples
    half = metrics.bootstrap_interval(name, scores, labels, resamples=200, level=0.5)
    assert half.high - half.low < 0.5 * (found[-1].high - found[-1].low)


def test_intervals_have_the_width_of_more_images() -> None:
    generator = torch.Generator().manual_seed(0)
    widths = []
    for images in (200, 3200):
        interval = metrics.bootstrap_interval("mAP", *drawn(generator, images, 6))
        widths.append(interval.high - interval.low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.35)  # the square root of 16


def test_a_perfect_run_has_no_width_and_fractions_stay_so() -> None:
    labels = torch.eye(4).repeat(5, 1)
    assert vars(metrics.bootstrap_interval("mAP", labels, labels)) == {
        "value": 1.0, "low": 1.0, "high": 1.0, "level": 0.95,
    }  # fmt: skip
    nearly = labels.clone()
    nearly[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    interval = metrics.bootstrap_interval("mAP", nearly, labels)
    assert 0 <= interval.low < interval.value <= interval.high <= 1


def test_a_thousand_resamples_in_seconds() -> None:
    scores, labels = drawn(torch.Generator().manual_seed(0), 2000, 60)
    begin = time.process_time()
    metrics.bootstrap_interval("mAP", scores, labels, resamples=1000)
    assert time.process_time() - begin < 10
    assert (metrics.default_resamples(2000), metrics.default_resamples(60_260)) == (1000, 200)


@pytest.mark.parametrize("name", OWN)
def test_a_run_against_itself(name: str) -> None:
    scores, labels = drawn(torch.Generator().manual_seed(4), 150, 5)
    found = metrics.compare(scores, scores.clone(), labels, name, resamples=100)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    each = metrics.compare_classes(scores, scores, labels, resamples=100)
    assert each.p_values.tolist() == each.q_values.tolist() == [1.0] * 5
    assert (each.wins, each.losses, each.sign_p, each.wilcoxon_p) == (0, 0, 1.0, 1.0)


def test_a_better_run_is_seen_and_the_comparison_is_symmetric() -> None:
    generator = torch.Generator().manual_seed(7)
    good, labels = drawn(generator, 300, 8, 2.0)
    bad = (good.logit() + 1.5 * torch.randn(good.shape, generator=generator)).sigmoid()
    for name in OWN:
        there, back = metrics.compare(good, bad, labels, name), metrics.compare(bad, good, labels, name)
        assert 0 < there.low < there.difference < there.high
        assert there.p_value == back.p_value < 0.01
        assert (there.difference, there.low) == (-back.difference, pytest.approx(-back.high, abs=1e-6))
        assert there.difference == there.value - there.baseline
    each, back = metrics.compare_classes(good, bad, labels), metrics.compare_classes(bad, good, labels)
    assert each.wins == back.losses == 8 and each.sign_p == pytest.approx(2 / 2**8)
    assert each.wilcoxon_p == back.wilcoxon_p < 0.01
    assert torch.equal(each.p_values, back.p_values)
    assert (each.q_values >= each.p_values).all()
    torch.testing.assert_close(each.low, -back.high, atol=1e-6, rtol=0)


def test_luck_is_called_luck() -> None:
    generator = torch.Generator().manual_seed(21)
    found = []
    for seed in range(150):
        truth, labels = drawn(generator, 150, 6)
        runs = [(truth.logit() + torch.randn(truth.shape, generator=generator)).sigmoid() for _ in range(2)]
        found.append(metrics.compare(*runs, labels, resamples=200, seed=seed).p_value)
    early = sum(p <= 0.05 for p in found) / len(found)
    assert early <= 0.10  # 0.05, and two standard errors of 150 trials above it and more
    assert 0.3 < sum(p <= 0.5 for p in found) / len(found) < 0.7


def test_pairing_sees_what_two_intervals_do_not() -> None:
    generator = torch.Generator().manual_seed(5)
    truth, labels = drawn(generator, 300, 6)
    worse = (truth.logit() + 0.35 * torch.randn(truth.shape, generator=generator)).sigmoid()
    first, second = (metrics.bootstrap_interval("mAP", run, labels) for run in (truth, worse))
    assert first.low < second.high  # the two intervals overlap
    assert metrics.compare(truth, worse, labels).p_value < 0.05


def test_classes_with_few_positives_have_no_verdict() -> None:
    scores, labels = drawn(torch.Generator().manual_seed(8), 120, 4)
    labels[:, 2] = 0
    labels[:, 3] = torch.arange(120) < 4
    each = metrics.compare_classes(scores, scores.flip(0), labels, "voc2010", resamples=50)
    assert each.difference.isnan().tolist() == [False, False, True, False]
    for values in (each.low, each.high, each.p_values, each.q_values):
        assert values.isnan().tolist() == [False, False, True, True]  # four positives are too few
    assert each.positives[2:].tolist() == [0, 4]
    assert each.wins + each.losses == 3


def test_what_is_refused() -> None:
    scores, labels = drawn(torch.Generator().manual_seed(8), 20, 3)
    with pytest.raises(InputError, match="same images and classes"):
        metrics.compare(scores, scores[:5], labels)
    with pytest.raises(InputError, match="between 0 and 1"):
        metrics.bootstrap_interval("mAP", scores, labels, level=95)
    with pytest.raises(InputError, match="2 resamples"):
        metrics.bootstrap_interval("mAP", scores, labels, resamples=1)
    with pytest.raises(InputError, match="needs an image"):
        metrics.bootstrap_interval("mAP", scores[:0], labels[:0])
    with pytest.raises(InputError, match="no metric is called 'map'"):
        metrics.bootstrap_interval("map", scores, labels)
