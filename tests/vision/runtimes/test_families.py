"""timm's towers as graphs, at a size they were not made for: learnt positions and rotary ones."""

import copy
from functools import partial
from unittest.mock import patch

import pytest
import timm
import torch
from open_clip.timm_model import TimmModel

from piaa.vision.encoder import Encoder
from piaa.vision.models import model_fingerprint
from piaa.vision.runtimes.auto import relative_difference
from piaa.vision.runtimes.build import build_encoder
from piaa.vision.towers import build_tower

TOWERS = {"learnt": ("vit_tiny_patch16_224", 64), "learnt and rotary": ("eva02_tiny_patch14_224", 56)}


@pytest.fixture(scope="module", params=TOWERS)
def tower(request):
    name, size = TOWERS[request.param]
    torch.manual_seed(0)
    with patch.object(timm, "create_model", partial(timm.create_model, depth=3, img_size=size)):
        visual = TimmModel(name, 32, pool="", proj="linear", pretrained=False)
    with torch.no_grad():
        for weight in visual.parameters():
            weight.add_((0.05 if weight.ndim < 2 else 0.02) * torch.randn_like(weight))
    return build_tower(visual.eval())


def wide(tower):
    """Two images, five patches wide and three high."""
    height, width = tower.patch_size
    return torch.randn(2, 3, 3 * height, 5 * width, generator=torch.Generator().manual_seed(1))


def test_fixed_positions_change_nothing(tower):
    images, fixed = wide(tower), copy.deepcopy(tower)
    before = fixed.trunk.pos_embed.shape
    fixed.fix_positions((3, 5))
    assert fixed.trunk.pos_embed.shape != before
    expected, found = Encoder(tower, "sclip")(images), Encoder(fixed, "sclip")(images)
    assert torch.equal(found.cls, expected.cls)
    assert torch.equal(found.patches, expected.patches)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_the_graph_gives_eagers_embeddings(tower, engine, graphs):
    for package in (engine, "onnx", "onnxscript"):
        pytest.importorskip(package)
    images = wide(tower)
    found = build_encoder(Encoder(tower, "itaclip"), engine, model_fingerprint(tower.visual), (0, 0), graphs)(images)
    expected = Encoder(tower, "itaclip")(images)
    assert found.grid == (3, 5)
    assert relative_difference(found.cls, expected.cls) < 1e-5
    assert relative_difference(found.patches, expected.patches) < 1e-5
