"""End to end with a tiny timm network: it learns, resumes to the same weights, comes back, and is exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_world import small_material

from piaa.errors import InputError, ModelError
from piaa.inputs.items import Item
from piaa.method.thresholds import learn_thresholds
from piaa.training import backbones
from piaa.training.backbones import (
    ImageInputs,
    TrainedNetwork,
    backbone_preprocess,
    backbone_width,
    load_backbone,
    train_network,
)
from piaa.training.devices import write_int8
from piaa.training.loop import Place
from piaa.training.material import Material
from piaa.training.run import Plan
from piaa.training.scratch import RANDOM, moved, pace_of
from piaa.training.spec import Pace, read_method

pytest.importorskip("lightning_fabric")
BACKBONE, SIZE = "test_resnet", 32
PACE = Pace(epochs=3, rate=2e-3, batch=12, head=10)


def pictures(truth: torch.Tensor) -> list[Item]:
    """Each class is a bright stripe in one of six places."""
    items = []
    for number, row in enumerate(truth):
        pixels = np.full((SIZE, SIZE, 3), 40, dtype=np.uint8)
        for c in row.nonzero().squeeze(1).tolist():
            pixels[5 * c + 1 : 5 * c + 5] = 230
        items.append(Item(f"{number}.png", pixels))
    return items


def trained(
    name: str = "bce-ls", place: Place | None = None, images: int = 36, **options: Any
) -> tuple[Any, Any, Material]:
    material, truth = small_material(images)
    plan = Plan(read_method(name), pace=PACE, **options.pop("plan", {}))
    network, learnt = train_network(
        plan,
        pictures(truth),
        material,
        options.pop("truth", truth),
        place,
        backbone=BACKBONE,
        weights=RANDOM,
        size=SIZE,
        **options,
    )
    return network, learnt, material


def test_a_backbone_learns_and_comes_back(tmp_path: Path) -> None:
    network, learnt, _ = trained()
    assert learnt.run.losses[-1] < learnt.run.losses[0]
    network.save(tmp_path / "n.safetensors")
    again = TrainedNetwork.load(tmp_path / "n.safetensors")
    assert again.settings["weights"] == RANDOM
    items = pictures(small_material(5, seed=1)[1])
    broken = [*items[:2], Item("broken.png", b"no image"), *items[2:]]
    scores, rows, failed = again.score(broken, batch=3)
    assert rows == [0, 1, 3, 4, 5]
    assert [name for name, _ in failed] == ["broken.png"]
    torch.testing.assert_close(scores, network.score(items)[0])


def test_a_killed_run_of_a_backbone_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, _, _ = trained("role")

    def kill(done: int, total: int | None) -> None:
        if done == 1:
            raise KeyboardInterrupt

    place = Place(checkpoint=tmp_path / "run.ckpt", resume=True)
    with pytest.raises(KeyboardInterrupt):
        trained("role", place, progress=kill)
    resumed, _, _ = trained("role", place)
    for key, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[key], tensor, msg=key)


def test_what_cannot_be_trained_end_to_end_is_said() -> None:
    with pytest.raises(InputError, match="test-map"):
        trained(plan={"choose": "test-map"})
    with pytest.raises(ModelError, match="cannot be had"):
        load_backbone("resnet5000", RANDOM)


def test_the_export_gives_the_same_probabilities(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network, _, _ = trained(images=12)
    network.export_onnx(tmp_path / "n.onnx")
    session = runtime.InferenceSession(str(tmp_path / "n.onnx"), providers=["CPUExecutionProvider"])
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    (given,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = torch.sigmoid(network.network.eval()(images)[0])
    torch.testing.assert_close(torch.from_numpy(given), expected, rtol=1e-4, atol=1e-5)


def test_eight_bits_are_near_and_small_and_say_the_same(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network, _, _ = trained("distil", plan={"pseudo_labels": "piaa"}, truth=None)
    network.export_onnx(tmp_path / "n.onnx")
    items = pictures(small_material(36)[1])
    preprocess = backbone_preprocess(SIZE)
    images = torch.stack([preprocess(item.load()) for item in items])
    write_int8(tmp_path / "n.onnx", tmp_path / "n8.onnx", images, batch=8)
    plain, whole = (
        runtime.InferenceSession(str(tmp_path / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        for name in ("n", "n8")
    )
    expected, given = (session.run(None, {"images": images.numpy()})[0] for session in (plain, whole))
    assert np.abs(given - expected).max() < 0.05
    assert not np.array_equal(given, expected)
    assert (tmp_path / "n8.onnx").stat().st_size < 0.4 * (tmp_path / "n.onnx").stat().st_size
    about, same = (json.loads(session.get_modelmeta().custom_metadata_map["piaa"]) for session in (plain, whole))
    assert about == same
    assert about["labels"] == network.names
    assert about["thresholds"] == pytest.approx(network.thresholds.values.tolist())
    assert about["size"] == SIZE


def test_a_network_that_piaa_taught_has_thresholds_and_keeps_them(tmp_path: Path) -> None:
    network, _, _ = trained("distil", plan={"pseudo_labels": "piaa"}, truth=None)
    network.save(tmp_path / "n.safetensors")
    again = TrainedNetwork.load(tmp_path / "n.safetensors")
    scores, _, _ = again.score(pictures(small_material(36)[1]))
    wanted = learn_thresholds(scores.numpy())
    assert again.thresholds is not None
    np.testing.assert_allclose(again.thresholds.values, wanted.values, rtol=1e-4)
    assert trained()[0].thresholds is None


def test_images_are_moved_within_bounds_and_by_the_seed() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8).expand(50, 3, 8, 8)
    moved_ones = moved(image, 2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(moved_ones, moved(image, 2, torch.Generator().manual_seed(0)))
    corners = {int(one[0, 4, 4] - image[0, 0, 4, 4]) for one in moved_ones}  # 8 a row down, 1 a column
    assert corners <= {8 * down + right for down in range(-2, 3) for right in range(-2, 3)}
    assert len(corners) > 10


def test_images_are_decoded_once_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    items, preprocess = pictures(small_material(6)[1]), backbone_preprocess(SIZE)
    kept = ImageInputs(items, preprocess, 8)
    monkeypatch.setattr(backbones, "MOST_BYTES", 100)
    anew = ImageInputs(items, preprocess, 8)
    rows = torch.tensor([4, 1, 4])
    torch.testing.assert_close(kept[rows], anew[rows], atol=2e-3, rtol=0)
    torch.testing.assert_close(kept[1:5], anew[1:5], atol=2e-3, rtol=0)
    monkeypatch.setattr(Item, "load", None)
    assert kept[rows].shape == (3, 3, SIZE, SIZE)  # from memory
    with pytest.raises(TypeError):
        anew[rows]


def test_random_weights_have_a_pace_of_their_own_that_falls() -> None:
    method = read_method("gr")
    assert pace_of(method, "imagenet") is method.published
    pace = pace_of(method, RANDOM)
    assert pace.rate > 100 * method.published.rate
    shares = [pace.share(epoch) for epoch in range(pace.epochs)]
    assert (shares[0], shares[-1]) == (1.0, pytest.approx(pace.last))
    assert shares == sorted(shares, reverse=True)
    assert {PACE.share(epoch) for epoch in range(3)} == {1.0}


def test_a_head_is_as_wide_as_what_the_network_gives() -> None:
    """MobileNetV3 has a layer behind what timm counts as its features."""
    network = load_backbone("mobilenetv3_small_050", RANDOM).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape[1] == backbone_width(network) != network.num_features
