"""What a run may see: drawn by the seed, stored, and never more than the regime says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from piaa.errors import InputError, LabelError
from piaa.training.regimes import REGIMES, observe, read_observed, write_observed


def truth(images: int, classes: int, seed: int) -> torch.Tensor:
    return (torch.rand(images, classes, generator=torch.Generator().manual_seed(seed)) < 0.3).long()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 1000), st.sampled_from(sorted(REGIMES)))
def test_nothing_is_seen_that_is_not_true(images: int, classes: int, seed: int, regime: str) -> None:
    known = truth(images, classes, seed)
    observed = observe(regime, known, seed)
    seen = observed != -1
    assert torch.equal(observed[seen].long(), known[seen])
    assert torch.equal(observed, observe(regime, known, seed))


def test_each_regime_lets_through_what_it_says() -> None:
    known = truth(400, 50, 1)
    assert (observe("full", known, 3) != -1).all()
    assert (observe("none", known, 3) == -1).all()
    share = float((observe("partial", known, 3) != -1).float().mean())
    assert 0.09 < share < 0.11
    single = observe("single-positive", known, 3)
    assert torch.equal((single == 1).sum(dim=1), known.any(dim=1).long())
    assert not (single == 0).any()


def test_every_label_of_an_image_is_drawn_alike() -> None:
    known = torch.tensor([[1, 0, 1, 1]]).repeat(3000, 1)
    counts = (observe("single-positive", known, 0) == 1).sum(dim=0).tolist()
    assert counts[1] == 0
    assert all(900 < counts[c] < 1100 for c in (0, 2, 3))


def test_other_seeds_draw_other_labels() -> None:
    known = truth(50, 10, 2)
    assert not torch.equal(observe("partial", known, 0), observe("partial", known, 1))


def test_stored_labels_come_back_and_belong_to_one_run(tmp_path: Path) -> None:
    known, path = truth(9, 4, 0), tmp_path / "labels.jsonl"
    ids, names = [f"ü {i}.png" for i in range(9)], ["a", "b", "c", "d"]
    observed = observe("partial", known, 5)
    write_observed(path, ids, names, observed, "partial", 5)
    assert torch.equal(read_observed(path, ids, names, "partial", 5), observed)
    for other in (
        (ids[1:], names, "partial", 5),
        (ids, names[1:], "partial", 5),
        (ids, names, "full", 5),
        (ids, names, "partial", 6),
    ):
        with pytest.raises(LabelError, match="other images or classes, or by another regime or seed"):
            read_observed(path, *other)
    path.write_text("{}")
    with pytest.raises(LabelError):
        read_observed(path, ids, names, "partial", 5)


def test_an_unknown_regime_is_refused() -> None:
    with pytest.raises(InputError, match="single-positive"):
        observe("half", truth(2, 2, 0), 0)
