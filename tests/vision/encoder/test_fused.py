"""The steps that save passes over memory give what the library's own modules give, and change none of their inputs."""

import pytest
import torch
from open_clip.transformer import QuickGELU
from small_towers import small_visual
from torch import nn

from piaa.vision.towers import build_tower
from piaa.vision.towers.fused import add_linear, add_mlp

ACTIVATIONS = {
    "gelu": nn.GELU(),
    "gelu of tanh": nn.GELU(approximate="tanh"),
    "quick gelu": QuickGELU(),
    "another": nn.Tanh(),
}


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_a_sum_inside_a_product(bias):
    layer = nn.Linear(7, 5, bias=bias)
    residual, inputs = random(2, 4, 5)[:, 1:], random(3, 2, 7).transpose(0, 1)  # neither lies in one piece
    before = residual.clone()
    torch.testing.assert_close(add_linear(residual, layer, inputs), residual + layer(inputs))
    expected = residual + 3 * (layer(inputs) - (layer.bias if bias else 0)) + (layer.bias if bias else 0)
    torch.testing.assert_close(add_linear(residual, layer, inputs, scale=3.0), expected)
    assert torch.equal(residual, before)


@torch.no_grad()
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_mlp_onto_its_residual(name):
    first, second, activation = nn.Linear(5, 20), nn.Linear(20, 5), ACTIVATIONS[name]
    residual, inputs = random(2, 3, 5), 4 * random(2, 3, 5, seed=1)
    before = inputs.clone()
    added = add_mlp(residual, first, activation, second, inputs)
    torch.testing.assert_close(added, residual + second(activation(first(inputs))), rtol=1e-5, atol=1e-5)
    assert torch.equal(inputs, before)


@torch.no_grad()
@pytest.mark.parametrize("act_layer", [nn.GELU, QuickGELU])
@pytest.mark.parametrize("layer_scale", [None, 0.5])
def test_a_finished_block_is_the_librarys(act_layer, layer_scale):
    tower = build_tower(small_visual(act_layer=act_layer, ls_init_value=layer_scale))
    tokens, grid = tower.embed(random(2, 3, 64, 64))
    before = tokens.clone()
    finished = tower.finish_block(4, tokens, tower.qkv(4, tokens, grid))
    torch.testing.assert_close(finished, tower.block(4, tokens, grid), rtol=1e-5, atol=1e-5)
    assert torch.equal(tokens, before)
