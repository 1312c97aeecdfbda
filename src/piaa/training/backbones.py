"""End to end: a timm backbone that learns with its head, as the published systems do it.

The labels, losses and updates are those of stored embeddings; only what the network is given differs. A teacher still
looks at stored embeddings of the same images.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torchvision.transforms import functional as TF

from piaa.errors import ClassifierError, ImageError, InputError, ModelError
from piaa.inputs.items import Item
from piaa.jobs import Progress
from piaa.method.thresholds import Thresholds, learn_thresholds
from piaa.training import files
from piaa.training.devices import write_onnx
from piaa.training.heads import Network
from piaa.training.loop import Place
from piaa.training.material import MOST_BYTES, Material
from piaa.training.networks import network_of
from piaa.training.places import Places
from piaa.training.regions import Regions
from piaa.training.run import LAST, Learnt, Plan, learn
from piaa.training.scratch import IMAGENET, RANDOM, moved, pace_of, shift_of
from piaa.training.spec import END_TO_END
from piaa.vision.preprocess import Preprocess, build_preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAMPLE = 2000
"""Training images that thresholds are learnt from, at most."""
FORMAT, VERSION = "piaa-trained-network", 1


def load_backbone(name: str, weights: str) -> nn.Module:
    """A timm model without its classifier: B x 3 x H x W to B x k.

    Args:
        name: as timm calls it, such as `resnet50`.
        weights: `imagenet` (fetched by timm where that can be), `random`, or a safetensors file of the backbone.

    Raises:
        ModelError: no such model, or weights that cannot be had or do not fit.
    """
    import timm

    try:
        model: nn.Module = timm.create_model(name, pretrained=weights == IMAGENET, num_classes=0)
    except Exception as error:  # whatever timm or the download raises
        advice = "give --backbone-weights random for a trial, or a file" if weights == IMAGENET else "see timm's list"
        raise ModelError(f"backbone {name!r} with weights {weights!r} cannot be had: {error}; {advice}") from error
    if weights not in (IMAGENET, RANDOM):
        try:
            with safe_open(weights, framework="pt") as opened:
                model.load_state_dict({key: opened.get_tensor(key) for key in opened.keys()})  # noqa: SIM118
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ModelError(f"{weights}: no safetensors weights of {name!r} ({error})") from error
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # faster


def backbone_width(backbone: nn.Module) -> int:
    """k; some networks (MobileNetV3) have a wider layer behind what timm calls their features."""
    return int(getattr(backbone, "head_hidden_size", backbone.num_features))  # type: ignore[arg-type]


def backbone_preprocess(size: int) -> Preprocess:
    """Squashed to size x size, ImageNet's mean and deviation, as the published systems have it."""
    return build_preprocess(size, "squash", MEAN, STD, "bilinear")


def other_colours(image: Tensor, random: torch.Generator, most: float = 0.5) -> Tensor:
    """An image 3 x H x W of 0..1 with brightness, contrast, saturation and hue drawn anew, in a drawn order.

    Args:
        image: pixels.
        random: for what is drawn.
        most: the first three are multiplied by 1 - `most` to 1 + `most`, the hue turns by up to this share of a circle.
    """
    changes = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)
    amounts = (2 * torch.rand(4, generator=random) - 1) * most
    for kind in torch.randperm(4, generator=random).tolist():
        amount = float(amounts[kind]) + (changes[kind] is not TF.adjust_hue)
        image = changes[kind](image.clamp(0, 1), amount)
    return image.clamp(0, 1)


