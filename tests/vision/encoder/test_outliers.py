"""SC-CLIP's outliers against a plain loop over the definition."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from piaa.vision.front_ends.outliers import outlier_mask, outlier_scores, repair, squared_distances
from piaa.vision.front_ends.scclip import aggregation, similarity, similarity_attention


def looped_scores(patches, neighbours):
    distances = ((patches[:, None] - patches[None]) ** 2).sum(-1)
    order = [sorted(set(range(len(patches))) - {i}, key=lambda j: distances[i, j]) for i in range(len(patches))]
    far = np.array([distances[i, order[i][neighbours - 1]] for i in range(len(patches))])
    return np.array([np.mean([far[i] / far[j] for j in order[i][:neighbours]]) for i in range(len(patches))])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 40), neighbours=st.integers(1, 35))
def test_scores_are_the_definition(seed, count, neighbours):
    patches = np.random.default_rng(seed).standard_normal((2, count, 5))
    ours = outlier_scores(torch.tensor(patches), neighbours)
    used = neighbours if neighbours < count - 1 else (count - 1) // 2
    for row in range(2):
        assume(not has_tie(patches[row], used))
        np.testing.assert_allclose(ours[row].numpy(), looped_scores(patches[row], used), rtol=1e-3)


def has_tie(patches, neighbours):
    """Whether rounding to float32 could choose another last neighbour of some patch."""
    distances = np.sort(((patches[:, None] - patches[None]) ** 2).sum(-1), axis=1)[:, 1:]  # without itself
    last, following = distances[:, neighbours - 1], distances[:, min(neighbours, distances.shape[1] - 1)]
    return bool(neighbours < distances.shape[1] and ((following - last) < 1e-5 * following).any())


def test_a_planted_outlier_scores_highest():
    patches = torch.randn(4, 49, 16, generator=torch.Generator().manual_seed(0))
    for row in range(4):
        patches[row, 10 + row] *= 10
    scores = outlier_scores(patches)
    assert scores.argmax(dim=1).tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize("count", [1, 2, 5, 20, 21, 41, 49, 64, 196, 1024])
def test_the_mask_is_the_95th_percentiles(count):
    scores = torch.randn(3, count, dtype=torch.float64, generator=torch.Generator().manual_seed(count))
    expected = scores > scores.quantile(0.95, dim=1, keepdim=True)
    assert torch.equal(outlier_mask(scores), expected)


def test_equal_patches_have_no_outliers_and_no_nan():
    scores = outlier_scores(torch.ones(2, 16, 3))
    torch.testing.assert_close(scores, torch.ones(2, 16))
    assert not outlier_mask(scores).any()


def test_repair_by_hand():
    grid = (3, 4)
    patches = torch.arange(12.0)[None, :, None].repeat(2, 1, 2)
    outliers = torch.zeros(2, 12, dtype=torch.bool)
    outliers[0, [0, 5]] = True  # a corner, and its diagonal neighbour
    repaired = repair(patches, outliers, grid)
    assert repaired[0, 0, 0] == (1 + 4) / 2
    assert repaired[0, 5, 0] == pytest.approx((1 + 2 + 4 + 6 + 8 + 9 + 10) / 7)
    untouched = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert torch.equal(repaired[0, untouched], patches[0, untouched])
    assert torch.equal(repaired[1], patches[1])


def test_an_outlier_among_outliers_stays():
    patches = torch.randn(1, 4, 3)
    assert torch.equal(repair(patches, torch.ones(1, 4, dtype=torch.bool), (2, 2)), patches)


def test_aggregation_keeps_what_is_like_itself_alone():
    features = torch.eye(3)[None]  # mutually unlike
    tokens = torch.randn(1, 3, 5)
    torch.testing.assert_close(aggregation(similarity(features)) @ tokens, tokens, rtol=1e-5, atol=1e-6)


def test_similarity_attention_masks_what_is_below_the_mean():
    attention = similarity_attention(torch.tensor([[[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]]))
    assert attention[0, 0, 2] == 0
    assert attention[0, 2].tolist() == [0, 0, 1]
    assert attention.sum(-1).allclose(torch.ones(3))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), offset=st.sampled_from([0.0, 1e2, 1e4]))
def test_distances_are_those_of_the_definition_however_far_from_the_origin(seed, offset):
    patches = torch.tensor(np.random.default_rng(seed).standard_normal((2, 9, 7)) + offset, dtype=torch.float32)
    patches[:, 3] = patches[:, 5]
    ours = squared_distances(patches)
    wide = patches.double()
    expected = (wide[:, :, None] - wide[:, None]).square().sum(-1)
    np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=1e-6)
    assert (ours[:, 3, 5] == 0).all()
