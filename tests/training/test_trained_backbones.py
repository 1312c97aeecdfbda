"""End to end with a tiny timm network: it learns, resumes to the same weights, comes back, and is exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_world import small_material

from piaa.errors import InputError, ModelError
from piaa.inputs.items import Item
from piaa.training.backbones import RANDOM, TrainedNetwork, load_backbone, train_network
from piaa.training.loop import Place
from piaa.training.material import Material
from piaa.training.run import Plan
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
        plan, pictures(truth), material, truth, place, backbone=BACKBONE, weights=RANDOM, size=SIZE, **options
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
