"""The network of SST and SARB: features class by class, a graph over classes, pairs of classes.

Small modules in our own words; each meets the golden numbers of the published code (HCPLab-SYSU/HCP-MLR-PL) in
`tests/parity/test_graph_network.py`. B images, M places of an image, C classes, P = C (C - 1) / 2 pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from piaa.baselines.partial_labels import pairs_of
from piaa.training.heads import ATTENTION_SCALE, Head


class SemanticDecoupling(nn.Module):
    """Where in the image each class is: a softmax over places, learnt from what is there and the class's embedding.

    The published module has two linear layers without anything between them after the hyperbolic tangent; here they
    are one vector for each image (the same function; their constants have no effect in a softmax).

    Args:
        width: k, numbers of a place.
        words: e, numbers of a class embedding.
        hidden: h.
    """

    def __init__(self, width: int, words: int, hidden: int) -> None:
        super().__init__()
        self.image, self.word = nn.Linear(width, hidden, bias=False), nn.Linear(words, hidden, bias=False)
        self.joint, self.score = nn.Linear(hidden, hidden, bias=False), nn.Linear(hidden, 1, bias=False)

    def attention(self, places: Tensor, words: Tensor) -> Tensor:
        """B x M x k and C x e to B x M x C, where the places of a class sum to 1. It takes B M C h numbers."""
        both = torch.tanh(self.image(places)[:, :, None] * self.word(words))
        direction = self.joint.weight.T @ self.score.weight[0]
        return torch.softmax(both @ direction, dim=1)

    def forward(self, places: Tensor, words: Tensor) -> Tensor:
        """B x M x k and C x e to class-wise features B x C x k."""
        features: Tensor = self.attention(places, words).mT @ places
        return features


class GatedGraph(nn.Module):
    """A gated graph network (Li et al., 2016): classes tell each other what they have seen.

    Args:
        width: k.
        steps: rounds.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.heard_update, self.own_update = nn.Linear(2 * width, width), nn.Linear(width, width)
        self.heard_reset, self.own_reset = nn.Linear(2 * width, width), nn.Linear(width, width)
        self.heard_new, self.own_new = nn.Linear(2 * width, width), nn.Linear(width, width)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """Nodes B x C x k and edges C x C, which are gone along and against, to B x C x k."""
        for _ in range(self.steps):
            heard = torch.cat([edges @ nodes, edges.T @ nodes], dim=-1)
            update = torch.sigmoid(self.heard_update(heard) + self.own_update(nodes))
            reset = torch.sigmoid(self.heard_reset(heard) + self.own_reset(nodes))
            new = torch.tanh(self.heard_new(heard) + self.own_new(reset * nodes))
            nodes = (1 - update) * nodes + update * new
        return nodes


class PairNetwork(nn.Module):
    """SST: how likely two classes are both in the image, from their features.

    The layer on two features side by side is the sum of a layer on each; the linear layer before the classifiers of
    pairs is taken together with them. The function is the published one, in memory of B P o numbers.

    Args:
        classes: C.
        width: k.
        hidden: of each feature.
        out: o, of each pair.
    """

    def __init__(self, classes: int, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.reduce, self.join, self.last = nn.Linear(width, hidden), nn.Linear(2 * hidden, out), nn.Linear(out, out)
        self.classify = Head(classes * (classes - 1) // 2, out)
        spread(self.classify)

    def forward(self, features: Tensor) -> Tensor:
        """B x C x k to logits B x P."""
        reduced = self.reduce(features)
        left, right = self.join.weight.chunk(2, dim=1)
        first, second = pairs_of(features.shape[1])
        seen = torch.relu((reduced @ left.T)[:, first] + (reduced @ right.T)[:, second] + self.join.bias)
        weight = self.classify.weight @ self.last.weight
        bias = self.classify.weight @ self.last.bias + self.classify.bias
        return torch.einsum("bpo,po->bp", seen, weight) + bias


class GraphHead(nn.Module):
    """Class-wise features, and what the graph makes of them, to logits.

    Args:
        edges: C x C, kept with the weights and not learnt.
        width: k.
        out: numbers that a class's classifier sees.
        steps: of the graph.
        pairs: the network of pairs; None where a method has none.
    """

    edges: Tensor

    def __init__(self, edges: Tensor, width: int, out: int, steps: int, pairs: PairNetwork | None = None) -> None:
        super().__init__()
        self.register_buffer("edges", edges)
        self.graph, self.join = GatedGraph(width, steps), nn.Linear(2 * width, out)
        self.classify, self.pairs = Head(len(edges), out), pairs
        spread(self.classify)

    def forward(self, features: Tensor) -> Tensor:
        """B x C x k to B x C."""
        told = self.graph(features, self.edges)
        logits: Tensor = self.classify(torch.tanh(self.join(torch.cat([told, features], dim=-1))))
        return logits


class Decoupled(nn.Module):
    """Images, or the stored patches of a frozen tower, to class-wise features.

    Args:
        places: images to B x M x s; None: patches B x M x s are given.
        words: C x e class embeddings, kept with the weights and not learnt.
        source: s, numbers of a place.
        width: k; where it is not s, a learnt map without constants and a batch norm lie between, as published.
        hidden: of the decoupling.
    """

    words: Tensor

    def __init__(self, places: nn.Module | None, words: Tensor, source: int, width: int, hidden: int) -> None:
        super().__init__()
        self.places = places
        self.project = None if source == width else nn.Linear(source, width, bias=False)
        self.norm = None if source == width else nn.BatchNorm1d(width)
        self.decouple = SemanticDecoupling(width, words.shape[1], hidden)
        self.register_buffer("words", words)

    def forward(self, inputs: Tensor) -> Tensor:
        """B x C x k."""
        seen = inputs if self.places is None else self.places(inputs)
        if self.project is not None and self.norm is not None:
            seen = self.norm(self.project(seen).mT).mT
        features: Tensor = self.decouple(seen, self.words)
        return features


def spread(head: Head) -> None:
    """Weights and constants drawn evenly within +-1 / sqrt(k), as the published classifiers begin."""
    most = head.weight.shape[1] ** -0.5
    nn.init.uniform_(head.weight, -most, most)
    nn.init.uniform_(head.bias, -most, most)


@torch.no_grad()
def begin_at_likeness(below: Decoupled) -> None:
    """Begin where places are weighted by their likeness to the class embedding, about as the head `class-wise` does it.

    For places and class embeddings of one space, the frozen tower's, both of length sqrt(s). What is narrower than this
    space begins as the directions in which the class embeddings are greatest.
    """
    decouple, space, small = below.decouple, below.words.shape[1], 0.3  # tanh is nearly a line there
    directions = torch.linalg.svd(below.words).Vh  # s x s
    hidden, width = decouple.image.weight.shape
    if below.project is None:
        decouple.image.weight.copy_(small * directions[:hidden])
    else:
        below.project.weight.copy_(directions[:width])
        decouple.image.weight.copy_(small * torch.eye(hidden, width))
    decouple.word.weight.copy_(small * directions[:hidden])
    decouple.joint.weight.copy_(torch.eye(hidden))
    decouple.score.weight.fill_(ATTENTION_SCALE / (small**2 * space))
