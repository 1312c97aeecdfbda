"""A whole training job: train, write the file, measure on the test images where there are any."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.evaluation import metrics
from piaa.jobs import Progress
from piaa.training.backbones import TrainedNetwork, backbone_preprocess, readable, train_network
from piaa.training.data import Data
from piaa.training.devices import write_int8
from piaa.training.loop import Place
from piaa.training.material import Material
from piaa.training.regions import Regions
from piaa.training.run import Learnt, Plan, mean_ap, scores_of, train
from piaa.training.scratch import IMAGENET
from piaa.training.teachers import together

CALIBRATION = 128
"""Training images that the ranges of 8 bits are taken from."""


@dataclass(frozen=True)
class EndToEnd:
    """What is trained in the place of a head on stored embeddings.

    Attributes:
        backbone: as timm calls it.
        weights: `imagenet`, `random`, or a safetensors file.
        size: pixels of a side.
        export: ONNX file to write too; None for none.
        export_int8: the same in 8 bits; needs `export`.
    """

    backbone: str
    weights: str = IMAGENET
    size: int = 448
    export: Path | None = None
    export_int8: Path | None = None


def train_job(
    plan: Plan,
    data: Data,
    out: Path,
    place: Place,
    settings: dict[str, Any],
    end_to_end: EndToEnd | None = None,
    progress: Progress | None = None,
    regions: Regions | None = None,
) -> dict[str, Any]:
    """Train by a plan, write `out`, and say what came of it.

    Args:
        plan: method, regime, teacher, seed.
        data: images, labels.
        out: the trained head's or network's file.
        place: device, precision, checkpoint.
        settings: of the embeddings, kept in the file.
        end_to_end: a backbone; None: a head on stored embeddings.
        progress: called with the epochs done.
        regions: how a teacher sees parts of the training images; None: by their patches.

    Returns:
        JSON values: method, regime, teacher, seed, epoch, choose, train_images, losses, seconds, test_map_by_epoch;
        with test images also those of `measured`; where PIAA taught, also `piaa`, and of a head `together`, each
        {map, low, high}.
    """
    if end_to_end is None:
        outcome = train(
            plan, data.train, data.truth, place, test=data.test, regions=regions, settings=settings, progress=progress
        )
        outcome.trained.save(out)
        numbers = _plain(outcome, data)
        if data.test is None:
            return numbers
        scores = scores_of(outcome.trained, data.test[0])
        beside = _of_piaa(outcome, data.test, scores)
        return numbers | measured(scores, data.test[1], data.train.names) | beside
    network, learnt = train_network(
        plan, data.items[0], data.train, data.truth, place, backbone=end_to_end.backbone, weights=end_to_end.weights,
        size=end_to_end.size, regions=regions, settings=settings, progress=progress,
    )  # fmt: skip
    network.save(out)
    _export(network, end_to_end, data)
    began = {"backbone": end_to_end.backbone, "weights": end_to_end.weights, "size": end_to_end.size}
    numbers = _plain(learnt, data) | began
    if data.test is None:
        return numbers
    scores, rows, _ = network.score(readable(data.items[1], data.test[0].ids))
    return numbers | measured(scores, data.test[1][rows], data.train.names) | _of_piaa(learnt, data.test)


def _export(network: TrainedNetwork, how: EndToEnd, data: Data) -> None:
    if how.export is None:
        return
    network.export_onnx(how.export)
    if how.export_int8:
        chosen = readable(data.items[0], data.train.ids[:CALIBRATION])
        preprocess = backbone_preprocess(how.size)
        write_int8(how.export, how.export_int8, torch.stack([preprocess(item.load()) for item in chosen]))


def _of_piaa(learnt: Learnt, test: tuple[Material, Tensor], head: Tensor | None = None) -> dict[str, Any]:
    """Where PIAA taught: its own mAP on the test images, and that of PIAA and a head together."""
    if learnt.taught is None or learnt.taught.name != "piaa":
        return {}
    own = torch.cat([learnt.taught.score(cls, patches) for cls, patches, _ in test[0].batches()])
    both = {"piaa": own} | ({} if head is None else {"together": together(own, head)})
    return {
        name: dict(zip(("map", "low", "high"), mean_ap(value, test[1]), strict=True)) for name, value in both.items()
    }


def _plain(learnt: Learnt, data: Data) -> dict[str, Any]:
    return {
        **learnt.about, "train_images": len(data.train), "losses": learnt.run.losses,
        "seconds": round(learnt.seconds, 2), "test_map_by_epoch": learnt.run.judged,
    }  # fmt: skip


def measured(scores: Tensor, labels: Tensor, names: list[str]) -> dict[str, Any]:
    """The metrics of `piaa eval`: mAP with its interval, F1 at 0.5 and of the three best, AP of each class; percent."""
    value, low, high = mean_ap(scores, labels)
    choices = {"f1_at_half": scores >= 0.5, "f1_top3": metrics.top_k_decisions(scores)}
    each = (100 * metrics.average_precision(scores, labels)).tolist()
    return {
        "test_images": len(labels), "map": value, "low": low, "high": high,
        **{k: {n.rstrip("_"): 100 * v for n, v in asdict(metrics.f1(c, labels)).items()} for k, c in choices.items()},
        "ap": {name: None if math.isnan(ap) else ap for name, ap in zip(names, each, strict=True)},
    }  # fmt: skip
