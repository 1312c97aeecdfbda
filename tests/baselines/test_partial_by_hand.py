"""What SST and SARB compute of partial labels, against cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from piaa.baselines import partial_labels as parts


def seen(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int8)


def test_how_often_classes_are_seen_together() -> None:
    edges = parts.conditional_frequencies(seen([1, 1, -1], [1, 0, -1], [1, -1, 0], [1, 1, 0]))
    assert edges.tolist() == [[1, 0.5, 0], [1, 1, 0], [0, 0, 0]]


def test_pairs_become_a_square() -> None:
    full = parts.square(torch.tensor([[0.2, 0.9, 0.7]]), 3)
    assert full[0].tolist() == torch.tensor([[1, 0.2, 0.9], [0.2, 1, 0.7], [0.9, 0.7, 1]]).tolist()


def test_cooccurrence() -> None:
    pairs = torch.tensor([[0.2, 0.9, 0.7]])  # classes 0 and 1, 0 and 2, 1 and 2
    assert parts.within_image(pairs, seen([1, -1, -1]), 0.8).tolist() == [[1, -1, 1]]
    assert parts.within_image(pairs, seen([1, 1, -1]), 0.79).tolist() == [[1, 1, 1]]  # (0.9 + 0.7) / 2
    assert parts.within_image(pairs, seen([1, 1, -1]), 0.81).tolist() == [[1, 1, -1]]
    assert parts.within_image(pairs, seen([1, -1, 0]), 0.1).tolist() == [[1, 1, 0]]
    assert parts.within_image(pairs, seen([0, -1, -1]), 0.1).tolist() == [[0, -1, -1]]


def test_likeness_across_images() -> None:
    kept = torch.tensor([[[1.0, 0], [0, 2.0]], [[0.0, 0], [0, 0]]])  # class 1 has none
    features = torch.tensor([[[3.0, 3.0], [1.0, 0.0]]])
    mean = math.sqrt(0.5)  # of the cosines with both kept features
    assert parts.across_images(features, kept, seen([-1, -1]), mean - 1e-3).tolist() == [[1, -1]]
    assert parts.across_images(features, kept, seen([-1, -1]), mean + 1e-3).tolist() == [[-1, -1]]
    assert parts.across_images(features, kept, seen([0, -1]), 0.1).tolist() == [[0, -1]]


def test_new_examples_push_old_ones_out() -> None:
    kept = torch.tensor([[[1.0], [2.0]], [[3.0], [0.0]]])
    features = torch.tensor([[[10.0], [20.0]], [[11.0], [21.0]], [[12.0], [22.0]]])
    after = parts.examples_with(kept, features, seen([1, -1], [0, 1], [1, -1]))
    assert after[..., 0].tolist() == [[10, 12], [21, 3]]


def test_images_are_mixed_where_one_knows_what_the_other_does_not() -> None:
    features = torch.tensor([[[1.0], [1.0], [1.0], [1.0]], [[5.0], [5.0], [5.0], [5.0]]])
    observed = seen([1, 0, -1, -1], [1, 1, 1, 0])
    mixed, target = parts.mix_images(features, observed, torch.tensor(0.3))
    assert mixed[0, :, 0].tolist() == pytest.approx([1, 1, 0.3 * 1 + 0.7 * 5, 1])
    assert target[0].tolist() == pytest.approx([1, 0, 0.7, -1])
    assert (mixed[1] == 5).all()


def test_one_class_is_mixed_with_its_prototype() -> None:
    features, prototypes = torch.ones(3, 3, 1), torch.tensor([[10.0], [20.0], [30.0]])
    observed = seen([1, -1, -1], [-1, 0, -1], [1, 0, 1])
    draws = torch.tensor([[0.9, 0.2, 0.4], [0.5, 0.9, 0.1], [0.9, 0.9, 0.9]])
    mixed, target = parts.mix_prototypes(features, observed, prototypes, torch.tensor(0.5), draws)
    assert mixed[..., 0].tolist() == [[1, 1, 15.5], [5.5, 1, 1], [1, 1, 1]]  # the third image knows every class
    assert target.tolist() == [[1, -1, 0.5], [0.5, 0, -1], [1, 0, 1]]
    none = parts.mix_prototypes(features, observed, prototypes, torch.tensor(0.5), torch.zeros(3, 3))
    assert torch.equal(none[0], features)


def test_contrast_takes_each_pair_by_what_is_seen() -> None:
    features = torch.tensor([[[1.0, 0]], [[0.0, 1]], [[1.0, 0]], [[1.0, 0]]])
    every = parts.contrastive(features, seen([1], [1], [0], [-1]), torch.arange)
    # images 0 and 1 have it and have cosine 0: 1; 0 and 2 differ with cosine 1: 2; 1 and 2 differ with 0: 1. Of the
    # two that differ both are drawn, and the greatest counts once more
    assert float(every) == pytest.approx((1 + 2 + 1 + 2) / 4)
    assert float(parts.contrastive(features, seen([0], [0], [-1], [-1]), torch.arange)) == pytest.approx(1)
    assert float(parts.contrastive(features, seen([1], [-1], [-1], [-1]), torch.arange)) == 0


def test_a_pair_that_is_not_seen_counts_as_absent() -> None:
    # probability a half: (1 - 0.55)^2 times -log(0.55); present: (1 - 0.5) times -log(0.5)
    absent = parts.pair_asl(torch.zeros(1, 1), seen([1, -1]))
    assert float(absent) == pytest.approx(0.45**2 * -math.log(0.55), rel=1e-5)
    present = parts.pair_asl(torch.zeros(1, 1), seen([1, 1]))
    assert float(present) == pytest.approx(0.5 * math.log(2), rel=1e-5)
