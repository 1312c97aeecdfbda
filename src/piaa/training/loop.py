"""The training loop: Lightning Fabric for device, precision and backward; labels that change are the method's own.

Fabric and not the Trainer: here labels change after a step and before an epoch, with tensors of their own that a
checkpoint must hold, and one plain loop shows where. Every draw of an epoch comes from (seed, epoch) alone, so a
run that was killed goes on from its last whole epoch and ends with the same numbers. Checkpoints are safetensors;
Fabric's own would be pickles.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from piaa.baselines.partial_labels import conditional_frequencies
from piaa.errors import InputError
from piaa.files import whole_file
from piaa.jobs import Progress
from piaa.training.files import part
from piaa.training.heads import Network, Output, scaled
from piaa.training.labels import Known, State, Update, update_named
from piaa.training.material import Inputs
from piaa.training.networks import begin_network
from piaa.training.objectives import Batch, loss_named
from piaa.training.schedules import schedule_of
from piaa.training.spec import Constants, Method, Pace

ADVICE = "training needs Lightning Fabric: in a checkout: pip install -e '.[train]'"
Judge = Callable[[Network], float]


@dataclass(frozen=True)
class Place:
    """Where and how a run computes.

    Attributes:
        device: `auto`, `cpu`, `cuda`, `mps`.
        precision: as Fabric names it: `32-true`, `bf16-mixed`, `16-mixed`.
        checkpoint: written after every epoch and removed at the end; None for none.
        resume: go on from the checkpoint, where it is of this very run.
    """

    device: str = "cpu"
    precision: str = "32-true"
    checkpoint: Path | None = None
    resume: bool = False


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        network: with the weights of the chosen epoch, on the CPU.
        epoch: that was chosen, from 1.
        losses: mean loss of each epoch.
        judged: what the judge said of each epoch; empty without one.
        labels: N x C soft or hard labels at the end, where the method changes any; by name.
    """

    network: Network
    epoch: int
    losses: list[float]
    judged: list[float]
    labels: State


@dataclass
class _Progress:
    """Everything that changes while a run goes on."""

    network: Network
    optimizer: torch.optim.Optimizer
    state: State
    losses: list[float]
    judged: list[float]
    best: dict[str, Tensor]


