"""Tiles and crops encoded anew, and CCD end to end on them: a tiny backbone, tiny pictures, a tiny CLIP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_trained_backbones import BACKBONE, PACE, SIZE, pictures
from torch import Tensor
from torch.nn import functional as F
from training_world import CLASSES, WIDTH, small_material

from piaa.errors import InputError
from piaa.evaluation.metrics import mean_average_precision
from piaa.inputs.items import Item
from piaa.training.backbones import RANDOM, ImageInputs, TrainedNetwork, backbone_preprocess, train_network
from piaa.training.heads import Head
from piaa.training.loop import Place
from piaa.training.maps import MapNetwork, peak_box, peak_means, tile_boxes
from piaa.training.material import Material
from piaa.training.regions import EncodedRegions, PatchRegions
from piaa.training.run import Plan
from piaa.training.spec import read_method
from piaa.vision.preprocess import build_preprocess

pytest.importorskip("lightning_fabric")


class Setup:
    """A stand-in for CLIP: an image's stripes are its classes; counts what it encodes."""

    def __init__(self, prototypes: Tensor) -> None:
        self.preprocess = build_preprocess(SIZE, "shortest", (0.0,) * 3, (1.0,) * 3, "nearest")
        self.model = SimpleNamespace(embed_dim=WIDTH)
        self.prototypes, self.passes = prototypes, 0

    def describe(self) -> dict[str, Any]:
        return {"model": "stripes"}

    def encoder(self) -> Any:
        def encode(images: Tensor) -> Any:
            self.passes += len(images)
            rows = images.mean(dim=(1, 3))  # B x H
            bright = torch.stack([rows[:, 5 * c + 1 : 5 * c + 5].mean(dim=1) for c in range(CLASSES)], dim=1) - 0.15
            return SimpleNamespace(cls=bright @ self.prototypes)

        return encode


def world(images: int = 36, seed: int = 0) -> tuple[Material, Tensor, list[Item], Setup]:
    material, truth = small_material(images, seed)
    setup = Setup(material.prototypes)
    items = pictures(truth)
    return material, truth, items, setup


def train_ccd(folder: Path, place: Place | None = None, recipe: str = "", epochs: int = 5, **options: Any) -> Any:
    material, _, items, setup = world()
    regions = EncodedRegions(setup, items, folder)  # type: ignore[arg-type]
    method = read_method("ccd").on(recipe)
    method = replace(method, update_constants={**method.update_constants, "classes": 2.0})
    plan = Plan(method, pace=replace(PACE, epochs=epochs))
    network, learnt = train_network(
        plan, items, material, None, place, backbone=BACKBONE, weights=RANDOM, size=SIZE, regions=regions, **options
    )
    return network, learnt, setup


def test_ccd_end_to_end_learns_from_crops_and_comes_back(tmp_path: Path) -> None:
    network, learnt, setup = train_ccd(tmp_path, epochs=8)
    assert learnt.run.losses[1] < learnt.run.losses[0]
    assert isinstance(network.network, MapNetwork)
    assert network.network.lift == 0.8
    assert learnt.about["regions"] == "encoded"
    assert setup.passes >= 36  # two classes an image in the mean, in one epoch
    assert setup.passes <= 3 * 36
    _, truth, items, _ = world(24, seed=1)
    scores, _, _ = network.score(items)
    assert mean_average_precision(scores, truth) > 0.5  # chance is about a third
    network.save(tmp_path / "n.safetensors")
    again = TrainedNetwork.load(tmp_path / "n.safetensors")
    torch.testing.assert_close(again.score(items)[0], scores, rtol=0, atol=0)


def test_a_killed_ccd_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, learnt, _ = train_ccd(tmp_path)

    def kill(done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    place = Place(checkpoint=tmp_path / "run.ckpt", resume=True)
    with pytest.raises(KeyboardInterrupt):
        train_ccd(tmp_path, place, progress=kill)
    resumed, after, _ = train_ccd(tmp_path, place)
    for key, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[key], tensor, rtol=0, atol=0, msg=key)
    torch.testing.assert_close(after.run.labels["soft"], learnt.run.labels["soft"], rtol=0, atol=0)
    assert after.run.losses == learnt.run.losses


def test_the_published_search_of_the_cut_is_there_by_name(tmp_path: Path) -> None:
    method = read_method("ccd").on("VOC12,published")
    assert (method.update_constants["cut"], method.update_constants["keep"], method.lift) == ("searched", 0.2, 3.0)
    assert method.constants["least"] == 1.0
    network, _, setup = train_ccd(tmp_path, recipe="published", epochs=3)
    assert network.network.lift == 0.8
    assert setup.passes > 0


def test_a_backbone_without_a_map_is_refused() -> None:
    flat = SimpleNamespace(forward_features=lambda images: torch.zeros(len(images), 5, 8))
    network = MapNetwork(Head(3, 8), torch.nn.Identity())
    network.backbone.forward_features = flat.forward_features  # type: ignore[assignment]
    with pytest.raises(InputError, match="such as resnet50"):
        network(torch.zeros(2, 3, 16, 16))


