"""Which network a method trains: linear classifiers alone, or the graph network of SST and SARB."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from piaa.training.graph import Decoupled, GraphHead, PairNetwork, begin_at_likeness
from piaa.training.heads import Head, Network
from piaa.training.maps import MapNetwork
from piaa.training.spec import Method


@dataclass(frozen=True)
class GraphSizes:
    """Numbers that say what a graph network is made of.

    Attributes:
        classes: C.
        words: e, of a class embedding.
        source: s, of a place of the image.
        width: k, of a class-wise feature; s: no map lies between.
        hidden: of the decoupling, and of each feature in a pair.
        out: of what classifiers see.
        pairs: whether it has a network of pairs (SST).
        steps: of the graph.
    """

    classes: int
    words: int
    source: int
    width: int
    hidden: int
    out: int
    pairs: bool
    steps: int = 3


def graph_network(
    sizes: GraphSizes, places: nn.Module | None = None, words: Tensor | None = None, edges: Tensor | None = None
) -> Network:
    """A graph network with drawn weights, or one whose weights are loaded next.

    Args:
        sizes: its numbers.
        places: images to B x M x s; None for stored patches.
        words: C x e; None: zeros.
        edges: C x C; None: zeros.
    """
    words = torch.zeros(sizes.classes, sizes.words) if words is None else words.float()
    edges = torch.zeros(sizes.classes, sizes.classes) if edges is None else edges
    pairs = PairNetwork(sizes.classes, sizes.width, sizes.hidden, sizes.out) if sizes.pairs else None
    below = Decoupled(places, words, sizes.source, sizes.width, sizes.hidden)
    head = GraphHead(edges, sizes.width, sizes.out, sizes.steps, pairs)
    return Network(head, below, asdict(sizes))


def begin_network(
    method: Method, edges: Tensor, words: Tensor, source: int, backbone: nn.Module | None, seed: int
) -> Network:
    """The network that a method starts from.

    Args:
        method: its file says which.
        edges: C x C, of the seen labels.
        words: C x e class embeddings.
        source: numbers of what the network is given, or of what the backbone makes of it.
        backbone: learns too; None on stored embeddings.
        seed: of the drawn weights.
    """
    if not method.network:
        return linear_network(Head(len(words), source), backbone, method.lift)
    own = dict(method.network["frozen" if backbone is None else "published"])
    start = own.pop("start", "")
    if backbone is None:  # no wider than what is stored
        own |= {name: min(own[name], source) for name in ("width", "hidden")}
    sizes = GraphSizes(len(words), words.shape[1], source, **own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = graph_network(sizes, backbone, words, edges)
    if start == "likeness" and sizes.words == sizes.source:
        begin_at_likeness(network.backbone)
    return network


def linear_network(head: Head, backbone: nn.Module | None, lift: float) -> Network:
    """Linear classifiers on stored embeddings or pooled features; with `lift` on each place of the last feature map."""
    return MapNetwork(head, backbone, lift) if backbone is not None and lift else Network(head, backbone)


def network_of(
    plain: dict[str, Any], tensors: dict[str, Tensor], places: nn.Module | None = None, lift: float = 0.0
) -> Network:
    """A network as a file has it.

    Args:
        plain: `Network.sizes`; empty for linear classifiers.
        tensors: its state.
        places: the backbone; for linear classifiers the whole of it.
        lift: of activation maps; 0: pooled features are classified.

    Raises:
        KeyError, TypeError, RuntimeError: they do not belong together.
    """
    network = graph_network(GraphSizes(**plain), places) if plain else linear_network(_linear(tensors), places, lift)
    network.load_state_dict(tensors)
    return network.eval()


def _linear(tensors: dict[str, Tensor]) -> Head:
    classes, width = tensors["head.weight"].shape
    return Head(classes, width)
