"""One data set and one set-up, with the lines of an experiment that share them: what a kind works on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from piaa.baselines import METHODS
from piaa.datasets import Dataset
from piaa.engine import Setup, digest
from piaa.evaluation.evaluate import METHODS as PIAA_METHODS
from piaa.experiments.features import Features, FeatureStore
from piaa.experiments.measure import Learnt, learn, score, targets
from piaa.experiments.results import Row, commit, versions
from piaa.experiments.spec import Run, Spec
from piaa.jobs import Progress
from piaa.jobs.common import digest_of_items
from piaa.method.recipes import Recipe, get_recipe
from piaa.vocabulary.labels import Label, parse_labels
from piaa.vocabulary.prototypes import text_prototypes

PUBLISHED = {"VOC07": "published-voc", "VOC12": "published-voc", "COCO": "published-coco", "NUS": "published-nus"}


def recipe_for(name: str, dataset: str) -> Recipe:
    """The recipe of that name; `published` is the one that was tuned for the data set, or for VOC where none was."""
    return get_recipe(PUBLISHED.get(dataset, "published-voc") if name == "published" else name)


@dataclass
class Job:
    """Runs that share data set, model, front-end and recipe. What is costly is computed when first looked at.

    Attributes:
        spec: the experiment.
        runs: its lines measured here.
        dataset: with its images.
        setup: model, front-end, preprocessing.
        store: of embeddings.
        folder: of the results, for what is no number.
        progress: for the encoder.
    """

    spec: Spec
    runs: tuple[Run, ...]
    dataset: Dataset
    setup: Setup
    store: FeatureStore
    folder: Path
    progress: Progress | None = None
    started: float = field(default_factory=time.monotonic)

    @cached_property
    def key(self) -> str:
        """Changes with anything that decides the numbers."""
        images = [digest_of_items(part) for part in (self.dataset.unlabelled, self.dataset.test)]
        lines = [[run.row, run.method, *([run.change] if run.change else [])] for run in self.runs]
        constants = [METHODS[run.method].plain() for run in self.runs if run.method in METHODS]
        parts = [self.spec.name, self.spec.options, lines, self.setup.describe(), self.recipe.to_dict()]
        return digest(*parts, self.dataset.name, images, *constants)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the runs, for this data set."""
        return recipe_for(self.runs[0].recipe, self.dataset.name)

    @cached_property
    def classes(self) -> list[Label]:
        """The data set's class names."""
        return parse_labels(self.dataset.label_names)

    @cached_property
    def prototypes(self) -> Tensor:
        """C x d, unit length."""
        return text_prototypes(self.setup.model, self.classes)

    @cached_property
    def unlabelled(self) -> Features:
        """Embeddings of the images to learn from."""
        return self.store.get(self.setup, self.dataset.unlabelled, self.progress)

    @cached_property
    def test(self) -> Features:
        """Embeddings of the images to measure on."""
        return self.store.get(self.setup, self.dataset.test, self.progress)

    @cached_property
    def learnt(self) -> Learnt:
        """The fit on `unlabelled`."""
        return learn(self.setup, self.classes, self.prototypes, self.recipe, self.unlabelled)

    @cached_property
    def known(self) -> tuple[list[int], list[str]]:
        """Rows of `test` that have a truth, and their keys."""
        return targets(self.dataset.truth, self.test.ids)

    @cached_property
    def labels(self) -> Tensor:
        """n x C of 0 and 1, of the `known` images."""
        return torch.from_numpy(self.dataset.truth.targets(self.known[1]))

    @cached_property
    def scores(self) -> dict[str, Tensor]:
        """Method to n x C, of the `known` images."""
        return {name: scores[self.known[0]] for name, scores in score(self.learnt, self.test).items()}

    def row(
        self,
        run: Run,
        metric: str,
        value: float,
        low: float | None = None,
        high: float | None = None,
        parameter: str = "",
    ) -> Row:
        """A value measured here."""
        return Row(
            experiment=self.spec.name,
            row=run.row,
            dataset=self.dataset.name,
            model=run.model,
            pretrained=run.pretrained,
            front_end=run.front_end,
            recipe=self.recipe.name if run.method in PIAA_METHODS else "",
            method=run.method,
            metric=metric,
            value=value,
            low=low,
            high=high,
            parameter=parameter,
            images=len(self.known[0]),
            seconds=round(time.monotonic() - self.started, 3),
            run=self.key,
            versions=versions(),
            commit=commit(),
        )