def fit(
    method: Method,
    known: Known,
    seed: int,
    place: Place | None = None,
    *,
    pace: Pace | None = None,
    judge: Judge | None = None,
    backbone: nn.Module | None = None,
    fingerprint: str = "",
    progress: Progress | None = None,
) -> Run:
    """Train a network.

    Args:
        method: its parts.
        known: observed labels, embeddings, teacher.
        seed: of the order of images and of all draws.
        place: device, precision, checkpoint.
        pace: in place of the method's own for stored embeddings.
        judge: says how good an epoch's head is, the highest is chosen; None: the last epoch, whatever it is.
        backbone: learns too, below the head; None on stored embeddings.
        fingerprint: a checkpoint of another one is not gone on from.
        progress: called with the epochs done.

    Raises:
        InputError: Fabric is not installed, or the checkpoint is damaged or of another run.
    """
    place, pace = place or Place(), pace or method.frozen
    fabric = _fabric(place)
    run = _begin(method, known, seed, pace, backbone)
    first = _load(run, place, fingerprint) if place.resume else 0
    run.state = {name: tensor.to(fabric.device) for name, tensor in run.state.items()}
    run.optimizer = _optimizer(run, update_named(method.update), pace, run.optimizer.state_dict())
    run.network, run.optimizer = fabric.setup(run.network, run.optimizer)
    rates = [group["lr"] for group in run.optimizer.param_groups]
    for epoch in range(first, pace.epochs):
        for group, rate in zip(run.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * pace.share(epoch)
        run.losses.append(_epoch(fabric, method, known, run, epoch, pace, seed))
        _judge(run, judge)
        if place.checkpoint:
            _save(run, place.checkpoint, epoch + 1, fingerprint)
        if progress:
            progress(epoch + 1, pace.epochs)
    if place.checkpoint:
        place.checkpoint.unlink(missing_ok=True)
    return _finished(run, pace)


def _fabric(place: Place) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise InputError(ADVICE) from error
    return Fabric(accelerator=place.device, devices=1, precision=place.precision)  # type: ignore[arg-type]


def _begin(method: Method, known: Known, seed: int, pace: Pace, backbone: nn.Module | None) -> _Progress:
    update = update_named(method.update)
    random = torch.Generator().manual_seed(_seed(seed, -1))
    constants = at_epoch(method.update_constants, 0, pace.epochs)
    words = scaled(known.material.prototypes) if known.words is None else known.words
    edges = conditional_frequencies(known.observed)
    network = begin_network(method, edges, words, known.inputs.width, backbone, seed)
    width = network.sizes.get("width", known.inputs.width)
    state = update.start(replace(known, random=random, width=width), **constants)
    run = _Progress(network, torch.optim.SGD(network.parameters()), state, [], [], {})
    run.optimizer = _optimizer(run, update, pace)
    return run


def _optimizer(run: _Progress, update: Update, pace: Pace, state: Any = None) -> torch.optim.Optimizer:
    """Adam over head, backbone and what the label update trains; with an earlier one's state where given."""
    groups: list[dict[str, Any]] = [{"params": list(run.network.head.parameters()), "lr": pace.rate * pace.head}]
    if run.network.backbone is not None:
        groups.append({"params": list(run.network.backbone.parameters()), "lr": pace.rate})
    if update.learnt:
        for name in update.learnt:
            run.state[name] = run.state[name].detach().requires_grad_()
        groups.append({"params": [run.state[name] for name in update.learnt], "lr": pace.rate * pace.learnt})
    optimizer = torch.optim.Adam(groups, weight_decay=pace.decay)
    if state is not None:
        optimizer.load_state_dict(state)
    return optimizer


def _epoch(fabric: Any, method: Method, known: Known, run: _Progress, epoch: int, pace: Pace, seed: int) -> float:
    """One pass; the mean loss of its batches."""
    update, loss_of = update_named(method.update), loss_named(method.loss)
    random = torch.Generator().manual_seed(_seed(seed, epoch))
    values = at_epoch(method.constants, epoch, pace.epochs)
    moves = at_epoch(method.update_constants, epoch, pace.epochs)
    with torch.no_grad():
        update.each_epoch(run.state, replace(known, random=random), run.network, epoch, **moves)
    run.network.train()
    total, observed = 0.0, known.observed.to(fabric.device)
    order = torch.split(torch.randperm(len(known.observed), generator=random), pace.batch)
    for rows in order:
        here = rows.to(fabric.device)
        head = run.network.head
        again = partial(_again, run.network, known.inputs, rows, random, fabric.device)
        batch = Batch(here, observed[here], run.state, head, random, pairs=getattr(head, "pairs", None), again=again)
        output = Output(*run.network(known.inputs[rows].to(fabric.device)))
        loss = loss_of(output, batch, **values)
        run.optimizer.zero_grad()
        fabric.backward(loss)
        run.optimizer.step()
        with torch.no_grad():
            update.each_batch(run.state, batch, output, **moves)
        total += float(loss.detach())
    return total / len(order)


def _again(network: Network, inputs: Inputs, rows: Tensor, random: torch.Generator, device: torch.device) -> Tensor:
    """Logits of a batch seen another way."""
    logits: Tensor = network(inputs.again(rows, random).to(device))[0]
    return logits


def at_epoch(constants: Constants, epoch: int, epochs: int) -> dict[str, Any]:
    """Constants as they are, schedules at their value of the epoch."""
    return {
        name: schedule_of(value)(epoch, epochs) if isinstance(value, dict) else value
        for name, value in constants.items()
    }


def _judge(run: _Progress, judge: Judge | None) -> None:
    if judge is None:
        return
    run.judged.append(judge(run.network))
    if run.judged[-1] > max(run.judged[:-1], default=float("-inf")):
        run.best = {name: tensor.detach().cpu().clone() for name, tensor in _plain(run.network).state_dict().items()}


def _finished(run: _Progress, pace: Pace) -> Run:
    network = copy.deepcopy(_plain(run.network)).cpu().eval()
    last = {name: tensor.detach().cpu() for name, tensor in _plain(run.network).state_dict().items()}
    network.load_state_dict(run.best or last)
    chosen = run.judged.index(max(run.judged)) + 1 if run.judged else len(run.losses)
    return Run(network, chosen, run.losses, run.judged, {n: t.detach().cpu() for n, t in run.state.items()})


def _plain(network: Any) -> Network:
    """The network inside Fabric's wrapper."""
    inner: Network = getattr(network, "module", network)
    return inner


def _seed(seed: int, epoch: int) -> int:
    return seed * 100_003 + epoch + 1


def _save(run: _Progress, path: Path, epochs: int, fingerprint: str) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in _plain(run.network).state_dict().items()}
    tensors |= {f"state.{name}": tensor for name, tensor in run.state.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in run.best.items()}
    for number, entries in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in entries.items()}
    plain = {"epochs": epochs, "fingerprint": fingerprint, "losses": run.losses, "judged": run.judged}
    with whole_file(path) as aside:
        copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(copies, aside, metadata={"piaa": json.dumps(plain)})


def _load(run: _Progress, place: Place, fingerprint: str) -> int:
    """Become what the checkpoint describes; the number of epochs that were done, 0 where there is none."""
    path = place.checkpoint
    if path is None or not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as opened:
            plain = json.loads((opened.metadata() or {})["piaa"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if plain["fingerprint"] != fingerprint:
            raise InputError(f"{path}: of another run (other images, labels or settings); delete it to start anew")
        run.network.load_state_dict(part(tensors, "network"))
        run.state = part(tensors, "state")
        run.best, run.losses, run.judged = part(tensors, "best"), plain["losses"], plain["judged"]
        entries: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part(tensors, "optimizer").items():
            number, _, key = name.partition(".")
            entries.setdefault(int(number), {})[key] = tensor
        own = run.optimizer.state_dict()
        run.optimizer.load_state_dict({"state": entries, "param_groups": own["param_groups"]})
        return int(plain["epochs"])
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: damaged checkpoint ({error}); delete it to start anew") from error