def test_tiles_are_encoded_once_and_go_on_where_they_were(tmp_path: Path) -> None:
    _, _, items, setup = world(6)
    seen: list[int] = []

    def stop(done: int, total: int | None) -> None:
        seen.append(done)
        if done == 4 and len(seen) == 4:
            raise KeyboardInterrupt

    def regions() -> EncodedRegions:
        return EncodedRegions(setup, items, tmp_path, lambda name: stop)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        regions().tiles(torch.arange(6), 2)
    assert setup.passes == 16
    tiles = regions().tiles(torch.tensor([5, 0]), 2)
    assert tiles.shape == (2, 4, WIDTH)
    assert setup.passes == 24
    regions().tiles(torch.arange(6), 2)
    assert setup.passes == 24
    # the upper left tile is the first 16 rows, squashed back to 32: stripe c is where row 5c / 2 was
    pixels = items[0].load().crop((0, 0, 16, 16)).resize((SIZE, SIZE), 0)
    rows = torch.from_numpy(np.array(pixels)).float().mean(dim=(1, 2)) / 255
    bright = torch.stack([rows[5 * c + 1 : 5 * c + 5].mean() for c in range(CLASSES)]) - 0.15
    torch.testing.assert_close(tiles[1, 0], bright @ setup.prototypes, rtol=1e-2, atol=1e-3)
    (path,) = tmp_path.glob("tiles-*.npy")
    path.write_bytes(b"no array")
    with pytest.raises(InputError, match="damaged tiles"):
        regions().tiles(torch.arange(6), 2)


@pytest.mark.parametrize("name", ["cdul", "aevlp"])
def test_tiles_encoded_anew_decide_the_first_labels(name: str, tmp_path: Path) -> None:
    material, truth, items, setup = world(24)
    found = {}
    for kind in ("patches", "encoded"):
        regions = EncodedRegions(setup, items, tmp_path) if kind == "encoded" else None  # type: ignore[arg-type]
        plan = Plan(read_method(name), pace=replace(PACE, epochs=1))
        _, learnt = train_network(
            plan, items, material, truth if name == "aevlp" else None, backbone=BACKBONE, weights=RANDOM, size=SIZE,
            regions=regions,
        )  # fmt: skip
        (found[kind],) = learnt.run.labels.values()
        assert learnt.about["regions"] == kind
    assert setup.passes == 24 * (9 if name == "cdul" else 16)
    assert not torch.equal(found["patches"], found["encoded"])


def test_the_box_of_a_peak_by_hand() -> None:
    map_ = torch.zeros(4, 4)
    map_[1, 2] = 1.0
    # enlarged eightfold, the peak lies about the centre of the cell: 16..23 across, 8..15 down
    left, top, right, bottom = peak_box(map_, (32, 32), 3)
    assert (left, top) == (19 - 3, 11 - 3)
    assert (right, bottom) == (20 + 3, 12 + 3)
    assert peak_box(torch.zeros(4, 4), (32, 32), 3) == (0, 0, 32, 32)


def test_the_mean_of_a_peak_by_hand() -> None:
    patches = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]]])
    maps = torch.tensor([[[0.0, 1.0, 1.0], [5.0, 0.0, 1.0]]])
    assert peak_means(maps, patches).tolist() == [[[2.0, 3.0], [1.0, 0.0]]]


def test_patches_take_a_backbones_maps_of_another_size() -> None:
    material, _ = small_material(2)
    maps = torch.zeros(2, CLASSES, 8, 8)
    maps[:, 0, 0:2, 0:2] = 1.0  # the first patch of a grid of 4 x 4
    means = PatchRegions(material).peaks(maps, torch.arange(2), torch.ones(2, CLASSES, dtype=torch.bool), 0)
    torch.testing.assert_close(means[:, 0], material.rows(slice(0, 2))[1][:, 0])


def test_tiles_of_a_tiny_image_are_never_empty() -> None:
    assert tile_boxes(7, 5, 2) == [(0, 0, 3, 2), (3, 0, 6, 2), (0, 2, 3, 4), (3, 2, 6, 4)]
    assert all(right > left and bottom > top for left, top, right, bottom in tile_boxes(2, 1, 4))


def test_the_second_view_differs_and_depends_on_its_draw_alone() -> None:
    _, _, items, _ = world(4)
    inputs = ImageInputs(items, backbone_preprocess(SIZE), 8, torch.Generator())
    rows = torch.arange(4)
    first, same, other = (inputs.again(rows, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    torch.testing.assert_close(first, same, rtol=0, atol=0)
    assert float((first - inputs[slice(0, 4)]).abs().mean()) > 0.05
    assert float((first - other).abs().mean()) > 0.05
    assert float(F.mse_loss(first, inputs[slice(0, 4)])) < 4  # the same picture still
