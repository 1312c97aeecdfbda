"""AP is torchmetrics' to the last ties, VOC's rules are the devkit's, and no order of images or classes matters."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.functional.classification import multilabel_average_precision

from piaa.errors import InputError
from piaa.evaluation import metrics

VOC = ["voc2007", "voc2010"]


@st.composite
def problems(draw: st.DrawFn, least: float = 0.0, most: float = 1.0, marks: int = 0) -> tuple[Tensor, Tensor]:
    """Scores of few different values, so that ties are common, and labels from `marks` (-1 or 0) to 1."""
    images, classes = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    steps = draw(st.integers(1, 6))
    cells = images * classes
    grid = draw(st.lists(st.integers(0, steps), min_size=cells, max_size=cells))
    labels = draw(st.lists(st.integers(marks, 1), min_size=cells, max_size=cells))
    scores = least + (most - least) * torch.tensor(grid).reshape(images, classes) / steps
    return scores, torch.tensor(labels).reshape(images, classes)


def torchmetrics_each(scores: Tensor, labels: Tensor, **options: int) -> Tensor:
    each = multilabel_average_precision(scores, labels, labels.shape[1], average="none", **options)
    return torch.where((labels > 0).any(dim=0), each, torch.nan)


@settings(max_examples=300, deadline=None)
@given(problems())
def test_as_torchmetrics_with_ties(problem: tuple[Tensor, Tensor]) -> None:
    scores, labels = problem
    found = metrics.average_precision(scores, labels)
    torch.testing.assert_close(found, torchmetrics_each(scores, labels), equal_nan=True, atol=1e-6, rtol=0)


@settings(max_examples=100, deadline=None)
@given(problems(-120.0, 120.0))
def test_as_torchmetrics_on_logits_that_saturate(problem: tuple[Tensor, Tensor]) -> None:
    scores, labels = problem
    found = metrics.average_precision(scores, labels)
    torch.testing.assert_close(found, torchmetrics_each(scores, labels), equal_nan=True, atol=1e-6, rtol=0)


@settings(max_examples=150, deadline=None)
@given(problems(marks=-1))
def test_as_torchmetrics_with_labels_that_do_not_count(problem: tuple[Tensor, Tensor]) -> None:
    scores, labels = problem
    if (labels == -1).all(dim=0).any():
        return  # torchmetrics fails on a class in which nothing counts
    expected = torchmetrics_each(scores, labels, ignore_index=-1)
    found = metrics.average_precision(scores, labels)
    torch.testing.assert_close(found, expected, equal_nan=True, atol=1e-6, rtol=0)


def test_as_torchmetrics_on_many_images() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = (torch.rand(4000, 7, generator=generator) < torch.linspace(0.001, 0.6, 7)).long()
    scores = (torch.randn(4000, 7, generator=generator) + labels).sigmoid()
    for values in (scores, scores.round(decimals=2)):
        expected = multilabel_average_precision(values, labels, 7, average="macro")
        assert metrics.mean_average_precision(values, labels) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("rule", sorted(metrics.AP_RULES))
def test_the_ends_of_the_scale(rule: str) -> None:
    labels = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 1]])
    scores = torch.tensor([[0.2, 0.9, 0.1, 0.6], [0.7, 0.9, 0.3, 0.5]])
    each = metrics.average_precision(scores, labels, rule)
    assert each[[0, 1, 3]].tolist() == [1.0, 0.5, 0.5]  # all positive; a tie; the only positive is second
    assert each[2].isnan()
    assert metrics.mean_average_precision(scores, labels, rule) == pytest.approx(2 / 3)
    assert metrics.classes_without_positives(labels, ["a", "b", "c", "d"]) == ["c"]
    assert math.isnan(metrics.mean_average_precision(scores, torch.zeros_like(labels), rule))
    assert metrics.average_precision(scores[:0], labels[:0], rule).isnan().all()
    assert metrics.average_precision(scores[:, 3:], labels[:, 3:], rule).tolist() == [0.5]


def test_voc_rules_by_hand() -> None:
    # positives at ranks 1, 3, 4 of 6: precisions 1, 2/3, 3/4; at rank 4 it is higher than at rank 3
    labels = torch.tensor([[1], [0], [1], [1], [0], [0]])
    scores = torch.tensor([[0.9], [0.8], [0.7], [0.6], [0.5], [0.4]])
    by_rule = {rule: float(metrics.average_precision(scores, labels, rule)) for rule in metrics.AP_RULES}
    assert by_rule["torchmetrics"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert by_rule["voc2010"] == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)
    assert by_rule["voc2007"] == pytest.approx((4 * 1 + 7 * 3 / 4) / 11)  # recalls 0 to 0.3, then 0.4 to 1


def devkit(scores: list[float], labels: list[int], rule: str) -> Fraction:
    """The devkit's steps one by one, in exact fractions: cumulated hits, precision and recall, then the area."""
    order = sorted(range(len(scores)), key=lambda image: -scores[image])
    recall, precision, hits = [], [], 0
    for rank, image in enumerate(order, start=1):
        hits += labels[image]
        recall.append(Fraction(hits, sum(labels)))
        precision.append(Fraction(hits, rank))
    if rule == "voc2007":
        levels = [Fraction(step, 10) for step in range(11)]
        best = [max((p for p, r in zip(precision, recall, strict=True) if r >= level), default=0) for level in levels]
        return sum(best, start=Fraction(0)) / 11
    recall, precision = [Fraction(0), *recall, Fraction(1)], [Fraction(0), *precision, Fraction(0)]
    for i in reversed(range(len(precision) - 1)):
        precision[i] = max(precision[i], precision[i + 1])
    return sum(((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall))), start=Fraction(0))


