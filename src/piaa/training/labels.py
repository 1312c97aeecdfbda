"""Label updates by name: the tensors that each keeps over the training set, and when they change.

The arithmetic is in `piaa.training.updates`; here it meets batches and epochs. A state is a dictionary of tensors that
a checkpoint holds whole, so that a resumed run goes on with the labels that it had.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piaa.baselines import partial_labels
from piaa.errors import InputError
from piaa.training import updates
from piaa.training.heads import Network, Output
from piaa.training.maps import MapNetwork
from piaa.training.material import Inputs, Material
from piaa.training.objectives import Batch
from piaa.training.regions import Regions
from piaa.training.teachers import Teacher

State = dict[str, Tensor]


@dataclass(frozen=True)
class Known:
    """What an update starts from.

    Attributes:
        observed: N x C: 1, 0, -1.
        material: embeddings of the N images.
        inputs: what the head sees of them.
        teacher: CLIP or PIAA on them; None for a method that needs none.
        random: for what is drawn; another generator each epoch.
        regions: parts of the N images.
        words: C x e class embeddings that guide a graph network; None: the text prototypes.
        width: numbers of what a class's classifier sees; set when the network is there.
    """

    observed: Tensor
    material: Material
    inputs: Inputs
    teacher: Teacher | None
    random: torch.Generator
    regions: Regions
    words: Tensor | None = None
    width: int = 0

    @property
    def taught(self) -> Teacher:
        """The teacher.

        Raises:
            InputError: there is none.
        """
        if self.teacher is None:
            raise InputError("this method needs a teacher's labels; name one with --pseudo-labels clip or piaa")
        return self.teacher


Start = Callable[..., State]
EachBatch = Callable[..., None]
EachEpoch = Callable[..., None]


def _nothing(*_: object, **__: object) -> None:
    """No change."""


@dataclass(frozen=True)
class Update:
    """A label update.

    Attributes:
        start: (known, **constants) to the state before training.
        each_batch: (state, batch, output, **constants), after each step of the network.
        each_epoch: (state, known, network, epoch, **constants), before each epoch.
        learnt: tensors of the state that the loss trains along with the network.
        teaches: needs a teacher whatever the regime.
        blind: what was seen of the true labels has no part in it, so that another regime than `none` would be a
            pretence.
    """

    start: Start
    each_batch: EachBatch = _nothing
    each_epoch: EachEpoch = _nothing
    learnt: tuple[str, ...] = ()
    teaches: bool = False
    blind: bool = False


def _start_nothing(known: Known) -> State:
    return {}


def _start_estimates(known: Known) -> State:
    """ROLE."""
    return {"estimates": updates.first_estimates(known.observed, known.random)}


def _start_labels(known: Known, **_: float) -> State:
    """LL-Cp."""
    return {"labels": (known.observed == 1).float()}


def _flip_large(state: State, batch: Batch, output: Output, share: float = 0.0) -> None:
    """LL-Cp: what the batch's loss flipped stays flipped."""
    labels = batch.of("labels")
    each = F.binary_cross_entropy_with_logits(output.logits.detach().float(), labels, reduction="none")
    state["labels"][batch.rows] = updates.corrected(labels, each, share)


def _start_latent(known: Known, **_: float) -> State:
    """G2NetPL: latent values of pseudo-labels."""
    return {"latent": updates.first_estimates(known.observed, known.random)}


def _play(state: State, batch: Batch, output: Output, rate: float, penalty: float) -> None:
    """G2NetPL: the pseudo-labels' move."""
    p = torch.sigmoid(output.logits.detach().float())
    moved = updates.game_step(batch.of("latent"), p, rate, penalty)
    state["latent"][batch.rows] = torch.where(batch.seen, batch.of("latent"), moved)


def _start_similar(known: Known, threshold: float) -> State:
    """VLPL: classes that the teacher gives more than `threshold`."""
    return {"pseudo": (known.taught.scores > threshold).float()}


def _start_top(
    known: Known, side: int, threshold: float, most: int, negatives: float, eta: float, absent: float
) -> State:
    """AEVLP: the whole image and side x side tiles."""
    teacher, parts = known.taught, []
    for _, _, rows in known.material.batches():
        local = teacher.of_vectors(known.regions.tiles(rows, side))
        whole = teacher.scores[rows]
        scores = updates.tile_aggregate(whole, local, updates.held_threshold(whole, known.observed[rows], eta))
        parts.append(updates.top_pseudo(scores, threshold, most, (whole + local.mean(dim=1)) / 2, negatives, absent))
    return {"pseudo": torch.cat(parts)}


