"""TagCLIP against the numbers that its published code gave on the golden tower (reference/README.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from golden import GOLDEN
from safetensors.torch import load_file

from piaa.baselines.tagclip import TAGCLIP_SETTINGS, Stages, tagclip
from piaa.vision.towers import Tower, build_tower, openai_visual

FILE = GOLDEN / "tagclip.safetensors"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="no golden file of TagCLIP")


@pytest.fixture(scope="module")
def tower() -> Tower:
    return build_tower(openai_visual(load_file(GOLDEN / "vit_visual_weights.safetensors")))


@pytest.fixture(scope="module")
def stages(tower: Tower) -> Stages:
    golden = load_file(FILE)
    return tagclip(tower, golden["images"], golden["text"], 20, replace(TAGCLIP_SETTINGS["published"], crop=224))


@pytest.mark.parametrize("name", ["coarse", "affinity", "propagated", "refined", "pooled", "scores"])
def test_each_stage_is_the_published_one(stages: Stages, name: str) -> None:
    theirs = load_file(FILE)[name]
    assert float((getattr(stages, name) - theirs).abs().max() / theirs.abs().max()) <= 1e-3


def test_the_same_classes_are_looked_at_once_more(stages: Stages) -> None:
    assert torch.equal(stages.rechecked, load_file(FILE)["rechecked"].bool())


def test_neither_the_batch_nor_the_crops_beside_it_change_an_image(tower: Tower) -> None:
    golden, settings = load_file(FILE), replace(TAGCLIP_SETTINGS["default"], crop=224)
    whole = tagclip(tower, golden["images"], golden["text"], 20, settings).scores
    for number in range(2):
        alone = tagclip(tower, golden["images"][number : number + 1], golden["text"], 20, settings).scores
        assert torch.allclose(alone[0], whole[number], atol=1e-5)
    one_by_one = tagclip(tower, golden["images"], golden["text"], 20, replace(settings, together=1)).scores
    assert torch.allclose(one_by_one, whole, atol=1e-5)
