"""Stored embeddings: the same as fresh ones, whole or not at all, resumed where they were left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from piaa.engine import Setup
from piaa.errors import InputError
from piaa.experiments.features import FeatureStore
from piaa.inputs.items import Item, iterate
from piaa.scenes.folders import write_scene_folder
from piaa.vision.encoder import Encoder
from piaa.vision.models import load_model


@pytest.fixture(scope="module")
def setup() -> Setup:
    model = load_model(device="cpu")
    return Setup(model, "sclip", model.preprocess(), 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    write_scene_folder(root, 3, "test", 10)
    return root


@pytest.fixture
def items(folder: Path) -> list[Item]:
    return list(iterate(folder))


def fresh(setup: Setup, items: list[Item]) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.stack([setup.preprocess(item.load()) for item in items])
    encoded = Encoder(setup.model.tower, setup.front_end)(images)
    return encoded.cls, encoded.patches


def test_they_are_the_encoders_own(setup: Setup, items: list[Item], tmp_path: Path) -> None:
    features = FeatureStore(tmp_path).get(setup, items)
    cls, patches = fresh(setup, items)
    assert features.ids == [item.id for item in items]
    torch.testing.assert_close(torch.tensor(features.cls).float(), cls, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(torch.tensor(features.patches).float(), patches, rtol=1e-3, atol=1e-3)
    parts = [(encoded.cls, indices) for encoded, indices in features.batches(3)]
    assert [len(indices) for _, indices in parts] == [3, 3, 3, 1]
    assert torch.equal(torch.cat([part for part, _ in parts]), torch.tensor(features.cls).float())
    assert 0 < features.encoder_seconds <= features.seconds


def test_the_second_time_nothing_is_encoded(setup: Setup, items: list[Item], tmp_path: Path) -> None:
    first = FeatureStore(tmp_path).get(setup, items)
    again = FeatureStore(tmp_path).get(setup, items, progress=lambda done, total: pytest.fail("it encoded once more"))
    assert np.array_equal(first.patches, again.patches)
    other = Setup(setup.model, "clip", setup.preprocess, 4)
    store = FeatureStore(tmp_path)
    assert store.path(other, items) != store.path(setup, items) != store.path(setup, items[1:])


def test_a_killed_run_goes_on_where_it_was(setup: Setup, items: list[Item], tmp_path: Path) -> None:
    whole = FeatureStore(tmp_path / "whole").get(setup, items)
    store = FeatureStore(tmp_path / "killed")

    def kill(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get(setup, items, kill)
    assert not store.path(setup, items).exists()
    seen: list[int] = []
    resumed = store.get(setup, items, lambda done, total: seen.append(done))
    assert seen == [8, 10]
    assert np.array_equal(resumed.patches, whole.patches)
    assert np.array_equal(resumed.cls, whole.cls)


def test_images_that_cannot_be_read_leave_no_row(setup: Setup, items: list[Item], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    mixed = [items[0], Item(str(bad), bad), items[1]]
    features = FeatureStore(tmp_path / "store").get(setup, mixed)
    assert (features.ids, features.indices) == ([items[0].id, items[1].id], [0, 2])
    assert [path for path, _ in features.failed] == [str(bad)]
    alone = FeatureStore(tmp_path / "store").get(setup, items[:2])
    assert np.array_equal(features.patches, alone.patches)
    with pytest.raises(InputError, match="none of the 1 images can be read"):
        FeatureStore(tmp_path / "store").get(setup, [mixed[1]])


def test_a_changed_byte_is_found(setup: Setup, items: list[Item], tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.get(setup, items)
    path = store.path(setup, items)
    store.verify(path)
    content = bytearray((path / "patches.npy").read_bytes())
    content[-1] ^= 1
    (path / "patches.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"patches\.npy: its checksum is wrong; delete the folder"):
        store.verify(path)
    with pytest.raises(InputError, match=r"patches\.npy: its checksum is wrong"):
        FeatureStore(tmp_path, verify=True).get(setup, items)
    store.get(setup, items)
    (path / "patches.npy").write_bytes(content[:50])
    with pytest.raises(InputError, match="damaged embeddings"):
        store.get(setup, items)


def test_the_estimate_is_the_size_on_disk(setup: Setup, items: list[Item], tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.get(setup, items)
    stored = sum((store.path(setup, items) / name).stat().st_size - 128 for name in ("cls.npy", "patches.npy"))
    assert store.estimate(setup, len(items)) == stored
    assert json.loads((store.path(setup, items) / "features.json").read_text())["grid"] == [12, 12]


def test_a_disk_that_is_too_small_is_said_before_anything_runs(
    setup: Setup, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FeatureStore, "estimate", lambda self, setup, images: 2**60)
    with pytest.raises(InputError, match=r"embeddings of 10 images take .* GiB.*--features"):
        FeatureStore(tmp_path).get(setup, items)
