"""A method on the embedded benchmark: drawn scenes of a seed, the embedded tower, one head."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.datasets import Dataset, open_dataset
from piaa.setups import TRAINED, setup_of
from piaa.training.data import Store
from piaa.training.embedding import embed
from piaa.training.loop import Place
from piaa.training.material import Embeddings, HeadInputs, Material, material_of
from piaa.training.run import DEFAULT_HEAD, RESAMPLES, Plan, mean_ap, scores_of, train
from piaa.training.spec import read_method
from piaa.vision.models.sources import EMBEDDED
from piaa.vocabulary.labels import parse_labels
from piaa.vocabulary.prototypes import text_prototypes

IMAGES = 2000


@dataclass(frozen=True, eq=False)
class Scenes:
    """Everything that methods share on one seed.

    Attributes:
        train: embeddings of the images to learn from.
        truth: N x C of 0 and 1; a regime decides what of it is seen.
        test: embeddings of the images to measure on.
        labels: of these, n x C.
        name: of the data set, which chooses a method's constants.
        inputs: what the head sees of the former, by the head's name; filled as heads are asked for.
    """

    train: Material
    truth: Tensor
    test: Material
    labels: Tensor
    name: str = "scenes"
    inputs: dict[str, HeadInputs] = field(default_factory=dict)

    def head_inputs(self, name: str) -> HeadInputs:
        """What the head sees of the images to learn from, computed once."""
        if name not in self.inputs:
            self.inputs[name] = HeadInputs(self.train, name)
        return self.inputs[name]


def scenes_of(
    dataset: Dataset, train: Embeddings, test: Embeddings, prototypes: Tensor, names: Sequence[str] = ()
) -> Scenes:
    """Stored embeddings of a data set's two splits; images that its truth does not name are left out by the caller."""
    chosen = list(names) or dataset.label_names
    truth, labels = (torch.from_numpy(dataset.truth.targets(list(part.ids))) for part in (train, test))
    train_part, test_part = (material_of(part, prototypes, chosen) for part in (train, test))
    return Scenes(train_part, truth, test_part, labels, dataset.name)


@lru_cache(maxsize=1)
def draw_scenes(
    seed: int,
    images: int = IMAGES,
    root: Path = Path(".piaa/scenes"),
    store: Store | None = None,
    image_size: str | None = TRAINED,
) -> Scenes:
    """Draw and encode scenes of a seed, `images` of each split; the last ones asked for are kept in memory.

    Args:
        seed: of the scenes.
        images: of each split.
        root: where they are drawn.
        store: of embeddings, where they are to be kept on disk.
        image_size: as of `piaa.recognizer.Recognizer`; None is what `piaa fit` sees.
    """
    dataset = open_dataset("scenes", root / f"seed-{seed}-{images}", seed=seed, unlabelled=images, test=images)
    setup = setup_of(
        (EMBEDDED, None), front_end=None, image_size=image_size, resize=None, device="auto", precision="auto",
        engine="eager", batch_size=0,
    )  # fmt: skip
    prototypes = text_prototypes(setup.model, parse_labels(dataset.label_names))
    train, test = (
        store.get(setup, items) if store else embed(setup, items) for items in (dataset.unlabelled, dataset.test)
    )
    return scenes_of(dataset, train, test, prototypes)


def evaluate_on_scenes(
    name: str,
    seed: int,
    *,
    scenes: Scenes | None = None,
    images: int = IMAGES,
    root: Path = Path(".piaa/scenes"),
    regime: str = "",
    pseudo_labels: str = "",
    head: str = DEFAULT_HEAD,
    place: Place | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Train a method and measure it on test scenes, whose labels nothing but the metric sees.

    Args:
        name: of `piaa.training.METHODS`.
        seed: of the scenes (where they are drawn here) and of the training.
        scenes: embeddings that are there already, from `scenes_of`; else drawn and encoded.
        images: of each split, where they are drawn here.
        root: where they are drawn.
        regime: in place of the method's own.
        pseudo_labels: likewise, `clip` or `piaa`.
        head: a name of `piaa.training.heads.FEATURES`.
        place: device, precision, checkpoint.
        resamples: of the bootstrap over test images; 0 for no interval.

    Returns:
        `method`, `row` of table 1 (empty: none), `regime`, `teacher`, `head`, `seed`, `images`, `labels_seen` (the
        share of the training labels), `map`, `low`, `high` (percent, 95% over images), `epochs`, `train_seconds` and
        `test_seconds` (both without the tower), `scores` (a tensor n x C).
    """
    chosen = scenes or draw_scenes(seed, images, root)
    method = read_method(name).on(chosen.name)
    plan = Plan(method, regime, pseudo_labels, head, seed)
    inputs = None if method.network else chosen.head_inputs(head)
    outcome = train(plan, chosen.train, chosen.truth, place, inputs=inputs)
    begin = time.monotonic()
    scores = scores_of(outcome.trained, chosen.test)
    seconds = time.monotonic() - begin
    value, low, high = mean_ap(scores, chosen.labels, resamples)
    seen = 0.0 if outcome.regime == "none" else float((outcome.observed != -1).float().mean())
    return {
        "method": name, "row": method.row, "regime": outcome.regime, "teacher": outcome.teacher, "head": head,
        "seed": seed, "images": len(chosen.labels), "labels_seen": seen, "map": value, "low": low, "high": high,
        "epochs": len(outcome.run.losses), "train_seconds": outcome.seconds, "test_seconds": seconds,
        "scores": scores,
    }  # fmt: skip
