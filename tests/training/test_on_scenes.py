"""A method on the embedded benchmark, as table 1 measures it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_world import small_material

from piaa.training import METHODS, evaluate_on_scenes
from piaa.training.on_scenes import Scenes, draw_scenes

pytest.importorskip("lightning_fabric")


def test_a_line_of_table_1_is_trained_and_measured() -> None:
    (train, truth), (test, labels) = small_material(), small_material(40, seed=1)
    scenes = Scenes(train, truth, test, labels)
    found = evaluate_on_scenes("ll-r", 3, scenes=scenes, resamples=50)
    assert (found["row"], found["regime"], found["teacher"], found["images"]) == ("LL-R", "single-positive", "", 40)
    assert found["labels_seen"] == pytest.approx(1 / 6)  # one of six, of every image
    assert found["low"] < found["map"] < found["high"]
    assert found["scores"].shape == labels.shape
    again = evaluate_on_scenes("ll-r", 3, scenes=scenes, resamples=0)
    assert torch.equal(again["scores"], found["scores"])
    assert (again["map"], again["low"]) == (pytest.approx(found["map"]), None)
    other = evaluate_on_scenes("ll-r", 4, scenes=scenes, resamples=0)
    assert not torch.equal(other["scores"], found["scores"])


def test_without_labels_none_is_counted_as_seen() -> None:
    (train, truth), (test, labels) = small_material(48), small_material(20, seed=1)
    assert evaluate_on_scenes("cdul", 0, scenes=Scenes(train, truth, test, labels), resamples=0)["labels_seen"] == 0


def test_the_constants_are_those_of_the_data_set() -> None:
    (train, truth), (test, labels) = small_material(48), small_material(20, seed=1)
    by_name = [
        evaluate_on_scenes("epr", 0, scenes=Scenes(train, truth, test, labels, name), resamples=0)["scores"]
        for name in ("VOC07", "VOC12", "scenes")
    ]
    assert torch.equal(by_name[0], by_name[1])
    assert not torch.equal(by_name[0], by_name[2])


def test_scenes_are_drawn_and_encoded_once(tmp_path: Path) -> None:
    scenes = draw_scenes(5, 12, tmp_path)
    assert scenes is draw_scenes(5, 12, tmp_path)
    assert (len(scenes.train), len(scenes.test), scenes.labels.shape) == (12, 12, (12, 60))
    found = evaluate_on_scenes("bce-ls", 5, scenes=scenes, resamples=0, head="cls")
    assert found["labels_seen"] == 1.0
    assert found["map"] > 0
    assert "bce-ls" in METHODS