def _start_aggregated(known: Known, side: int, threshold: float, greater: float, **_: float) -> State:
    """CDUL: CLIP on image and tiles. PIAA has looked at every patch: its scores are taken as they are."""
    teacher = known.taught
    if teacher.name != "clip":
        return {"soft": teacher.scores.clone()}
    parts = [
        updates.tile_aggregate(
            teacher.scores[rows], teacher.of_vectors(known.regions.tiles(rows, side)), threshold, greater
        )
        for _, _, rows in known.material.batches()
    ]
    return {"soft": torch.cat(parts)}


def _align(state: State, known: Known, network: Network, epoch: int, sigma: float, rounds: int, **_: float) -> None:
    """CDUL: after every `rounds` epochs of the network, one step of the pseudo-labels."""
    if epoch == 0 or epoch % rounds:
        return
    soft = state["soft"]
    soft.copy_(updates.aligned(soft, probabilities(network, known.inputs, soft.device), sigma))


def _align_batch(state: State, batch: Batch, output: Output, sigma: float, moves: float, **_: float) -> None:
    """CDUL as reproduced by others: a step after each batch, in epochs in which `moves` is not 0."""
    if moves:
        p = torch.softmax(output.logits.detach().float(), dim=1)
        state["soft"][batch.rows] = updates.aligned_softmax(batch.of("soft"), p, sigma)


def _start_soft(known: Known) -> State:
    """The teacher's scores as they are."""
    return {"soft": known.taught.scores.clone()}


def _start_debiased(known: Known, floor: float, **_: Any) -> State:
    """CCD."""
    teacher = known.taught
    if teacher.name != "clip":
        everything = torch.ones(len(known.material))
        return {"soft": teacher.scores.clone(), "bias": torch.ones(teacher.scores.shape[1]), "sure": everything}
    soft, bias, sure = updates.debiased(teacher.scores, floor=floor)
    return {"soft": soft, "bias": bias, "sure": sure.float()}


def _look_closer(
    state: State,
    known: Known,
    network: Network,
    epoch: int,
    first: int,
    last: int,
    cut: str,
    classes: float,
    keep: float,
    floor: float,
    margin: int,
) -> None:
    """CCD: in some epochs, what the teacher says of the region where a class's activation map peaks.

    The cut that chooses an image's classes is one that `classes` of them reach in the mean.
    """
    if not first <= epoch <= last:
        return
    soft, bias, teacher = state["soft"], state["bias"], known.taught
    p = probabilities(network, known.inputs, soft.device)
    order = torch.randperm(len(p), generator=known.random)
    chosen = p >= updates.CUTS[cut](p[order.to(p.device)], classes)
    for _, _, rows in known.material.batches(64):
        maps = activation_maps(network, known, rows)
        here = chosen[rows.to(p.device)]
        says = teacher.of_vectors(known.regions.peaks(maps, rows, here.cpu(), margin)).to(soft.device)
        seen = (says * here[..., None]).amax(dim=1)  # says is n x C x C: of the crop of each class
        soft[rows] = updates.moving_average(soft[rows], seen, bias, keep, floor)


@torch.no_grad()
def activation_maps(network: Network, known: Known, rows: Tensor) -> Tensor:
    """n x C x h x w on the CPU: of a backbone that has maps, else of the head on the stored patches."""
    if isinstance(network.backbone, nn.Module):
        plain = cast(MapNetwork, getattr(network, "module", network))
        learning = plain.training
        plain.eval()
        maps = plain.maps(known.inputs[slice(int(rows[0]), int(rows[-1]) + 1)].to(plain.head.weight.device))
        plain.train(learning)
        return maps.float().cpu()
    weight = network.head.weight[:, -known.material.prototypes.shape[1] :].detach().float().cpu()
    closeness: Tensor = F.normalize(known.material.rows(rows)[1], dim=-1) @ weight.T
    return closeness.mT.reshape(len(closeness), -1, *known.material.grid)


def _start_sst(known: Known, examples: int) -> State:
    """SST: features of images in which a class was seen."""
    return {"kept": torch.zeros(known.observed.shape[1], examples, known.width)}


