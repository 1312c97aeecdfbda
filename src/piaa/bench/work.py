"""What the benchmarks work on: a model, images, and a classifier whose values do not matter for time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.classifier import Classifier
from piaa.engine import Learner, Scorer, Setup
from piaa.inputs.items import iterate
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales, get_recipe
from piaa.method.thresholds import Thresholds
from piaa.vision.models import EMBEDDED, LoadedModel, load_model
from piaa.vision.models.sources import RANDOM
from piaa.vocabulary.labels import Label

PHOTO = (500, 375)
"""Width and height of the drawn photographs, those of the usual data sets."""


@dataclass(frozen=True)
class Work:
    """What to measure, and how often.

    Attributes:
        model: as for `piaa.vision.models.load_model`.
        pretrained: tag or file; None is random weights where the name alone has none.
        front_ends: their names.
        images: folder of photographs; None draws some.
        count: images a repetition.
        batch_size: images that go through the model together.
        repeats: repetitions that count.
        threads: of torch; 0 is all cores.
        classes: C in tagging and fitting.
        class_counts: C of the closed form and the bank alone.
        widths: d of the same.
        bank_size: K of the same.
        rows: most patches in a bank of the same.
        fit_images: images of the fit whose shares are reckoned.
        device: `cpu`, `cuda` or `mps`.
        precision: of the tower.
        quick: whether the numbers are only a trial.
    """

    model: str = "ViT-B-16"
    pretrained: str | None = None
    front_ends: tuple[str, ...] = ("clip", "sclip", "itaclip", "sc-clip")
    images: Path | None = None
    count: int = 16
    batch_size: int = 8
    repeats: int = 9
    threads: int = 0
    classes: int = 80
    class_counts: tuple[int, ...] = (20, 80, 1000, 10_000)
    widths: tuple[int, ...] = (512, 768)
    bank_size: int = 512
    rows: int = 512_000
    fit_images: int = 5000
    device: str = "cpu"
    precision: str = "fp32"
    quick: bool = False

    def load(self) -> LoadedModel:
        """The model, with random weights where nothing else is said and it needs some."""
        return load_for_timing(self.model, self.pretrained, self.device, self.precision)


def load_for_timing(
    name: str, pretrained: str | None = None, device: str = "cpu", precision: str = "fp32"
) -> LoadedModel:
    """A model by name; a name of open_clip without weights gets random ones, since time does not depend on them.

    Raises:
        ModelError: see `piaa.vision.models.load_model`.
    """
    import open_clip

    if pretrained is None and name != EMBEDDED and name.replace("/", "-") in open_clip.list_models():
        pretrained = RANDOM
    return load_model(name, pretrained, device=device, precision=precision)


def random_images(model: LoadedModel, count: int, seed: int = 0) -> Tensor:
    """Normalised images `count x 3 x H x W` of the model's size, on its device and in its precision."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, *model.image_size, generator=generator)
    return images.to(device=model.device, dtype=model.dtype)


def random_units(rows: int, dim: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """`rows x dim` unit-length vectors."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, dim, generator=generator), dim=-1).to(dtype)


def random_scorer(setup: Setup, classes: int, seed: int = 0) -> Scorer:
    """A scorer of `classes` classes that decides for about a label an image."""
    dim, recipe = setup.model.embed_dim, get_recipe("default")
    thresholds = Thresholds(np.full(classes, 2.0 / classes), np.ones(classes), "given")
    weight, bias = random_units(classes, dim, seed), torch.zeros(classes)
    scales = Scales(10.0, 1.0, 10.0, "odds")
    learnt = PatchClassifier(weight, bias, weight, scales, recipe.alpha, recipe.aggregator, thresholds)
    return Scorer(setup, Classifier(numbered_labels(classes), learnt, scales))


def random_learner(setup: Setup, classes: int, bank_size: int, seed: int = 0) -> Learner:
    """A learner with made-up prototypes, so that no text goes through the model."""
    prototypes = random_units(classes, setup.model.embed_dim, seed)
    return Learner(setup, numbered_labels(classes), prototypes, replace(get_recipe("default"), bank_size=bank_size))


def numbered_labels(classes: int) -> list[Label]:
    """`class 0`, `class 1`, ..."""
    return [Label(f"class {number}", ()) for number in range(classes)]


def photographs(folder: Path | None, into: Path, count: int) -> Path:
    """A folder of exactly `count` photographs: links to those of `folder` (over again if too few), or drawn JPEGs.

    Raises:
        InputError: when `folder` has no image.
    """
    into.mkdir(parents=True, exist_ok=True)
    if folder is not None:
        found = [Path(item.source) for item in iterate(folder) if isinstance(item.source, Path)]
        for number in range(count):
            source = found[number % len(found)]
            (into / f"{number:05d}{source.suffix}").symlink_to(source.resolve())
        return into
    from piaa.scenes import render, sample_scene

    for number in range(count):
        picture = render(sample_scene(3, "bench", number), PHOTO)
        picture.save(into / f"{number:05d}.jpg", "JPEG", quality=90)
    return into