@pytest.mark.parametrize("rule", VOC)
@settings(max_examples=200, deadline=None)
@given(order=st.permutations(range(25)), labels=st.lists(st.integers(0, 1), min_size=25, max_size=25))
def test_voc_rules_as_the_devkit_goes(rule: str, order: list[int], labels: list[int]) -> None:
    if not any(labels):
        return
    scores = torch.tensor(order)[:, None] / 25
    found = float(metrics.average_precision(scores, torch.tensor(labels)[:, None], rule))
    assert found == pytest.approx(float(devkit([float(s) for s in order], labels, rule)), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(problems(marks=-1), st.randoms(use_true_random=False), st.sampled_from(sorted(metrics.AP_RULES)))
def test_no_order_matters_and_only_the_order_of_scores_does(problem, random, rule) -> None:
    scores, labels = problem
    images, classes = list(range(len(scores))), list(range(scores.shape[1]))
    random.shuffle(images)
    random.shuffle(classes)
    each = metrics.average_precision(scores, labels, rule)
    moved = metrics.average_precision(scores[images][:, classes], labels[images][:, classes], rule)
    torch.testing.assert_close(moved, each[classes], equal_nan=True)
    bent = metrics.average_precision(scores**3 / 2, labels, rule)
    torch.testing.assert_close(bent, each, equal_nan=True)
    assert ((each >= 0) & (each <= 1) | each.isnan()).all()


def test_nus_wide_in_seconds() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(60_260, 81, generator=generator)
    labels = torch.rand(60_260, 81, generator=generator) < 0.03
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        begin = time.process_time()
        each = metrics.average_precision(scores, labels)
        f1 = metrics.f1(metrics.top_k_decisions(scores), labels)
        seconds = time.process_time() - begin
    finally:
        torch.set_num_threads(threads)
    assert seconds < 5
    assert each.tolist() == pytest.approx([0.03] * 81, abs=0.005)  # chance
    assert f1.or_ == pytest.approx(3 / 81, abs=0.002)


def test_what_is_refused() -> None:
    scores, labels = torch.rand(3, 2), torch.ones(3, 2)
    with pytest.raises(InputError, match="choose one of: torchmetrics, voc2007, voc2010"):
        metrics.average_precision(scores, labels, "voc2012")
    with pytest.raises(InputError, match=r"\(3, 2\) and \(2, 2\)"):
        metrics.average_precision(scores, labels[:2])
    scores[2, 1] = torch.nan
    with pytest.raises(InputError, match="image 2, class 1 is NaN"):
        metrics.mean_average_precision(scores, labels)
