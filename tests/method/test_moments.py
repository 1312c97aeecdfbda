"""Moments are exact: the same bits whatever the order, the split and the merging."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from piaa.method.moments import BITS, Moments


def vectors(n: int, dim: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def of(parts: list[Tensor]) -> Moments:
    moments = Moments(parts[0].shape[1])
    for part in parts:
        moments.update(part)
    return moments


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.lists(st.integers(1, 900), min_size=1, max_size=5), st.randoms())
def test_any_split_order_and_tree_of_merges_gives_the_same_bits(seed: int, sizes: list[int], random: object) -> None:
    whole = vectors(sum(sizes), 7, seed)
    parts = list(whole.split(sizes))
    random.shuffle(parts)  # type: ignore[attr-defined]
    merged = [of([part]) for part in parts]
    while len(merged) > 1:
        other = merged.pop(random.randrange(len(merged)))  # type: ignore[attr-defined]
        merged[0].merge(other)
    one = of([whole])
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, merged[0].state_dict()[name]), name
        assert torch.equal(tensor, of(parts).state_dict()[name]), name


def test_the_sums_are_those_of_the_rounded_vectors() -> None:
    rows = vectors(2500, 3, 1)
    exact = [[Fraction(round(value * 2**BITS), 2**BITS) for value in row] for row in rows.tolist()]
    moments = of([rows])
    for i in range(3):
        assert moments.total[i].item() == float(sum(row[i] for row in exact))
        for j in range(3):
            assert moments.second[i, j].item() == float(sum(row[i] * row[j] for row in exact))
    assert torch.allclose(moments.second, rows.double().T @ rows.double(), rtol=1e-5, atol=1e-4)
    assert moments.count == 2500


def test_sums_go_beyond_64_bits() -> None:
    ones = torch.zeros(1024, 2)
    ones[:, 0] = 1.0
    moments = of([ones])
    for _ in range(30):  # doubled each time: 2^10 * 2^30 vectors, sums of 2^82
        moments.merge(moments)
    assert moments.second[0, 0] == 2.0**40
    assert moments.total[0] == 2.0**40
    assert moments.count == 2.0**40
    moments.update(-ones)
    assert moments.total[0] == 2.0**40 - 1024


def test_what_is_not_finite_is_left_out_and_what_is_too_long_refused() -> None:
    rows = vectors(5, 4, 2)
    spoilt = torch.cat([rows, torch.tensor([[float("nan"), 0, 0, 0], [float("inf"), 0, 0, 0]])])
    assert torch.equal(of([spoilt]).second, of([rows]).second)
    assert of([spoilt]).count == 5
    with pytest.raises(ValueError, match="unit-length"):
        Moments(2).update(torch.tensor([[3.0, 0.0]]))


def test_a_state_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="total"):
        Moments(3).load_state_dict(Moments(4).state_dict())
