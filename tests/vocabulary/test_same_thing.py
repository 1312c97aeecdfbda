"""`SAME_THING` on real text features of CLIP ViT-L/14, where ../shared/data has them; docs/adaptive.md quotes this."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.nn import functional as F

from piaa.datasets import class_names
from piaa.vocabulary.other import SAME_THING

DATA = Path(os.environ.get("PIAA_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data")
FEATURES = DATA / "clip_text" / "clip_vit_l14_text.safetensors"

pytestmark = pytest.mark.skipif(
    not FEATURES.is_file(), reason=f"{FEATURES} is not there; PIAA_DATA_DIR names the folder"
)


def test_different_things_of_coco_lie_below_it() -> None:
    prompts = F.normalize(load_file(FEATURES)["coco_prompts"].float(), dim=1)
    nearest = float((prompts @ prompts.T).fill_diagonal_(0).max())
    assert nearest == pytest.approx(0.911, abs=0.001)  # bicycle and motorcycle
    assert nearest < SAME_THING


@pytest.mark.parametrize(
    ("word", "same", "cosine"),
    [("boats", "boat", 0.938), ("cars", "car", 0.955), ("birds", "bird", 0.987), ("animal", "cow", 0.905)],
)
def test_one_thing_in_two_words_lies_above_it(word: str, same: str, cosine: float) -> None:
    features = load_file(FEATURES)
    rows = {name: list(class_names(name)) for name in ("nus-wide", "coco")}
    nus = features["nus_prompts"][rows["nus-wide"].index(word)].float()
    coco = features["coco_prompts"][rows["coco"].index(same)].float()
    found = float(F.cosine_similarity(nus, coco, dim=0))
    assert found == pytest.approx(cosine, abs=0.001)
    assert (found >= SAME_THING) == (word != "animal")  # an animal and a cow may be both in a list
