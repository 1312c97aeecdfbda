"""SST and SARB as whole methods: end to end with a tiny network, resumed, told apart by what is seen alone, kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_world import CLASSES, WIDTH, small_material

from piaa.errors import InputError
from piaa.inputs.items import Item
from piaa.training.backbones import RANDOM, TrainedNetwork, train_network
from piaa.training.graph import SemanticDecoupling
from piaa.training.labels import means_of
from piaa.training.loop import Place
from piaa.training.networks import begin_network
from piaa.training.objectives import Batch
from piaa.training.places import Places
from piaa.training.regimes import observe
from piaa.training.run import Outcome, Plan, scores_of, train
from piaa.training.spec import END_TO_END, Method, Pace, read_method
from piaa.training.trained import PATCHES, TrainedHead

pytest.importorskip("lightning_fabric")
SIZE, BOTH = 64, ("sst", "sarb")
PACE = Pace(epochs=6, rate=3e-3, batch=12, decay=5e-4, drop=5)


def small(name: str) -> Method:
    """The method with a network of few numbers, and with pseudo-labels and mixing from the second epoch on."""
    method = read_method(name)
    sizes = {**method.network["published"], "width": 16, "hidden": 8, "out": 16}
    early = {"pseudo": 1.0, "margin_within": 0.6, "margin_across": 0.6} if name == "sst" else {"mix": 1.0}
    first = {"first": 1} if name == "sarb" else {}
    recipe = {END_TO_END: {"constants": early, "update_constants": first}}
    return replace(method, network={**method.network, "published": sizes}, recipes=recipe)


def pictures(truth: Tensor) -> list[Item]:
    """Each class is a bright stripe in one of six places."""
    items = []
    for number, row in enumerate(truth):
        pixels = np.full((SIZE, SIZE, 3), 40, dtype=np.uint8)
        for c in row.nonzero().squeeze(1).tolist():
            pixels[10 * c + 2 : 10 * c + 10] = 230
        items.append(Item(f"{number}.png", pixels))
    return items


def end_to_end(name: str, place: Place | None = None, **options: Any) -> tuple[TrainedNetwork, Any]:
    material, truth = small_material(36)
    plan = Plan(small(name), regime="full", pace=PACE)
    return train_network(
        plan, pictures(truth), material, truth, place, backbone="test_resnet", weights=RANDOM, size=SIZE, **options
    )


@pytest.mark.parametrize("name", BOTH)
def test_a_backbone_learns_resumes_and_comes_back(name: str, tmp_path: Path) -> None:
    whole, learnt = end_to_end(name)
    assert learnt.run.losses[-1] < learnt.run.losses[1]  # the first epoch lacks a part of the loss

    def kill(done: int, total: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    place = Place(checkpoint=tmp_path / "run.ckpt", resume=True)
    with pytest.raises(KeyboardInterrupt):
        end_to_end(name, place, progress=kill)
    resumed, again = end_to_end(name, place)
    assert again.run.losses == learnt.run.losses
    for key, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[key], tensor, rtol=0, atol=0, msg=key)
    whole.save(tmp_path / "n.safetensors")
    loaded = TrainedNetwork.load(tmp_path / "n.safetensors")
    items = pictures(small_material(5, seed=1)[1])
    torch.testing.assert_close(loaded.score(items, batch=2)[0], whole.score(items)[0])


def test_of_a_resnet_the_last_stage_alone_learns() -> None:
    import timm

    backbone = timm.create_model("test_resnet", pretrained=False, num_classes=0)
    places = Places(backbone).train()
    learning = {name.partition(".")[0] for name, p in backbone.named_parameters() if p.requires_grad}
    assert learning == {"layer4"}
    assert backbone.layer4.training
    assert not backbone.layer1.training
    before = backbone.bn1.running_mean.clone()
    seen = places(torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))
    assert seen.shape == (2, 4, backbone.num_features)
    assert torch.equal(backbone.bn1.running_mean, before)


def test_places_of_a_transformer_leave_out_its_first_tokens() -> None:
    import timm

    backbone = timm.create_model("test_vit", pretrained=False, num_classes=0)
    side = backbone.patch_embed.img_size[0]
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    seen = Places(backbone)(images)
    assert seen.shape == (1, backbone.patch_embed.num_patches, backbone.num_features)
    torch.testing.assert_close(seen, backbone.forward_features(images)[:, backbone.num_prefix_tokens :])


@pytest.mark.parametrize("name", BOTH)
def test_hidden_labels_change_nothing(name: str) -> None:
    material, truth = small_material(32)
    plan = Plan(read_method(name), pace=Pace(4, 0.005, 16))
    hidden = observe("partial", truth, plan.seed) == -1
    first, second = (train(plan, material, labels) for labels in (truth, torch.where(hidden, 1 - truth, truth)))
    assert torch.equal(first.observed, second.observed)
    assert first.run.losses == second.run.losses
    weights = second.run.network.state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in first.run.network.state_dict().items())


@pytest.mark.parametrize("name", BOTH)
def test_a_graph_head_is_kept_whole_and_knows_no_batch(name: str, tmp_path: Path) -> None:
    (material, truth), (test, _) = small_material(32), small_material(7, seed=1)
    trained = train(Plan(read_method(name), pace=Pace(4, 0.005, 16)), material, truth).trained
    assert trained.features == PATCHES
    trained.save(tmp_path / "head")
    again = TrainedHead.load(tmp_path / "head")
    scores = scores_of(trained, test)
    assert torch.equal(scores_of(again, test), scores)
    alone = torch.cat([again.score(*test.rows([row])) for row in range(len(test))])
    torch.testing.assert_close(alone, scores)


@pytest.mark.parametrize("name", BOTH)
def test_mixed_precision_trains_the_same_in_the_main(name: str) -> None:
    material, truth = small_material(32)
    plan = Plan(read_method(name), pace=Pace(4, 0.002, 16))
    exact, mixed = (train(plan, material, truth, Place(precision=p)).run for p in ("32-true", "bf16-mixed"))
    assert next(mixed.network.parameters()).dtype == torch.float32
    assert mixed.losses != exact.losses
    assert mixed.losses == pytest.approx(exact.losses, rel=0.1)


def with_words(words: Tensor | None) -> Outcome:
    material, truth = small_material(24)
    return train(Plan(read_method("sarb"), pace=Pace(1, 0.005, 12), words=words), material, truth)


def test_class_embeddings_of_ones_own_take_the_place_of_the_texts() -> None:
    words = torch.randn(CLASSES, 7, generator=torch.Generator().manual_seed(0))
    own, text = with_words(words), with_words(None)
    assert own.run.network.sizes["words"] == 7
    assert torch.equal(own.run.network.backbone.words, words)
    assert text.run.network.sizes["words"] == WIDTH
    assert own.run.losses != text.run.losses


@pytest.mark.parametrize(("width", "hidden"), [(WIDTH, WIDTH), (16, 12)])
def test_on_stored_embeddings_places_are_first_weighted_by_likeness(width: int, hidden: int) -> None:
    """The network begins with the attention of the head `class-wise`, or near it where it is narrower."""
    material, _ = small_material(8)
    words = WIDTH**0.5 * material.prototypes
    method = read_method("sarb")
    sizes = {**method.network["frozen"], "width": width, "hidden": hidden}
    network = begin_network(replace(method, network={"frozen": sizes}), torch.eye(CLASSES), words, WIDTH, None, 0)
    patches = torch.nn.functional.normalize(material.rows(slice(0, 8))[1], dim=-1)
    below = network.backbone
    projected = WIDTH**0.5 * patches if below.project is None else below.project(WIDTH**0.5 * patches)
    decouple = below.decouple
    assert isinstance(decouple, SemanticDecoupling)
    ours = decouple.attention(projected, words)
    wanted = torch.softmax(20 * patches @ material.prototypes.T, dim=1)
    together = torch.corrcoef(torch.stack([ours.flatten(), wanted.flatten()]))[0, 1]
    assert together > 0.9


def test_means_are_the_centres_or_what_there_is() -> None:
    near = torch.tensor([[0.0], [0.2], [10.0], [10.2]])
    assert sorted(means_of(near, 2, 0).flatten().tolist()) == pytest.approx([0.1, 10.1])
    assert means_of(near[:2], 3, 0).flatten().tolist() == pytest.approx([0, 0.2, 0])


def test_a_loss_of_pairs_needs_a_network_of_pairs() -> None:
    batch = Batch(torch.arange(1), torch.ones(1, 2), {}, lambda features: features, torch.Generator())
    with pytest.raises(InputError, match="network with pairs"):
        batch.pairs_of(torch.ones(1, 2, 3))
