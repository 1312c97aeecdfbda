"""What holds for every front-end, whatever the weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_towers import small_visual

from piaa.errors import ModelError
from piaa.vision.encoder import Encoder
from piaa.vision.front_ends import FRONT_ENDS, Trace, get_front_end, scaled_block
from piaa.vision.front_ends.itaclip import intermediate_blocks
from piaa.vision.front_ends.scclip import levels
from piaa.vision.towers import build_tower

NAMES = list(FRONT_ENDS)


@pytest.fixture(scope="module")
def alone(tower, pool):
    """Every image of the pool encoded as a batch of one, by every front-end."""
    return {name: [Encoder(tower, name)(image[None]) for image in pool] for name in NAMES}


@settings(max_examples=12, deadline=None)
@given(batch=st.lists(st.integers(0, 11), min_size=1, max_size=7))
@pytest.mark.parametrize("name", NAMES)
def test_an_image_never_depends_on_its_batch(tower, pool, alone, name, batch):
    """Any subset, order and repetition; what crosses a threshold would differ by 1e-3 and more."""
    encoded = Encoder(tower, name)(pool[batch])
    for row, index in enumerate(batch):
        expected = alone[name][index]
        torch.testing.assert_close(encoded.patches[row], expected.patches[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(encoded.cls[row], expected.cls[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(48, 112), (112, 32), (16, 16), (16, 64)])
def test_any_shape_of_grid(tower, name, size):
    """Non-square, smaller than the neighbours that SC-CLIP wants, down to a single patch."""
    images = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(3))
    encoded = Encoder(tower, name)(images)
    assert encoded.grid == (size[0] // 16, size[1] // 16)
    assert encoded.patches.shape == (3, encoded.grid[0] * encoded.grid[1], 32)
    assert encoded.patches.isfinite().all()
    single = Encoder(tower, name)(images[1:2])
    torch.testing.assert_close(encoded.patches[1], single.patches[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_cls_is_the_same_beside_every_front_end(tower, pool, alone, name):
    """To the bit where the front-end computes the last block's q, k and v; SC-CLIP leaves [CLS] to its one query."""
    limit = 1e-5 if name == "sc-clip" else 0
    for ours, plain in zip(alone[name], alone["clip"], strict=True):
        torch.testing.assert_close(ours.cls, plain.cls, rtol=0, atol=limit)


def test_the_front_ends_differ(alone):
    for i, name in enumerate(NAMES):
        for other in NAMES[:i]:
            assert not torch.allclose(alone[name][0].patches, alone[other][0].patches, atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_front_end_reads_no_more_than_it_says(tower, pool, name):
    front_end = get_front_end(name)
    tokens, grid = tower.embed(pool[:2])
    states = {0: tokens}
    for number in range(1, tower.depth):
        states[number] = tower.block(number - 1, states[number - 1], grid)
    needed = {number: states[number] for number in front_end.needs(tower.depth)}
    patches = front_end(tower, Trace(needed, grid))
    torch.testing.assert_close(patches, Encoder(tower, front_end)(pool[:2]).patches)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(64, 64), (48, 80), (112, 112)])
def test_rounding_alone_does_not_change_sides(tower, name, size):
    """Noise of 1e-6, as another device or library brings, moves no patch by more than its like."""
    images = torch.randn(6, 3, *size, generator=torch.Generator().manual_seed(4))
    noisy = images + 1e-6 * torch.randn(images.shape, generator=torch.Generator().manual_seed(5))
    moved = (Encoder(tower, name)(images).patches - Encoder(tower, name)(noisy).patches).abs().amax(dim=(1, 2))
    assert moved.max() < 2e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layers", [2, 3, 8, 24])
def test_any_depth(name, layers):
    tower = build_tower(small_visual(layers=layers))
    assert max(get_front_end(name).needs(layers)) == layers - 1
    assert Encoder(tower, name)(torch.randn(1, 3, 64, 64)).patches.isfinite().all()


def test_block_numbers_scale_with_depth():
    assert [scaled_block(number, 12) for number in range(1, 12)] == list(range(1, 12))
    assert [scaled_block(number, 24) for number in (4, 7, 8, 9, 10)] == [8, 14, 16, 18, 20]
    assert scaled_block(9, 2) == 1
    assert intermediate_blocks(12) == (7, 8, 10)
    assert intermediate_blocks(24) == (14, 16, 20)
    assert list(levels(12)) == [4, 5, 6, 7, 8, 9, 10]


def test_unknown_front_end_names_the_known_ones(tower):
    with pytest.raises(ModelError, match="clip, sclip, itaclip, sc-clip"):
        Encoder(tower, "maskclip")


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_stays_close(tower, pool, name):
    """Relative error; SC-CLIP's thresholds let it move further than the rounding alone."""
    half = build_tower(small_visual()).to(torch.bfloat16)
    ours, exact = Encoder(half, name)(pool[:3]), Encoder(tower, name)(pool[:3])
    assert ours.patches.dtype == ours.cls.dtype == torch.float32
    limit = 0.1 if name == "sc-clip" else 0.02
    assert (ours.patches - exact.patches).norm() / exact.patches.norm() < limit
    assert (ours.cls - exact.cls).norm() / exact.cls.norm() < 0.02
