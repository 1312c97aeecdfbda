"""One training run from stored embeddings to a head, and the same with its measurement."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from piaa.engine import digest
from piaa.errors import InputError
from piaa.evaluation import metrics
from piaa.jobs import Progress
from piaa.method.thresholds import DEFAULT_RULE, Thresholds, learn_thresholds
from piaa.training import regions as parts
from piaa.training.heads import Logits, Network
from piaa.training.labels import Known, probabilities, update_named
from piaa.training.loop import Judge, Place, Run, fit
from piaa.training.material import HeadInputs, Inputs, Material, PatchInputs
from piaa.training.regimes import observe, read_observed, write_observed
from piaa.training.regions import EncodedRegions, PatchRegions, Regions
from piaa.training.spec import Method, Pace
from piaa.training.teachers import Teacher, teacher_named, together
from piaa.training.trained import PATCHES, TrainedHead

DEFAULT_HEAD = "class-wise"
RESAMPLES = 200
LAST, TEST_MAP = "last", "test-map"
CHOICES = (LAST, TEST_MAP)
"""Which epoch's head is kept: the last, or the one with the highest test mAP, as much published code does it."""


@dataclass(frozen=True)
class Plan:
    """What a user decides about a run.

    Attributes:
        method: with the constants of its data set.
        regime: in place of the method's own; empty: its own.
        pseudo_labels: teacher in place of the method's own; empty: its own.
        head: a name of `piaa.training.heads.FEATURES`.
        seed: of the drawn labels, the order of images and all else.
        choose: a name of `CHOICES`.
        labels: file that drawn labels are stored in and read from; None: drawn and not kept.
        pace: in place of the method's own.
        words: C x e class embeddings for a graph network; None: the text prototypes.
    """

    method: Method
    regime: str = ""
    pseudo_labels: str = ""
    head: str = DEFAULT_HEAD
    seed: int = 0
    choose: str = LAST
    labels: Path | None = None
    pace: Pace | None = None
    words: Tensor | None = None

    @property
    def features(self) -> str:
        """What the network sees of stored embeddings: the head's name, or `PATCHES` for a graph network."""
        return PATCHES if self.method.network else self.head


@dataclass(frozen=True)
class Learnt:
    """A finished run.

    Attributes:
        run: its epochs, and the network.
        observed: N x C labels that training saw, a teacher's among them.
        regime: that was used.
        teacher: that was used; empty for none.
        taught: the teacher itself.
        seconds: training alone, without encoding.
        about: JSON values: method, regime, teacher, seed, the chosen epoch and how it was chosen.
    """

    run: Run
    observed: Tensor
    regime: str
    teacher: str
    taught: Teacher | None
    seconds: float
    about: dict[str, Any]


@dataclass(frozen=True)
class Outcome(Learnt):
    """A finished run on stored embeddings.

    Attributes:
        trained: the head.
    """

    trained: TrainedHead


