"""The adapter's parts put together are the library's own tower."""

import pytest
import torch
from open_clip.model import resize_pos_embed
from small_towers import small_visual
from torch.nn import functional as F

from piaa.errors import InputError, ModelError
from piaa.vision.encoder import Encoder
from piaa.vision.towers import build_tower, openai_visual

IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def error(ours, theirs):
    return ((ours - theirs).norm() / theirs.norm()).item()


@torch.no_grad()
def test_cls_is_the_towers_own_output(visual):
    assert error(Encoder(build_tower(visual), "clip")(IMAGES).cls, visual(IMAGES)) < 1e-5


@torch.no_grad()
def test_plain_patches_are_the_towers_own_tokens(visual):
    states = visual.forward_intermediates(IMAGES, indices=1, output_fmt="NLC", intermediates_only=True)
    expected = visual.ln_post(states["image_intermediates"][-1]) @ visual.proj
    assert error(Encoder(build_tower(visual), "clip")(IMAGES).patches, expected) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("index", [0, 7, 11])
def test_a_block_is_the_sum_of_its_parts(visual, index):
    tower = build_tower(visual)
    tokens, grid = tower.embed(IMAGES)
    q, k, v = tower.qkv(index, tokens, grid)
    middle = tokens + tower.attention_out(index, F.scaled_dot_product_attention(q, k, v))
    assert error(middle + tower.mlp(index, middle), tower.block(index, tokens, grid)) < 1e-5


@torch.no_grad()
def test_patches_alone_have_the_queries_they_have_beside_cls(tower):
    tokens, grid = tower.embed(IMAGES)
    for whole, alone in zip(tower.qkv(3, tokens, grid), tower.qkv(3, tokens[:, 1:], grid), strict=True):
        torch.testing.assert_close(whole[:, :, 1:], alone)


def test_facts(tower):
    facts = (tower.depth, tower.width, tower.heads, tower.patch_size, tower.prefix_tokens, tower.embed_dim)
    assert facts == (12, 64, 4, (16, 16), 1, 32)
    assert tower.image_size == (64, 64)


@torch.no_grad()
@pytest.mark.parametrize("size", [(96, 96), (32, 32), (48, 80)])
def test_positions_at_another_size_are_open_clips(size):
    """A tower built for that size, with open_clip's own resizing of the positions, gives the same."""
    small = small_visual()
    resized = small_visual(image_size=size)
    state = {f"visual.{key}": value for key, value in small.state_dict().items()}
    resize_pos_embed(state, torch.nn.ModuleDict({"visual": resized}))
    resized.load_state_dict({key[7:]: value for key, value in state.items()})
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
    encoded = Encoder(build_tower(small), "clip")(images)
    assert encoded.grid == (size[0] // 16, size[1] // 16)
    assert error(encoded.cls, resized(images)) < 1e-5


@pytest.mark.parametrize("shape", [(2, 3, 64, 65), (2, 3, 70, 64), (2, 3, 8, 8), (3, 64, 64), (2, 1, 64, 64)])
def test_a_size_that_does_not_fit_the_patch_is_said(tower, shape):
    with pytest.raises(InputError, match=r"multiple of the model's patch|N x 3 x H x W"):
        tower.embed(torch.zeros(shape))


def test_openai_layout_round_trip():
    state = small_visual(act_layer=torch.nn.GELU).state_dict()
    visual = openai_visual({f"visual.{key}": value for key, value in state.items()} | {"logit_scale": torch.ones(())})
    assert build_tower(visual).heads == 1  # heads of 64, as OpenAI's
    assert all(torch.equal(value, state[key]) for key, value in visual.state_dict().items())


def test_openai_layout_without_a_weight_is_refused():
    state = small_visual().state_dict()
    del state["proj"]
    with pytest.raises(ModelError, match="proj"):
        openai_visual(state)
    state = small_visual().state_dict()
    del state["ln_post.bias"]
    with pytest.raises(ModelError, match=r"ln_post\.bias"):
        openai_visual(state)


def test_towers_that_cannot_work_are_named():
    with pytest.raises(ModelError, match="Conv2d"):
        build_tower(torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(ModelError, match="attentional pooling"):
        build_tower(small_visual(attentional_pool=True, attn_pooler_heads=4))
    with pytest.raises(ModelError, match="CustomResidualAttentionBlock"):
        build_tower(small_visual(qk_norm=True))


@torch.no_grad()
def test_parts_of_qkv_are_those_of_the_whole(visual):
    tower = build_tower(visual)
    tokens, grid = tower.embed(IMAGES)
    q, k, v = tower.qkv(5, tokens, grid)
    for whole, part in zip((k, v), tower.keys_values(5, tokens, grid), strict=True):
        torch.testing.assert_close(part, whole)
    expected = F.scaled_dot_product_attention(q, k, v)[:, :, :1]
    torch.testing.assert_close(tower.cls_attention(5, tokens, grid), expected)