def _keep_examples(state: State, batch: Batch, output: Output, examples: int) -> None:
    """SST: the newest features come first, the oldest leave."""
    features = output.features.detach().float()
    state["kept"] = partial_labels.examples_with(state["kept"], features, batch.observed)


def _start_sarb(known: Known, prototypes: int, every: int, first: int) -> State:
    """SARB: two mixing weights that are learnt, and prototypes of each class."""
    classes = known.observed.shape[1]
    zeros = torch.zeros(classes, prototypes, known.width)
    return {
        "alpha": torch.tensor(0.5), "beta": torch.tensor(0.5), "prototypes": zeros, "filled": torch.zeros(classes),
    }  # fmt: skip


def _hold_weights(state: State, batch: Batch, output: Output, **_: float) -> None:
    """SARB: the mixing weights stay within 0..1."""
    for name in ("alpha", "beta"):
        state[name].clamp_(0, 1)


def _find_prototypes(
    state: State, known: Known, network: Network, epoch: int, prototypes: int, every: int, first: int
) -> None:
    """SARB: k-means of the features of images in which a class was seen; a class with fewer repeats what it has."""
    if epoch < first or (epoch - first) % every:
        return
    for c, features in enumerate(_seen_features(known, network)):
        if len(features):
            state["prototypes"][c] = means_of(features, prototypes, epoch).to(state["prototypes"].device)
            state["filled"][c] = len(features)


def means_of(features: Tensor, count: int, seed: int) -> Tensor:
    """`count` k-means centres of features n x k; where there are no more than `count`, these themselves, repeated."""
    from sklearn.cluster import KMeans

    if len(features) > count:
        found = KMeans(count, n_init=1, random_state=seed).fit(features.numpy()).cluster_centers_
        return torch.from_numpy(found)
    return features.repeat(-(-count // len(features)), 1)[:count]


def _seen_features(known: Known, network: Network) -> list[Tensor]:
    """For each class the features of the images in which it was seen, n x k, on the CPU."""
    device, learning, classes = next(network.parameters()).device, network.training, known.observed.shape[1]
    found: list[list[Tensor]] = [[] for _ in range(classes)]
    network.eval()
    for rows in torch.split((known.observed == 1).any(dim=1).nonzero().squeeze(1), 64):
        features = network(known.inputs[rows].to(device))[1].float().cpu()
        for row, c in (known.observed[rows] == 1).nonzero().tolist():
            found[c].append(features[row, c])
    network.train(learning)
    return [torch.stack(rows) if rows else torch.zeros(0, known.width) for rows in found]


@torch.no_grad()
def probabilities(network: Network, inputs: Inputs, device: torch.device | str = "cpu") -> Tensor:
    """What a network says of all images: N x C, float32, on `device`."""
    own = next(network.parameters()).device
    learning = network.training
    network.eval()
    parts = [
        torch.sigmoid(network(inputs[slice(start, start + 256)].to(own))[0].float())
        for start in range(0, len(inputs), 256)
    ]
    network.train(learning)
    return torch.cat(parts).to(device)


UPDATES: dict[str, Update] = {
    "none": Update(_start_nothing),
    "estimates": Update(_start_estimates, learnt=("estimates",)),
    "flip-for-good": Update(_start_labels, each_batch=_flip_large),
    "game": Update(_start_latent, each_batch=_play),
    "similar": Update(_start_similar, teaches=True),
    "top": Update(_start_top, teaches=True),
    "gradient-alignment": Update(_start_aggregated, each_epoch=_align, teaches=True, blind=True),
    "softmax-alignment": Update(_start_aggregated, each_batch=_align_batch, teaches=True, blind=True),
    "look-closer": Update(_start_debiased, each_epoch=_look_closer, teaches=True, blind=True),
    "soft": Update(_start_soft, teaches=True, blind=True),
    "co-occurrence": Update(_start_sst, each_batch=_keep_examples),
    "prototypes": Update(_start_sarb, each_batch=_hold_weights, each_epoch=_find_prototypes, learnt=("alpha", "beta")),
}
"""By the name in a method's file."""


def update_named(name: str) -> Update:
    """An entry of `UPDATES`.

    Raises:
        InputError: naming those that exist.
    """
    if name not in UPDATES:
        raise InputError(f"no label update is called {name!r}; choose one of: {', '.join(UPDATES)}")
    return UPDATES[name]
