"""CP to OF1 against sklearn and against counting by hand; the top-k decisions; AP by size and by area."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from piaa.errors import InputError
from piaa.evaluation import metrics


def counted(decided: list[list[int]], labels: list[list[int]]) -> dict[str, float]:
    """The six numbers in plain Python, as the papers write them."""
    right, chosen, present = [], [], []
    for c in range(len(labels[0])):
        cells = [(d[c], y[c]) for d, y in zip(decided, labels, strict=True) if y[c] >= 0]
        right.append(sum(d * y for d, y in cells))
        chosen.append(sum(d for d, _ in cells))
        present.append(sum(y for _, y in cells))
    there = [c for c, number in enumerate(present) if number]
    cp = sum(right[c] / chosen[c] if chosen[c] else 0 for c in there) / len(there)
    cr = sum(right[c] / present[c] for c in there) / len(there)
    op = sum(right) / sum(chosen) if sum(chosen) else 0
    or_ = sum(right) / sum(present)
    cf1 = 2 * cp * cr / (cp + cr) if cp + cr else 0
    of1 = 2 * op * or_ / (op + or_) if op + or_ else 0
    return {"cp": cp, "cr": cr, "cf1": cf1, "op": op, "or_": or_, "of1": of1}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_six_numbers(data: st.DataObject) -> None:
    images, classes = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 5))
    row = st.lists(st.integers(-1, 1), min_size=classes, max_size=classes)
    labels = data.draw(st.lists(row, min_size=images, max_size=images))
    decided = [[max(v, 0) for v in line] for line in data.draw(st.lists(row, min_size=images, max_size=images))]
    found = metrics.f1(torch.tensor(decided), torch.tensor(labels))
    if not any(value == 1 for line in labels for value in line):
        assert math.isnan(found.cp) and math.isnan(found.cf1) and found.of1 == 0
        return
    assert vars(found) == pytest.approx(counted(decided, labels))


def test_against_torchmetrics() -> None:
    from torchmetrics.functional.classification import multilabel_f1_score, multilabel_precision, multilabel_recall

    generator = torch.Generator().manual_seed(2)
    labels = (torch.rand(500, 6, generator=generator) < 0.2).long()
    decided = ((torch.rand(500, 6, generator=generator) + 0.3 * labels) > 0.8).long()
    found = metrics.f1(decided, labels)
    assert found.cp == pytest.approx(float(multilabel_precision(decided, labels, 6, average="macro")), abs=1e-6)
    assert found.cr == pytest.approx(float(multilabel_recall(decided, labels, 6, average="macro")), abs=1e-6)
    assert found.of1 == pytest.approx(float(multilabel_f1_score(decided, labels, 6, average="micro")), abs=1e-6)
    macro = float(multilabel_f1_score(decided, labels, 6, average="macro"))
    assert found.cf1 != pytest.approx(macro, abs=1e-4)  # the harmonic mean of the means, not the mean of harmonic means
    assert (metrics.cf1(decided, labels), metrics.of1(decided, labels)) == (found.cf1, found.of1)


def test_top_k_by_hand() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.8, 0.7], [0.5, 0.5, 0.5, 0.5]])
    assert metrics.top_k_decisions(scores).tolist() == [[False, True, True, True], [True, True, True, False]]
    assert metrics.top_k_decisions(scores, 1).tolist() == [[False, True, False, False], [True, False, False, False]]
    among = scores >= 0.75
    assert metrics.top_k_decisions(scores, 3, among).tolist() == [[False, True, True, False], [False] * 4]
    labels = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0]])
    top = metrics.f1(metrics.top_k_decisions(scores), labels)
    assert (top.op, top.or_) == (pytest.approx(3 / 6), 1.0)
    assert top.cp == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert metrics.METRICS["OF1@3"](scores, labels) == top.of1
    assert metrics.METRICS["CF1@3"](scores, labels) == top.cf1
    assert metrics.top_k_decisions(scores, 9).all()
    with pytest.raises(InputError, match="at least 1"):
        metrics.top_k_decisions(scores, 0)
    with pytest.raises(InputError, match="images x classes"):
        metrics.f1(scores > 0.5, labels[:1])


def test_oracle_thresholds_are_the_best_there_are() -> None:
    generator = torch.Generator().manual_seed(5)
    labels = (torch.rand(40, 3, generator=generator) < 0.3).long()
    scores = torch.rand(40, 3, generator=generator) + 0.3 * labels
    labels[:5] = -1
    best = metrics.oracle_thresholds(scores, labels)
    for c in range(3):
        column = slice(c, c + 1)
        found = metrics.f1(scores[:, column] >= best[c], labels[:, column]).of1
        tried = [metrics.f1(scores[:, column] >= t, labels[:, column]).of1 for t in scores[:, c]]
        assert found == pytest.approx(max(tried))


def slow_by_bins(scores: Tensor, labels: Tensor, measure: Tensor, low: float, high: float) -> float:
    each = []
    for c in range(labels.shape[1]):
        inside = [bool(labels[i, c]) and low <= float(measure[i, c]) < high for i in range(len(labels))]
        kept = [i for i in range(len(labels)) if inside[i] or not labels[i, c]]
        if any(inside):
            marks = torch.tensor([[int(inside[i])] for i in kept])
            each.append(float(metrics.average_precision(scores[kept, c : c + 1], marks)))
    return sum(each) / len(each) if each else math.nan


def test_ap_by_size_and_by_area() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = (torch.rand(60, 4, generator=generator) < 0.4).long()
    scores = torch.rand(60, 4, generator=generator)
    shares = torch.rand(60, 4, generator=generator).double().where(labels.bool(), torch.nan)
    by_size = metrics.average_precision_by_size(scores, labels, shares)
    assert by_size == pytest.approx({k: slow_by_bins(scores, labels, shares, *v) for k, v in metrics.SIZE_BINS.items()})
    areas = (shares * 200) ** 2
    by_area = metrics.average_precision_by_area(scores, labels, areas)
    bounds = {"small": (0, 1024), "medium": (1024, 9216), "large": (9216, math.inf)}
    assert by_area == pytest.approx({k: slow_by_bins(scores, labels, areas, *v) for k, v in bounds.items()})
    assert len({round(value, 4) for value in by_area.values()}) == 3


def test_a_bound_belongs_to_the_larger_bin() -> None:
    labels = torch.tensor([[1], [1], [1], [0]])
    scores = torch.tensor([[0.9], [0.4], [0.2], [0.5]])
    areas = torch.tensor([[1023.9], [32.0**2], [96.0**2], [torch.nan]])
    found = metrics.average_precision_by_area(scores, labels, areas)
    assert found == {"small": 1.0, "medium": 0.5, "large": 0.5}
    unknown = metrics.average_precision_by_area(scores, labels, torch.full((4, 1), torch.nan))
    assert all(math.isnan(value) for value in unknown.values())
    with pytest.raises(InputError, match="as the labels"):
        metrics.average_precision_by_area(scores, labels, areas[:2])
