"""What SST and SARB compute of partial labels, against the numbers of their published code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from golden_partial import FILE, ours, permutations, relative
from safetensors.torch import load_file
from torch import Tensor

from piaa.baselines import partial_labels as parts
from piaa.training.labels import means_of
from piaa.training.objectives import masked_bce


@pytest.fixture(scope="module")
def golden() -> Iterator[dict[str, Tensor]]:
    yield load_file(FILE)


def test_statistics_of_the_graph_are_the_published_ones(golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(parts.conditional_frequencies(ours(golden["target"])), golden["graph"])
    theirs = golden["graph_gap"]  # class 3 is seen nowhere: its row is 0 / 0 there
    assert theirs.isnan().any(dim=1).tolist() == [False, False, False, True, False]
    torch.testing.assert_close(parts.conditional_frequencies(ours(golden["target_gap"])), theirs.nan_to_num())


def test_cross_entropy_of_known_labels(golden: dict[str, Tensor]) -> None:
    observed, logits = ours(golden["target"]), golden["loss.logits"].clone().requires_grad_()
    loss = masked_bce(logits, (observed == 1).float(), observed != -1)
    loss.backward()
    assert logits.grad is not None
    assert relative(loss.detach(), golden["loss.known"]) <= 1e-6
    assert relative(logits.grad, golden["loss.known.grad"]) <= 1e-6


def test_loss_of_pairs_has_a_gradient_in_its_focus(golden: dict[str, Tensor]) -> None:
    logits = golden["loss.pair_logits"].clone().requires_grad_()
    loss = parts.pair_asl(logits, ours(golden["target"]))
    loss.backward()
    assert logits.grad is not None
    assert relative(loss.detach(), golden["loss.pair"]) <= 1e-6
    assert relative(logits.grad, golden["loss.pair.grad"]) <= 1e-6


@pytest.mark.parametrize("case", ["dense", "few_positive", "no_positive"])
def test_contrastive_loss_and_gradient(golden: dict[str, Tensor], case: str) -> None:
    features = golden[f"contrast.{case}.features"].clone().requires_grad_()
    observed = ours(golden[f"contrast.{case}.target"])
    loss = parts.contrastive(features, observed, permutations(golden, f"contrast.{case}"))
    loss.backward()
    assert features.grad is not None
    assert relative(loss.detach(), golden[f"contrast.{case}.loss"]) <= 1e-6
    assert relative(features.grad, golden[f"contrast.{case}.grad"]) <= 1e-5


def test_without_any_known_pair_the_published_contrastive_loss_is_no_number(golden: dict[str, Tensor]) -> None:
    assert golden["contrast.unknown.loss"].isnan().all()
    features = golden["contrast.unknown.features"].clone().requires_grad_()
    loss = parts.contrastive(features, ours(golden["contrast.unknown.target"]), torch.randperm)
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_examples_and_pseudo_labels(golden: dict[str, Tensor]) -> None:
    observed, features = ours(golden["target"]), golden["decoupled"]
    within, across = golden["sst.margins"].tolist()
    kept = parts.examples_with(golden["sst.kept_before"], features, observed)
    torch.testing.assert_close(kept, golden["sst.kept_after"], rtol=0, atol=0)
    near = parts.within_image(torch.sigmoid(golden["sst.pairs"]), observed, within)
    assert torch.equal(near, ours(golden["sst.intra"]))
    assert 0 < (near != observed).sum() < (observed == -1).sum()
    alike = parts.across_images(features, kept, observed, across)
    assert torch.equal(alike, ours(golden["sst.inter"]))
    assert 0 < (alike != observed).sum() < (observed == -1).sum()


def test_mixed_targets_of_sarb(golden: dict[str, Tensor]) -> None:
    observed, features = ours(golden["target"]), golden["sarb.features"]
    alpha, beta = golden["sarb.weight.alpha"], golden["sarb.weight.beta"]
    _, target = parts.mix_images(features, observed, alpha)
    torch.testing.assert_close(target, ours(golden["sarb.instance_target"]))
    chosen = golden["sarb.prototypes"][:, int(golden["sarb.number"])]
    _, target = parts.mix_prototypes(features, observed, chosen, beta, golden["sarb.draws"])
    torch.testing.assert_close(target, ours(golden["sarb.prototype_target"]))


def test_prototypes_are_the_published_centres(golden: dict[str, Tensor]) -> None:
    """Three far clusters, so that where k-means starts has no effect; their order has no meaning."""
    features = golden["kmeans.features"]
    for theirs in golden["kmeans.prototypes"]:
        ours_sorted, theirs_sorted = (x[x[:, 0].argsort()] for x in (means_of(features, 3, 0), theirs))
        torch.testing.assert_close(ours_sorted, theirs_sorted, rtol=1e-4, atol=1e-4)
