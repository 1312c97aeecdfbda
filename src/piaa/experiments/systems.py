"""Table 1 line by line: each system is a function of a job that gives scores and seconds; a finished line is stored.

A line of `specs/table1.toml` names its system by `method`. What that is, `system_of` says: a part of PIAA, a method of
`piaa.baselines.METHODS`, one of `piaa.training.METHODS` (a head on the embeddings that the other lines have too), or an
entry of `SYSTEMS`:

    SYSTEMS["role"] = lambda job: System(scores, learning_seconds, test_seconds)

Each line is a job of its own (`piaa.experiments.runner.jobs`), so it is stored as soon as it is measured, and what is
stored is not measured again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from piaa import baselines, training
from piaa.baselines import Method, OnEmbeddings
from piaa.errors import ImageError, InputError
from piaa.evaluation import metrics
from piaa.evaluation.evaluate import METHODS
from piaa.experiments.features import Features
from piaa.experiments.job import Job
from piaa.experiments.measure import mean_ap
from piaa.experiments.results import Row
from piaa.inputs.items import Item, batches
from piaa.methods import templates_of


@dataclass(frozen=True)
class System:
    """What a line measured.

    Attributes:
        scores: n x C, of the job's test images whose labels are known (`Job.known`), in their order.
        learning_seconds: decoding and encoding included; 0 where nothing is learnt.
        test_seconds: likewise.
    """

    scores: Tensor
    learning_seconds: float
    test_seconds: float


SystemRunner = Callable[[Job], System]
SYSTEMS: dict[str, SystemRunner] = {}
"""Systems that are in no other table, by the `method` of their line."""


def is_system(name: str) -> bool:
    """Whether a line may name it."""
    return any(name in table for table in (METHODS, baselines.METHODS, training.METHODS, SYSTEMS))


def system_of(name: str) -> SystemRunner:
    """The function that measures a line's system.

    Raises:
        InputError: for a name that is none, listing those that exist.
    """
    if name in SYSTEMS:
        return SYSTEMS[name]
    if name in baselines.METHODS:
        return lambda job: measure_method(job, baselines.METHODS[name])
    if name in METHODS:
        return lambda job: _part_of_piaa(job, name)
    if name in training.METHODS:
        return lambda job: measure_trained(job, name)
    known = ", ".join([*METHODS, *baselines.METHODS, *training.METHODS, *SYSTEMS])
    raise InputError(f"no system is called {name!r}; choose one of: {known}")


def systems(job: Job) -> list[Row]:
    """mAP with its interval, the minutes of each line, and every registered metric."""
    parameter = "" if job.dataset.seed is None else f"seed={job.dataset.seed}"
    rows = []
    for run in job.runs:
        found = system_of(run.method)(job)
        rows += [
            job.row(run, "mAP", *mean_ap(found.scores, job.labels), parameter=parameter),
            job.row(run, "learning minutes", found.learning_seconds / 60, parameter=parameter),
            job.row(run, "test minutes", found.test_seconds / 60, parameter=parameter),
        ]
        for name, metric in metrics.registered_metrics().items():
            rows.append(job.row(run, name, metric(found.scores, job.labels), parameter=parameter))
    return rows


def _part_of_piaa(job: Job, name: str) -> System:
    test, learnt = job.test, job.learnt
    begin = time.monotonic()
    scores = job.scores[name]
    learning = job.unlabelled.seconds + learnt.bank_seconds + learnt.closed_form_seconds if name == "piaa" else 0.0
    return System(scores, learning, test.seconds + time.monotonic() - begin)


def measure_method(job: Job, method: Method) -> System:
    """A training-free method: on stored embeddings where these are all it reads, else on the images."""
    words = method.words(job.setup.model, job.classes, templates_of(method, "published"))
    seconds, learnt = 0.0, {}
    if method.learns and not method.transductive:
        rows, seconds, _ = _observed(job, method, words, job.dataset.unlabelled, lambda: job.unlabelled)
        begin = time.monotonic()
        learnt = method.learn(rows, words)
        seconds += time.monotonic() - begin
    rows, test_seconds, ids = _observed(job, method, words, job.dataset.test, lambda: job.test)
    rows = rows[_places(ids, [job.test.ids[row] for row in job.known[0]])]
    begin = time.monotonic()
    learnt = method.learn(rows, words) if method.transductive else learnt
    scores = method.score(rows, words, learnt)
    return System(scores, seconds, test_seconds + time.monotonic() - begin)


def measure_trained(job: Job, name: str) -> System:
    """Train a method of `piaa.training.METHODS` on the job's images to learn from, and score its test images.

    Its regime decides which of their labels it sees; labels of the test images are for measuring. The seed of the
    scenes is that of the training.

    Raises:
        InputError: where the labels of an image are not known.
    """
    from piaa.training.on_scenes import scenes_of

    train, test, truth = job.unlabelled, job.test, job.dataset.truth
    unknown = [image for part in (train, test) for image in part.ids if image not in truth.labels]
    if unknown:
        raise InputError(f"{job.dataset.name}: {len(unknown)} images have no labels, the first: {unknown[0]}")
    scenes = scenes_of(job.dataset, train, test, job.prototypes)
    found = training.evaluate_on_scenes(name, job.dataset.seed or 0, scenes=scenes, resamples=0)
    learning = train.seconds + float(found["train_seconds"])
    return System(found["scores"][job.known[0]], learning, test.seconds + float(found["test_seconds"]))


def _observed(
    job: Job, method: Method, words: dict[str, Tensor], items: Sequence[Item], stored: Callable[[], Features]
) -> tuple[Tensor, float, list[str]]:
    """Rows, the seconds that they took, and the images that they are of."""
    if isinstance(method, OnEmbeddings):
        features = stored()
        begin = time.monotonic()
        rows = torch.cat([method.observe(encoded, words) for encoded, _ in features.batches()])
        return rows, features.seconds + time.monotonic() - begin, features.ids
    observe = method.observer(job.setup, words)
    failed: list[ImageError] = []
    parts, ids = [], []
    begin = time.monotonic()
    together, workers = job.setup.decoded_together, job.store.workers
    for batch in batches(items, job.setup.preprocess, together, workers, failed.append):
        parts.append(observe(batch.images))
        ids += batch.ids
        if job.progress:
            job.progress(batch.indices[-1] + 1, len(items))
    if not parts:
        raise InputError(f"none of the {len(items)} images can be read; the first: {failed[0]}")
    return torch.cat(parts), time.monotonic() - begin, ids


def _places(ids: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where the wanted images are; an image that could be read once can be read again."""
    place = {name: row for row, name in enumerate(ids)}
    return [place[name] for name in wanted]
