"""Images with labels become what a training run takes: from a data set, or from a user's own folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from piaa.datasets import Dataset
from piaa.engine import Setup
from piaa.errors import InputError
from piaa.evaluation.truth import Truth, read_truth
from piaa.inputs.items import Item, Source, open_source
from piaa.jobs import Progress
from piaa.training.material import Embeddings, Material, material_of
from piaa.vocabulary.labels import parse_labels, read_labels
from piaa.vocabulary.prototypes import text_prototypes

Stage = Callable[[str], Progress]


class Store(Protocol):
    """Where embeddings come from: `piaa.experiments.features.FeatureStore`."""

    def get(self, setup: Setup, items: Sequence[Item], progress: Progress | None = None) -> Embeddings:
        """The embeddings of these images, computed or from disk."""


@dataclass(frozen=True)
class Data:
    """What a run learns from and is measured on.

    Attributes:
        name: of the data set, which chooses a recipe's constants; empty for a user's own images.
        train: embeddings.
        truth: N x C of 0 and 1; None where no labels were given.
        test: embeddings and labels of test images; None where there are none.
        items: images of both splits, for a backbone.
        notes: what a user should know.
    """

    name: str
    train: Material
    truth: Tensor | None
    test: tuple[Material, Tensor] | None
    items: tuple[list[Item], list[Item]]
    notes: list[str] = field(default_factory=list)


def from_dataset(dataset: Dataset, setup: Setup, store: Store, stage: Stage) -> Data:
    """A data set's images to learn from, and its test images.

    Raises:
        InputError: its truth names none of the images of a split.
    """
    prototypes = text_prototypes(setup.model, parse_labels(dataset.label_names)).cpu()
    notes: list[str] = []
    train, test = (
        _embedded(
            store.get(setup, items, stage(f"encoding {name} images")), prototypes, dataset.label_names, name, notes
        )
        for name, items in (("training", dataset.unlabelled), ("test", dataset.test))
    )
    truth: Tensor | None = None
    if any(name in dataset.truth.labels for name in train.ids):
        train, truth = with_labels(train, dataset.truth, "training", notes)
    items = (dataset.unlabelled, dataset.test)
    return Data(dataset.name, train, truth, with_labels(test, dataset.truth, "test", notes), items, notes)


def from_files(
    images: Any,
    labels: Path | None,
    truth: Path | None,
    test: tuple[Any, Path | None],
    setup: Setup,
    store: Store,
    stage: Stage,
) -> Data:
    """A user's own images and truth files.

    Args:
        images: to learn from: see `piaa.inputs.items.open_source`.
        labels: file of class names.
        truth: their labels, if known.
        test: images to measure on and their labels, or nothing of both.
        setup: what embeds them.
        store: what keeps the embeddings.
        stage: a progress bar by name.

    Raises:
        InputError: images or labels are not given, or a truth file names none of the images.
        LabelError: a file that cannot be used.
    """
    if images is None or labels is None:
        raise InputError("give --images and --labels, or a --dataset")
    if (test[0] is None) != (test[1] is None):
        raise InputError("--test-images and --test-truth belong together; give both or none")
    classes = read_labels(labels)
    names = [label.name for label in classes]
    known = None if truth is None else read_truth(truth, names)
    tested = None if test[1] is None else read_truth(test[1], names)
    prototypes = text_prototypes(setup.model, classes).cpu()
    notes: list[str] = []
    source = open_source(images)
    learnt_from = list(source)
    stored = store.get(setup, learnt_from, stage("encoding training images"))
    train, targets = _embedded(stored, prototypes, names, "training", notes), None
    if known is not None:
        train, targets = with_labels(train, known, "training", notes, source)
    if tested is None:
        return Data("", train, targets, None, (learnt_from, []), notes)
    source = open_source(test[0])
    measured_on = list(source)
    stored = store.get(setup, measured_on, stage("encoding test images"))
    material = _embedded(stored, prototypes, names, "test", notes)
    known_test = with_labels(material, tested, "test", notes, source)
    return Data("", train, targets, known_test, (learnt_from, measured_on), notes)


def _embedded(stored: Embeddings, prototypes: Tensor, names: Sequence[str], split: str, notes: list[str]) -> Material:
    if stored.failed:
        path, reason = stored.failed[0]
        notes.append(
            f"{len(stored.failed)} {split} images cannot be read and are left out; the first: {path}: {reason}"
        )
    return material_of(stored, prototypes, names)


def with_labels(
    material: Material, truth: Truth, split: str, notes: list[str], source: Source | None = None
) -> tuple[Material, Tensor]:
    """The images that the truth names, and their labels N x C; a note counts the others.

    Args:
        material: the images.
        truth: of them; see `Truth.match`.
        split: what notes call them.
        notes: taken in.
        source: that they came from, where the truth may call them by their names below it.

    Raises:
        InputError: it names none.
    """
    keys = [truth.match(name, source.below(name) if source else ()) for name in material.ids]
    rows = [row for row, key in enumerate(keys) if key is not None]
    if not rows:
        raise InputError(f"the truth names none of the {len(keys)} {split} images; its paths count from its own folder")
    labels = torch.from_numpy(truth.targets([key for key in keys if key is not None]))
    if len(rows) == len(keys):
        return material, labels
    notes.append(f"{len(keys) - len(rows)} of {len(keys)} {split} images are not in the truth and are left out")
    chosen = np.asarray(rows)
    ids = [material.ids[row] for row in rows]
    return replace(material, ids=ids, cls=material.cls[chosen], patches=material.patches[chosen]), labels
