"""With few images the bank's share of the patches bounds it, not K: and that is the bank of a smaller K."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from piaa.method.bank import Bank
from piaa.method.evidence import Evidence
from piaa.method.recipes import MIN_BANK, RECIPES, get_recipe, recipe_from_dict


@pytest.mark.parametrize(
    ("patches", "classes", "limit"),
    [
        (5_717 * 196, 20, 512),  # VOC12 at ViT-B/16: 5% would be 2,801
        (2000 * 144, 60, 240),  # the demo
        (300 * 49, 20, MIN_BANK),  # a golden file: 5% would be 37
        (0, 5, MIN_BANK),
    ],
)
def test_the_limit(patches: int, classes: int, limit: int) -> None:
    assert get_recipe("default").bank_limit(patches, classes) == limit
    if patches:
        assert get_recipe("published-voc").bank_limit(patches, classes) == min(512, patches // classes)
    assert replace(get_recipe("default"), bank_size=16).bank_limit(patches, classes) == 16


def test_recipes_come_back_from_their_values() -> None:
    for recipe in RECIPES.values():
        assert recipe_from_dict(recipe.to_dict()) == recipe


def evidence(size: int, images: int = 60) -> tuple[Evidence, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    prototypes = F.normalize(torch.randn(4, 16, generator=random), dim=1)
    patches = (
        torch.randn(images, 20, 16, generator=random) * 0.3
        + prototypes[torch.randint(4, (images, 20), generator=random)]
    )
    gathered = Evidence(4, 16, size)
    gathered.update(patches.mean(dim=1), patches, torch.arange(images), prototypes, 20.0)
    return gathered, prototypes


def test_a_share_learns_what_a_smaller_bank_learns() -> None:
    whole, prototypes = evidence(512)
    small, _ = evidence(75)  # a quarter of 60 x 20 patches over 4 classes
    recipe = replace(get_recipe("default"), bank_share=0.25)
    ours, theirs = whole.learn(prototypes, recipe), small.learn(prototypes, recipe)
    assert torch.equal(ours.weight, theirs.weight)
    assert ours.sizes_stage1.tolist() == [75] * 4
    rows, fewer = whole.bank.contents(), small.bank.contents()
    assert torch.equal(rows["provenance"][ours.kept], fewer["provenance"][theirs.kept])
    assert not torch.equal(whole.learn(prototypes, replace(recipe, bank_share=1.0)).weight, ours.weight)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 30), st.integers(0, 120))
def test_a_shrunk_bank_is_the_one_of_a_smaller_k(seed: int, large: int, small: int, n: int) -> None:
    random = torch.Generator().manual_seed(seed)
    patches = F.normalize(torch.randn(n, 8, generator=random), dim=1)
    probabilities = torch.softmax(4 * torch.randn(n, 3, generator=random), dim=1)
    banks = [Bank(3, size, 8) for size in (large, min(large, small))]
    for bank in banks:
        for part in torch.arange(n).split(17):
            bank.update(patches[part], probabilities[part])
    shrunk = banks[0].shrunk(small)
    assert (shrunk.size, shrunk.seen) == (min(large, small), n)
    for name, column in banks[1].contents().items():
        assert torch.equal(shrunk.contents()[name], column), name
