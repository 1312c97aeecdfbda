"""Images unlike those of the fit are told from the unlabelled images alone, and images like them are not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from piaa.method.novelty import EXTRA, FEWEST, Novelty, distances_to_others, learn_novelty, numbers_of
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales
from piaa.method.thresholds import Thresholds

DIM, PATCHES = 12, 9


def world(count: int, seed: int, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    """Embeddings about a common direction; `shift` moves the patches away from it."""
    random = torch.Generator().manual_seed(seed)
    cls = torch.randn(count, DIM, generator=random) + 3
    patches = torch.randn(count, PATCHES, DIM, generator=random) + 3
    patches[:, :, 0] += shift
    return cls, patches


def learnt(count: int = 400) -> Novelty:
    novelty = learn_novelty(*world(count, 1))
    assert novelty is not None
    return novelty


@pytest.mark.parametrize("count", [FEWEST, 100, 400, 1000])
def test_images_like_those_of_the_fit_are_kept_and_others_are_not(count: int) -> None:
    novelty = learnt(count)
    usual = novelty.strangeness(*world(2000, 2))
    assert float((usual > 1).float().mean()) <= 0.005
    assert bool((novelty.strangeness(*world(50, 3, shift=8.0)) > 1).all())


def test_norms_count_too() -> None:
    cls, patches = world(20, 4)
    assert bool((learnt().strangeness(20 * cls, 20 * patches) > 1).all())


def test_few_images_and_equal_images_give_no_test() -> None:
    assert learn_novelty(None, None) is None
    assert learn_novelty(*world(FEWEST - 1, 1)) is None
    assert learn_novelty(torch.ones(80, DIM), torch.ones(80, PATCHES, DIM)) is None


def test_distances_are_those_of_a_fit_without_the_image() -> None:
    apart = torch.randn(30, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    apart -= apart.mean(dim=0)
    found, precision = distances_to_others(apart, ridge=0.2)
    for left_out in (0, 7, 29):
        rest = torch.cat([apart[:left_out], apart[left_out + 1 :]])
        middle = rest.mean(dim=0)
        scatter = (rest - middle).T @ (rest - middle) + 30 * 0.2 * torch.eye(4, dtype=torch.float64)
        away = apart[left_out] - middle
        assert float(found[left_out]) == pytest.approx(30 * float(away @ torch.linalg.inv(scatter) @ away), rel=1e-9)
    whole = apart.T @ apart + 30 * 0.2 * torch.eye(4, dtype=torch.float64)
    assert torch.allclose(precision, 30 * torch.linalg.inv(whole))


def test_no_bit_tells_of_the_batch_where_images_are_judged_one_by_one() -> None:
    novelty, (cls, patches) = learnt(), world(7, 6)
    alone = torch.cat([novelty.strangeness(cls[i : i + 1], patches[i : i + 1]) for i in range(7)])
    assert torch.allclose(alone, novelty.strangeness(cls, patches))
    assert numbers_of(cls, patches).shape == (7, 2 * DIM + EXTRA)


def test_written_down_and_read_back() -> None:
    novelty = learnt()
    again = Novelty.from_parts(novelty.tensors(), novelty.plain())
    assert torch.equal(again.strangeness(*world(9, 7)), novelty.strangeness(*world(9, 7)))
    with pytest.raises(ValueError, match="version 2"):
        Novelty.from_parts(novelty.tensors(), {**novelty.plain(), "version": 2})
    assert novelty.fault(DIM) is None
    assert "mean" in str(novelty.fault(DIM + 1))


def test_foreign_images_have_scores_and_no_label() -> None:
    prototypes = torch.eye(DIM)[:3]
    thresholds = Thresholds(torch.zeros(3).numpy(), torch.ones(3).numpy(), "given")
    head = PatchClassifier(
        prototypes, torch.zeros(3), prototypes, Scales(1.0, 1.0, 1.0), thresholds=thresholds, novelty=learnt()
    )
    cls, patches = (torch.cat(both) for both in zip(world(2, 8), world(2, 9, shift=8.0), strict=True))
    strange = head.strangeness(cls, patches)
    decided = head.decide(head.score(cls, patches), strange)
    assert decided.all(axis=1).tolist() == [True, True, False, False]
    assert decided.any(axis=1).tolist() == [True, True, False, False]
    assert head.decide(head.score(cls, patches)).all()
    again = PatchClassifier.from_parts(head.tensors(), head.plain())
    assert torch.equal(again.strangeness(cls, patches), strange)
    plain = {name: value for name, value in head.plain().items() if name != "novelty"}  # as in an older file
    assert not bool(PatchClassifier.from_parts(head.tensors(), plain).strangeness(cls, patches).any())