class ImageInputs:
    """Images of a training set as a backbone takes them, decoded when their turn first comes.

    They are kept in half precision where all of them fit into `MOST_BYTES`, else decoded anew each time.

    Args:
        items: N images, all readable.
        preprocess: to 3 x H x W.
        width: k of the backbone.
        flips: a generator for mirrored images in training; None: none are.
        workers: threads that decode.
        shift: in training each image is also moved by up to so many pixels.
    """

    def __init__(
        self,
        items: Sequence[Item],
        preprocess: Preprocess,
        width: int,
        flips: torch.Generator | None = None,
        workers: int = 2,
        shift: int = 0,
    ) -> None:
        self.items, self.preprocess, self.width, self.shift = list(items), preprocess, width, shift
        self._flips, self._pool = flips, ThreadPoolExecutor(workers)
        shape = (len(self.items), 3, *preprocess.image_size)
        self._kept = torch.empty(shape, dtype=torch.half) if 2 * math.prod(shape) <= MOST_BYTES else None
        self._there = torch.zeros(len(self.items), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """B x 3 x H x W.

        Raises:
            ImageError: an image cannot be read; those that cannot are to be left out before.
        """
        images = self._images(torch.arange(len(self))[rows])
        if self._flips is None or isinstance(rows, slice):  # slices are for looking, rows for learning
            return images
        self._flips.manual_seed(int(rows.sum()) * 31 + int(rows[0]))  # of the batch alone: a resumed run flips alike
        mirrored = torch.rand(len(images), generator=self._flips) < 0.5
        seen = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        return moved(seen, self.shift, self._flips) if self.shift else seen

    def _images(self, rows: Tensor) -> Tensor:
        if self._kept is None:
            return self._decoded(rows)
        missing = rows[~self._there[rows]]
        if len(missing):
            self._kept[missing] = self._decoded(missing).half()
            self._there[missing] = True
        return self._kept[rows].float()

    def _decoded(self, rows: Tensor) -> Tensor:
        return torch.stack(list(self._pool.map(self._load, [self.items[row] for row in rows.tolist()])))

    def again(self, rows: Tensor, random: torch.Generator) -> Tensor:
        """The same images in other colours, mirrored or not, as CCD's second view: B x 3 x H x W.

        Raises:
            ImageError: as above.
        """
        images = self._images(rows)
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        mirrored = torch.rand(len(images), generator=random) < 0.5
        seen = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        coloured = torch.stack([other_colours(image * std + mean, random) for image in seen])
        return (coloured - mean) / std

    def _load(self, item: Item) -> Tensor:
        return self.preprocess(item.load())


def readable(items: Sequence[Item], ids: Sequence[str]) -> list[Item]:
    """The items of these ids, in their order.

    Raises:
        InputError: an id that is none.
    """
    by_id = {item.id: item for item in items}
    missing = [name for name in ids if name not in by_id]
    if missing:
        raise InputError(f"{len(missing)} images have embeddings but are not among the images: {missing[0]}")
    return [by_id[name] for name in ids]


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A backbone with its head, as trained.

    Attributes:
        network: on the CPU.
        backbone: as timm calls it.
        size: pixels of a side.
        names: C class names.
        settings: JSON values.
        thresholds: on its probabilities, learnt from the training images without a label; None where it saw labels.
    """

    network: Network
    backbone: str
    size: int
    names: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    thresholds: Thresholds | None = None

    @torch.no_grad()
    def score(self, items: Sequence[Item], batch: int = 32) -> tuple[Tensor, list[int], list[tuple[str, str]]]:
        """Probabilities n x C of the images that can be read, their positions, and (id, reason) of the others."""
        preprocess, network = backbone_preprocess(self.size), self.network.eval()
        parts, rows, failed = [], [], []
        for start in range(0, len(items), batch):
            images = []
            for row, item in enumerate(items[start : start + batch], start):
                try:
                    images.append(preprocess(item.load()))
                    rows.append(row)
                except ImageError as error:
                    failed.append((error.path, error.reason))
            if images:
                parts.append(torch.sigmoid(network(torch.stack(images))[0]))
        return torch.cat(parts) if parts else torch.zeros(0, len(self.names)), rows, failed

    def save(self, path: str | os.PathLike[str]) -> None:
        """One safetensors file, whole or not at all.

        Raises:
            ClassifierError: it cannot be written.
        """
        plain = {
            "format": FORMAT, "version": VERSION, "backbone": self.backbone, "size": self.size, "labels": self.names,
            "settings": self.settings, "network": self.network.sizes, "lift": getattr(self.network, "lift", 0.0),
        }  # fmt: skip
        learnt, tensors = files.of_thresholds(self.thresholds)
        files.write(path, plain | learnt, self.network.state_dict() | tensors, "the trained network")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TrainedNetwork:
        """Read a file that `save` wrote.

        Raises:
            ClassifierError: it is missing, damaged, or of something else.
        """
        path = Path(path)
        try:
            foreign = "no trained network; give a file that 'piaa train --backbone' wrote"
            plain, tensors = files.read(path, (FORMAT, VERSION), foreign)
            thresholds = files.take_thresholds(plain, tensors)
            sizes, backbone = plain.get("network", {}), load_backbone(plain["backbone"], RANDOM)
            network = network_of(sizes, tensors, Places(backbone) if sizes else backbone, plain.get("lift", 0.0))
            return cls(network, plain["backbone"], plain["size"], plain["labels"], plain["settings"], thresholds)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ClassifierError(f"{path}: cannot be read as a trained network ({error})") from error

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the network as ONNX for edge devices: see `piaa.training.devices.write_onnx`.

        Raises:
            ModelError: onnx or onnxscript is not installed.
        """
        about = {
            "labels": self.names, "size": self.size, "resize": "squash", "mean": MEAN, "std": STD,
            "thresholds": None if self.thresholds is None else self.thresholds.values.tolist(),
        }  # fmt: skip
        write_onnx(self.network, self.size, about, path)


def train_network(
    plan: Plan,
    items: Sequence[Item],
    material: Material,
    truth: Tensor | None,
    place: Place | None = None,
    *,
    backbone: str = "",
    weights: str = IMAGENET,
    size: int = 448,
    regions: Regions | None = None,
    settings: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[TrainedNetwork, Learnt]:
    """Train a backbone with its head, at the published pace (or ours for random weights) unless the plan has one.

    Args:
        plan: what to train; its `head` has no meaning here, its `choose` is `last`.
        items: the training images, those of `material` among them.
        material: their embeddings, for a teacher, and for which of them can be read.
        truth: N x C of 0 and 1, of `material`; None for the regime `none`.
        place: where and how.
        backbone: as timm calls it; empty: the method's published one.
        weights: see `load_backbone`.
        size: pixels of a side.
        regions: how parts of the images are seen by CLIP; None: by their patches.
        settings: kept in the trained network.
        progress: called with the epochs done.

    Raises:
        InputError: a method that needs stored embeddings, and as `piaa.training.run.train`.
        ModelError: as `load_backbone`.
    """
    name, method = backbone or plan.method.backbone, plan.method
    if plan.choose != LAST:
        raise InputError(
            f"--choose-epoch {plan.choose} is for heads on stored embeddings; with --backbone it is {LAST}"
        )
    torch.manual_seed(plan.seed)  # of random weights
    network = load_backbone(name, weights)
    width, chosen = backbone_width(network), readable(items, material.ids)
    network = Places(network) if method.network else network
    shift = shift_of(weights, size)
    inputs = ImageInputs(chosen, backbone_preprocess(size), width, torch.Generator(), shift=shift)
    paced = replace(plan, method=method.on(END_TO_END), pace=plan.pace or pace_of(method, weights))
    mark = f"{name} {weights} {size}"
    learnt = learn(
        paced, material, truth, inputs, place, backbone=network, regions=regions, mark=mark, progress=progress
    )
    about = {**learnt.about, "backbone": name, "weights": weights, "size": size, **(settings or {})}
    trained = TrainedNetwork(learnt.run.network, name, size, material.names, about)
    if learnt.regime == "none":
        scores, _, _ = trained.score(chosen[:SAMPLE])
        trained = replace(trained, thresholds=learn_thresholds(scores.numpy()))
    return trained, learnt