def train(
    plan: Plan,
    material: Material,
    truth: Tensor | None,
    place: Place | None = None,
    *,
    test: tuple[Material, Tensor] | None = None,
    inputs: Inputs | None = None,
    teacher: Teacher | None = None,
    regions: Regions | None = None,
    settings: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Draw labels by the regime, ask the teacher where one is needed, train a head on stored embeddings.

    Args:
        plan: what to train.
        material: embeddings of the training images.
        truth: N x C of 0 and 1; None for the regime `none`, which never looks at it.
        place: where and how.
        test: images and labels, looked at by `choose = "test-map"` alone.
        inputs: what the head sees, where it is computed already.
        teacher: likewise.
        regions: how parts of the images are seen; None: by their patches.
        settings: kept in the trained head.
        progress: called with the epochs done.

    Raises:
        InputError: a name that does not exist, truth that is missing, or a problem of `loop.fit`.
        LabelError: stored labels of another run.
    """
    judge = _judge(plan, test)
    given = inputs if inputs is not None else inputs_of(plan, material)
    learnt = learn(
        plan, material, truth, given, place, judge=judge, teacher=teacher, regions=regions, progress=progress
    )
    about = {**learnt.about, **(settings or {})}
    network, thresholds = learnt.run.network, _thresholds(learnt, material, given)
    head = Logits(network) if network.sizes else network.head
    trained = TrainedHead(head, plan.features, material.prototypes, material.names, about, thresholds)
    return Outcome(**vars(learnt), trained=trained)


def inputs_of(plan: Plan, material: Material) -> Inputs:
    """What the network of a plan is given of stored embeddings."""
    return PatchInputs(material) if plan.method.network else HeadInputs(material, plan.head)


def learn(
    plan: Plan,
    material: Material,
    truth: Tensor | None,
    inputs: Inputs,
    place: Place | None = None,
    *,
    judge: Judge | None = None,
    teacher: Teacher | None = None,
    backbone: nn.Module | None = None,
    regions: Regions | None = None,
    mark: str = "",
    progress: Progress | None = None,
) -> Learnt:
    """As `train`, whatever the network is given; `mark` tells runs of different backbones apart.

    PIAA as a teacher has looked at every patch: regions are patches to it, whatever `regions` are.
    """
    started = time.monotonic()
    regime = plan.regime or plan.method.regime
    if plan.choose not in CHOICES:
        raise InputError(f"no choice of epoch is called {plan.choose!r}; choose one of: {', '.join(CHOICES)}")
    if regime != "none" and update_named(plan.method.update).blind:
        raise InputError(
            f"{plan.method.name} learns from a teacher alone and would look at no label: leave out --regime"
        )
    observed = _observed(plan, regime, material, truth)
    name = plan.pseudo_labels or plan.method.teacher or ("clip" if regime == "none" else "")
    taught = regime == "none" or update_named(plan.method.update).teaches
    if plan.pseudo_labels and not taught:
        raise InputError(
            f"{plan.method.name} with the labels of {regime!r} asks no teacher; give --regime none as well"
        )
    if taught and (teacher is None or teacher.name != name):
        teacher = teacher_named(name)(material)
    if not taught:
        teacher, name = None, ""
    if regime == "none" and teacher is not None:
        observed = torch.where(teacher.positives, 1, observed).to(torch.int8)
    if regions is None or (teacher is not None and teacher.name != "clip"):
        regions = PatchRegions(material)
    known = Known(observed, material, inputs, teacher, torch.Generator(), regions, plan.words)
    fingerprint = digest(
        vars(plan.method),
        plan.head,
        plan.seed,
        plan.choose,
        str(plan.pace),
        name,
        mark,
        observed,
        material.ids,
        plan.words,
        type(regions).__name__,
    )
    run = fit(
        plan.method, known, plan.seed, place, pace=plan.pace, judge=judge, backbone=backbone, fingerprint=fingerprint,
        progress=progress,
    )  # fmt: skip
    about = {
        "method": plan.method.name, "regime": regime, "teacher": name, "seed": plan.seed, "epoch": run.epoch,
        "choose": plan.choose, "regions": parts.ENCODED if isinstance(regions, EncodedRegions) else parts.PATCHES,
    }  # fmt: skip
    return Learnt(run, observed, regime, name, teacher, time.monotonic() - started, about)


def _observed(plan: Plan, regime: str, material: Material, truth: Tensor | None) -> Tensor:
    if truth is None:
        if regime != "none":
            raise InputError(f"the label regime {regime!r} needs true labels of the training images: --truth")
        truth = torch.zeros(len(material), len(material.names))
    if plan.labels is not None and plan.labels.is_file():
        return read_observed(plan.labels, material.ids, material.names, regime, plan.seed)
    observed = observe(regime, truth, plan.seed)
    if plan.labels is not None:
        write_observed(plan.labels, material.ids, material.names, observed, regime, plan.seed)
    return observed


def _thresholds(learnt: Learnt, material: Material, inputs: Inputs) -> Thresholds | None:
    """Of PIAA and its student together, from their scores of the training images; None where PIAA did not teach."""
    teacher = learnt.taught
    if teacher is None or teacher.name != "piaa":
        return None
    raw = torch.cat([teacher.score(cls, patches) for cls, patches, _ in material.batches()])
    both = together(raw, probabilities(learnt.run.network, inputs))
    return learn_thresholds(both.numpy(), DEFAULT_RULE)


def _judge(plan: Plan, test: tuple[Material, Tensor] | None) -> Judge | None:
    if plan.choose == LAST:
        return None
    if test is None:
        raise InputError(f"--choose-epoch {TEST_MAP} needs test images with labels; give --test-truth or a data set")
    inputs, labels = inputs_of(plan, test[0]), test[1]

    def judge(network: Network) -> float:
        return float(metrics.mean_average_precision(probabilities(network, inputs), labels))

    return judge


def scores_of(trained: TrainedHead, material: Material) -> Tensor:
    """Probabilities N x C of test images."""
    return torch.cat([trained.score(cls, patches) for cls, patches, _ in material.batches()])


def mean_ap(scores: Tensor, labels: Tensor, resamples: int = RESAMPLES) -> tuple[float, float | None, float | None]:
    """mAP in percent with its 95% interval over images; no interval for 0 resamples."""
    if not resamples:
        return 100 * metrics.mean_average_precision(scores, labels), None, None
    interval = metrics.bootstrap_interval(metrics.mean_average_precision, scores, labels, resamples=resamples)
    return 100 * interval.value, 100 * interval.low, 100 * interval.high
