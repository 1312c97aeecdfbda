"""The golden numbers of the published front-ends (reference/README.md): same inputs in, same numbers out."""

import os
from pathlib import Path

import pytest
from safetensors.torch import load_file

from piaa.encoder import Encoder
from piaa.front_ends import FRONT_ENDS
from piaa.towers import build_tower, openai_visual

ROOT = Path(__file__).parents[2]
GOLDEN = Path(os.environ.get("PIAA_GOLDEN") or ROOT.parent / "shared" / "reference")
WEIGHTS, NUMBERS = GOLDEN / "vit_visual_weights.safetensors", GOLDEN / "vit_front_ends.safetensors"
KEYS = {name: f"patches_{name.replace('-', '')}" for name in ("clip", "sclip", "itaclip", "sc-clip")}

pytestmark = pytest.mark.skipif(
    not (WEIGHTS.is_file() and NUMBERS.is_file()), reason=f"no vit_*.safetensors pair in {GOLDEN}"
)


@pytest.fixture(scope="module")
def golden():
    return load_file(NUMBERS)


@pytest.fixture(scope="module")
def tower():
    return build_tower(openai_visual(load_file(WEIGHTS)))


def centred_error(ours, theirs):
    """Relative error after taking out the mean over patches, which hides differences; the worst image's."""
    ours, theirs = (x - x.mean(dim=1, keepdim=True) for x in (ours, theirs))
    return ((ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1)).max().item()


def test_every_front_end_has_a_golden_number():
    assert set(KEYS) == set(FRONT_ENDS)


@pytest.mark.parametrize("name", KEYS)
def test_patches_equal_the_published_ones(tower, golden, name):
    encoded = Encoder(tower, name)(golden["images"])
    assert encoded.patches.shape == golden[KEYS[name]].shape
    assert centred_error(encoded.patches, golden[KEYS[name]]) <= 1e-4


@pytest.mark.parametrize("name", KEYS)
def test_cls_equals_the_published_one_beside_every_front_end(tower, golden, name):
    cls = Encoder(tower, name)(golden["images"]).cls
    error = (cls - golden["cls"]).norm(dim=1) / golden["cls"].norm(dim=1)
    assert error.max() <= 1e-5
