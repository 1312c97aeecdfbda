"""A job and the cluster: what `fit_job` and `tag_job` are given in the place of a learner or scorer and its images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from piaa.cluster.pipeline import FAN_IN, Block, Plan, connect, run_blocks
from piaa.cluster.results import Result, limits_of, merge_into, scores_of
from piaa.cluster.stream import ClusterFailure, Stream
from piaa.cluster.workers import FitWorker, TagWorker
from piaa.engine import Learner, Scorer, Seen
from piaa.errors import InputError
from piaa.jobs.fit import CHECKPOINT_EVERY
from piaa.jobs.tag import SHARD_SIZE
from piaa.methods import AnyLearner
from piaa.recognizer import Recognizer

RESULTS = 8
"""Results of the workers between two checkpoints of a fit."""
UNTIL, FAILED = "cluster.until", "cluster.failed"


@dataclass(frozen=True)
class Spread:
    """What a job is given.

    Attributes:
        worker: in the place of the learner or scorer.
        images: in the place of the images.
        threads: that decode on this machine: none, since the workers do.
        block: images that a worker takes at a time.
        checkpoint_every: images between checkpoints of a fit: several results of the workers.
        stream: the images, with what has travelled so far; None on one machine.
    """

    worker: Any
    images: Any
    threads: int
    block: int
    checkpoint_every: int
    stream: Stream | None = None


def parse_cluster(text: str) -> int:
    """Workers of `--cluster ray` (0: as many as fit) or `--cluster ray:8`.

    Raises:
        InputError: for anything else.
    """
    name, colon, number = text.partition(":")
    if name != "ray" or (colon and not (number.isdecimal() and int(number))):
        raise InputError(f"--cluster {text}: write ray, or ray:8 for 8 workers")
    return int(number or 0)


@contextmanager
def spread_fit(
    cluster: str | None, recognizer: Recognizer, learner: AnyLearner, images: Any, *, block: int | None = None
) -> Iterator[Spread]:
    """Inside, what `piaa.jobs.fit_job` needs to learn on a cluster.

    Args:
        cluster: see `parse_cluster`; None for this machine alone.
        recognizer: not fitted, with the parameters that the learner was made with; each worker makes its own.
        learner: gathers the evidence.
        images: see `piaa.inputs.items.iterate`; paths must mean the same on every machine.
        block: images that a worker takes at a time; on one machine, those between two checkpoints.

    Raises:
        InputError: no cluster, or one that cannot go on.
    """
    block = block or CHECKPOINT_EVERY
    if cluster is None:
        yield Spread(learner, images, recognizer.workers, block, block)
        return
    if not isinstance(learner, Learner):
        raise InputError(f"--cluster learns PIAA, not {learner.method.name}")
    plan = _plan(cluster, FitWorker, recognizer, learner.fingerprint, merge=True)

    def run(blocks: Sequence[Block]) -> Iterator[Result]:
        limits = limits_of(learner.evidence) if learner.evidence.images else None
        return run_blocks(blocks, plan, limits)

    def take(result: Result) -> dict[int, Any]:
        merge_into(learner.evidence, result.data)
        return {}

    stream = Stream(images, block, run, take)
    with _explained():
        yield Spread(_ClusterFitter(learner, stream), stream, 0, block, RESULTS * FAN_IN * block, stream)


@contextmanager
def spread_tag(
    cluster: str | None, recognizer: Recognizer, scorer: Any, images: Any, *, block: int | None = None
) -> Iterator[Spread]:
    """The same for `piaa.jobs.tag_job`; the recognizer is the fitted one that gave the scorer.

    Raises:
        InputError: no cluster, or one that cannot go on.
    """
    block = block or SHARD_SIZE
    if cluster is None:
        yield Spread(scorer, images, recognizer.workers, block, block)
        return
    if not isinstance(scorer, Scorer):
        raise InputError("--cluster tags with a classifier of PIAA alone")
    plan = _plan(cluster, TagWorker, recognizer, scorer.fingerprint, merge=False)
    stream = Stream(images, block, lambda blocks: run_blocks(blocks, plan, None), scores_of)
    with _explained():
        yield Spread(_ClusterScorer(scorer), stream, 0, block, block, stream)


def _plan(cluster: str, kind: Any, recognizer: Recognizer, fingerprint: str, *, merge: bool) -> Plan:
    workers = parse_cluster(cluster)
    connect()
    threads = (torch.get_num_threads(), max(1, recognizer.workers))
    return Plan(partial(kind, recognizer, fingerprint, threads), workers, recognizer.device, merge)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ClusterFailure as error:
        raise InputError(
            f"the cluster cannot go on: {str(error)[:2000]}; what is finished is kept, --resume goes on from there"
        ) from error


def _nothing(result: Any) -> Tensor:
    return torch.zeros(0)


@dataclass
class _ClusterFitter:
    """A `piaa.jobs.Fitter` that has nothing to do: the evidence came with the images.

    It may hold evidence of images that the job has not yet drawn, so that its state says up to which image it goes.
    """

    learner: Learner
    stream: Stream
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        self.fingerprint = f"{self.learner.fingerprint} on a cluster, blocks of {self.stream.block}"

    def preprocess(self, result: Any, /) -> Tensor:
        """Nothing of an image is needed here."""
        return _nothing(result)

    def update(self, images: Tensor, indices: list[int]) -> None:
        """Done already."""

    def state_dict(self) -> dict[str, Tensor]:
        """The learner's, up to which image it goes, and what failed in the last result."""
        failed = torch.frombuffer(bytearray(json.dumps(list(self.stream.failed.items())).encode()), dtype=torch.uint8)
        return {**self.learner.state_dict(), UNTIL: torch.tensor(self.stream.until), FAILED: failed}

    def load_state_dict(self, state: dict[str, Tensor], /) -> None:
        """Go on from a state.

        Raises:
            ValueError: when it is of another kind.
        """
        self.learner.load_state_dict(state)
        self.stream.until = int(state[UNTIL])
        self.stream.failed = {int(index): str(why) for index, why in json.loads(state[FAILED].numpy().tobytes())}


@dataclass
class _ClusterScorer:
    """A `piaa.jobs.TagScorer` whose images are scores already."""

    scorer: Scorer

    @property
    def label_names(self) -> list[str]:
        """C classes."""
        return self.scorer.label_names

    @property
    def fingerprint(self) -> str:
        """The scorer's own: a run may go on with a cluster or without one."""
        return self.scorer.fingerprint

    @property
    def setup(self) -> Any:
        """The scorer's own, for what is written beside the tags."""
        return self.scorer.setup

    def preprocess(self, scores: Any, /) -> Tensor:
        """C scores, and how unlike the images of the fit it is."""
        found: Tensor = scores
        return found

    def score(self, images: Tensor) -> Tensor:
        """N x C, as they came."""
        return self.look(images).scores

    def look(self, images: Tensor) -> Seen:
        """Both, as they came."""
        return Seen(images[:, :-1], images[:, -1])

    @property
    def tests_foreign(self) -> bool:
        """The scorer's own."""
        return self.scorer.tests_foreign

    def decide(self, scores: Tensor, strangeness: Tensor | None = None) -> tuple[Any, Any]:
        """The scorer's decision."""
        return self.scorer.decide(scores, strangeness)
