"""The network of SST and SARB against their published one: each module, then one whole step with all its gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from golden_partial import FILE, ours, permutations, relative
from safetensors.torch import load_file
from torch import Tensor, nn

from piaa.training.graph import Decoupled, GraphHead, PairNetwork
from piaa.training.heads import Network, Output
from piaa.training.objectives import Batch, loss_named
from piaa.training.spec import read_method

NAMES = {  # theirs: ours; those with nothing have no effect on their outputs
    "SemanticDecoupling.fc1": "backbone.decouple.image", "SemanticDecoupling.fc2": "backbone.decouple.word",
    "SemanticDecoupling.fc3": "backbone.decouple.joint", "SemanticDecoupling.fc4": "backbone.decouple.score",
    "GraphNeuralNetwork.fc_1_w": "head.graph.heard_update", "GraphNeuralNetwork.fc_1_u": "head.graph.own_update",
    "GraphNeuralNetwork.fc_2_w": "head.graph.heard_reset", "GraphNeuralNetwork.fc_2_u": "head.graph.own_reset",
    "GraphNeuralNetwork.fc_3_w": "head.graph.heard_new", "GraphNeuralNetwork.fc_3_u": "head.graph.own_new",
    "fc": "head.join", "classifiers": "head.classify", "intra_fc_1": "head.pairs.reduce",
    "intra_fc_2": "head.pairs.join", "intra_fc_3": "head.pairs.last", "intra_classifiers": "head.pairs.classify",
}  # fmt: skip
WITHOUT_EFFECT = {"SemanticDecoupling.fc3.bias", "SemanticDecoupling.fc4.bias"}
CLASSES, WIDTH, HIDDEN, STEPS = 5, 12, 7, 3


def named(theirs: str) -> str:
    layer, _, part = theirs.rpartition(".")
    return f"{NAMES[layer]}.{part}" if layer else theirs


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FILE)


def published(golden: dict[str, Tensor], method: str) -> Network:
    pairs = PairNetwork(CLASSES, WIDTH, HIDDEN, WIDTH) if method == "sst" else None
    head = GraphHead(golden["graph"], WIDTH, WIDTH, STEPS, pairs)
    network = Network(head, Decoupled(None, golden["words"], WIDTH, WIDTH, HIDDEN))
    weights = {key.removeprefix(f"{method}.weight."): value for key, value in golden.items() if f"{method}.w" in key}
    own = {named(key): value for key, value in weights.items() if key not in {*WITHOUT_EFFECT, "alpha", "beta"}}
    missing, unknown = network.load_state_dict(own, strict=False)
    assert (sorted(missing), unknown) == (["backbone.words", "head.edges"], [])
    return network


def places(golden: dict[str, Tensor]) -> Tensor:
    return golden["maps"].flatten(2).mT


def test_each_module_gives_the_published_numbers(golden: dict[str, Tensor]) -> None:
    network = published(golden, "sst")
    assert isinstance(network.backbone, Decoupled)
    attention = network.backbone.decouple.attention(places(golden), golden["words"])
    assert relative(attention, golden["attention"].flatten(1, 2)) <= 1e-5
    features = network.backbone(places(golden))
    assert relative(features, golden["decoupled"]) <= 1e-5
    assert relative(network.head.graph(features, golden["graph"]), golden["graph_out"]) <= 1e-5
    assert relative(network.head(features), golden["sst.logits"]) <= 1e-5
    assert relative(network.head.pairs(features), golden["sst.pairs"]) <= 1e-5


def batch_of(golden: dict[str, Tensor], network: Network, state: dict[str, Tensor], method: str) -> Batch:
    observed = ours(golden["target"]).to(torch.int8)
    draws: Callable[..., Tensor] = lambda *shape: (  # noqa: E731
        golden["sarb.draws"] if len(shape) == 2 else (golden["sarb.number"] + 0.5) / 3
    )

    class Told(Batch):
        permute = staticmethod(permutations(golden, method))
        draw = staticmethod(draws)

    return Told(torch.arange(len(observed)), observed, state, network.head, torch.Generator(), network.head.pairs)


CASES = {
    "sst": ({"pseudo": 1.0, "together": 10.0, "alike": 0.05, "margin_within": 0.55, "margin_across": 0.2}, "sst"),
    "sarb": ({"mix": 1.0, "alike": 0.05}, "sarb"),
}


@pytest.mark.parametrize("method", CASES)
def test_one_step_of_a_method_has_the_published_loss_and_gradients(golden: dict[str, Tensor], method: str) -> None:
    network, spec = published(golden, method), read_method(method)
    learnt = {name: golden[f"sarb.weight.{name}"].clone().requires_grad_() for name in ("alpha", "beta")}
    filled = torch.ones(CLASSES)
    state = {"kept": golden["sst.kept_before"], "prototypes": golden["sarb.prototypes"], "filled": filled, **learnt}
    output = Output(*network(places(golden)))
    assert relative(output.logits, golden[f"{method}.logits"]) <= 1e-5
    constants = {k: v for k, v in spec.constants.items() if not isinstance(v, dict)} | CASES[method][0]
    loss = loss_named(spec.loss)(output, batch_of(golden, network, state, method), **constants)
    loss.backward()
    assert relative(loss.detach(), golden[f"{method}.loss.total"]) <= 1e-5
    parameters: dict[str, nn.Parameter | Tensor] = dict(network.named_parameters()) | learnt
    compared = 0
    for key, theirs in golden.items():
        if not key.startswith(f"{method}.grad."):
            continue
        name = key.removeprefix(f"{method}.grad.")
        if name in WITHOUT_EFFECT:
            assert theirs.abs().max() < 1e-6
            continue
        gradient = parameters[named(name)].grad
        assert gradient is not None, name
        assert relative(gradient, theirs) <= 1e-4, name
        compared += 1
    assert compared == {"sst": 28, "sarb": 22}[method]
