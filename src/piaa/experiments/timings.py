"""Table 5: minutes to learn and to tag, and the test and learning times of other methods in units of PIAA's."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from piaa import baselines, training
from piaa.engine import Learner, Scorer
from piaa.errors import ImageError
from piaa.experiments.clocks import Clock
from piaa.experiments.job import Job
from piaa.experiments.learning_times import learning_ratios
from piaa.experiments.results import Row
from piaa.experiments.spec import Run
from piaa.experiments.tables import RATIO
from piaa.inputs.items import batches
from piaa.methods import AnyScorer, MethodLearner, MethodScorer, templates_of
from piaa.vocabulary.labels import Label
from piaa.vocabulary.prototypes import text_prototypes


def timing(job: Job) -> list[Row]:
    """Minutes of PIAA, decoding and encoding included; then every line's time over PIAA's, in one run.

    Of a trained system it is the time of learning, of any other the time of the test.
    """
    own = [run for run in job.runs if run.method == baselines.PIAA]
    trained = [run for run in job.runs if run.method in training.METHODS]
    others = [run for run in job.runs if run not in own and run not in trained]
    rows = [row for run in own for row in _minutes(job, run)]
    rows += _ratios(job, others) if others else []
    return rows + (learning_ratios(job, trained) if trained else [])


def _minutes(job: Job, run: Run) -> list[Row]:
    learnt = job.learnt
    _ = job.test  # encoded before the clock of the scoring starts
    begin = time.monotonic()
    _ = job.scores
    scoring = time.monotonic() - begin
    learning = job.unlabelled.seconds + learnt.bank_seconds + learnt.closed_form_seconds
    testing = job.test.seconds + scoring
    return [
        job.row(run, "learning minutes", learning / 60),
        job.row(run, "test minutes", testing / 60),
        job.row(run, "encoder share of learning", 100 * job.unlabelled.encoder_seconds / learning),
        job.row(run, "encoder share of test", 100 * job.test.encoder_seconds / testing),
        job.row(run, "images learnt from a second", len(job.unlabelled) / learning),
        job.row(run, "images tagged a second", len(job.test) / testing),
    ]


def _ratios(job: Job, runs: Sequence[Run]) -> list[Row]:
    """For growing parts of the class list: the median over rounds of time over PIAA's, and the least and greatest."""
    options = job.spec.options
    images = _pictures(job, int(options["images"]))
    counts = sorted({min(int(count), len(job.classes)) for count in [*options["classes"], len(job.classes)]})
    rows = []
    for count in counts:
        scorers = {"": _piaa(job, job.classes[:count])} | {
            run.row: _method(job, run.method, job.classes[:count], images) for run in runs
        }
        taken = _rounds(scorers, images, int(options["rounds"]))
        for run in runs:
            ratio = taken[run.row] / taken[""]
            middle = float(np.median(ratio))
            parameter = f"classes={count}"
            rows.append(job.row(run, RATIO, middle, float(ratio.min()), float(ratio.max()), parameter))
    return rows


def _rounds(scorers: dict[str, AnyScorer], images: Tensor, rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each scorer in each round; the scorers take turns, so that a busy machine slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in scorers}
    for scorer in scorers.values():
        scorer.score(images[:2])  # what a first call costs is no part of it
    for _ in range(rounds):
        for name, scorer in scorers.items():
            clock = Clock(images.device if images.is_cuda else scorer.setup.model.device)
            scorer.score(images)
            seconds[name].append(clock.seconds)
    return {name: np.array(values) for name, values in seconds.items()}


def _pictures(job: Job, most: int) -> Tensor:
    """The first test images that can be read, ready for the model: decoding is no part of the ratio."""
    failed: list[ImageError] = []
    items = job.dataset.test[:most]
    found = [batch.images for batch in batches(items, job.setup.preprocess, most, job.store.workers, failed.append)]
    return torch.cat(found)


def _piaa(job: Job, labels: Sequence[Label]) -> Scorer:
    """PIAA learnt on a few images: what a classifier costs does not depend on what it has learnt."""
    learner = Learner(job.setup, labels, text_prototypes(job.setup.model, labels), job.recipe)
    encoded, indices = next(iter(job.test.batches(64)))
    learner.update_encoded(encoded, indices)
    return Scorer(job.setup, learner.finish())


def _method(job: Job, name: str, labels: Sequence[Label], images: Tensor) -> MethodScorer:
    method = baselines.METHODS[name]
    learner = MethodLearner(job.setup, labels, method, templates_of(method, "published"))
    learner.update(images[:2], range(len(images[:2])))
    return MethodScorer(job.setup, learner.finish())
