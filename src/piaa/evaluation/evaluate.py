"""How good is it, and is it the method: one classifier against its own ablations on images with known labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from piaa.baselines import PIAA
from piaa.classifier import Classifier
from piaa.errors import ImageError, InputError
from piaa.evaluation import metrics
from piaa.evaluation.summary import summarise
from piaa.evaluation.truth import Truth
from piaa.inputs.items import Item, Source, batches, open_source
from piaa.jobs import Progress
from piaa.method import paa
from piaa.methods import AnyScorer, MethodScorer
from piaa.vision.encoder import Encoded

CLS_SCALE, TEXT_SCALE = 80.0, 60.0  # of the published baselines' softmaxes: [CLS], text patches
NONE_NAMED = (
    "the truth file names none of the images found, or none that can be read; its paths are taken from its own folder, "
    "or from the folder, URL or tar of the images"
)
METHODS = ("cls", "text_patch", "text_scaled", "paa", "pvcl", "piaa")
METHOD_NAMES = {
    "cls": "[CLS] softmax",
    "text_patch": "text patches + max",
    "text_scaled": "text patches, our scale and pooling",
    "paa": "PAA on text patches",
    "pvcl": "PVCL patches",
    "piaa": "PIAA (PVCL + PAA)",
    "head": "the head alone",
    "together": "PIAA and the head together",
}


SHORT_NAMES = {"cls": "[CLS]", "text_patch": "text patches", "piaa": "PIAA", "together": "PIAA and the head"}


def method_title(method: str, short: bool = False) -> str:
    """What a table calls a method; one of `piaa.baselines.METHODS` goes by its own name."""
    return {**METHOD_NAMES, **(SHORT_NAMES if short else {})}.get(method, method)


@runtime_checkable
class ManyScores(Protocol):
    """A scorer that says itself what is measured of it, such as `piaa.training.together.TogetherScorer`.

    Attributes:
        main: the entry of `look_by_name` that `decide` decides.
    """

    main: str

    def look_by_name(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """N x 3 x H x W to scores N x C each, and N: how unlike the images of the fit these are."""

    def preprocess(self, image: Image.Image, /) -> Tensor:
        """PIL RGB to 3 x H x W."""

    def decide(self, scores: Tensor, strangeness: Tensor | None = None) -> tuple[Any, Any]:
        """Calibrated scores N x C and which labels each image has, N x C bool."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of every method on the images of a truth file.

    Attributes:
        ids: n image names.
        labels: n x C of 0 and 1.
        sizes: n x C relative sizes, NaN where unknown.
        scores: method to n x C.
        calibrated: n x C of the method `main`, 0..1.
        decided: n x C bool of it.
        failed: images that could not be read, with reasons.
        unmatched: images that the truth file does not name.
        keys: n names of the images in the truth file, which do not depend on where the files are.
        main: the method that the classifier is of: `piaa`, the one method of `scores`, or as of `ManyScores`.
        absent: images of the truth file that were not among those given.
    """

    ids: list[str]
    labels: Tensor
    sizes: Tensor
    scores: dict[str, Tensor]
    calibrated: Tensor
    decided: Tensor
    failed: list[tuple[str, str]]
    unmatched: list[str]

    keys: list[str] = field(default_factory=list)
    main: str = PIAA
    absent: list[str] = field(default_factory=list)

    def summary(self, *, rule: str = "torchmetrics", resamples: int | None = None, seed: int = 0) -> dict[str, Any]:
        """Every number, in percent: see `piaa.evaluation.summary.summarise`."""
        return summarise(
            self.scores,
            self.labels,
            self.sizes,
            self.decided,
            rule=rule,
            resamples=resamples,
            seed=seed,
            main=self.main,
        )

    def per_class(self, rule: str = "torchmetrics") -> dict[str, list[float]]:
        """AP of each class by method, percent; NaN without positives."""
        each = {name: metrics.average_precision(s, self.labels, rule) for name, s in self.scores.items()}
        return {name: (ap * 100).tolist() for name, ap in each.items()}


def method_scores(classifier: Classifier, encoded: Encoded) -> dict[str, Tensor]:
    """Scores N x C of PIAA and of everything it is made of, from the same embeddings.

    `cls` and `text_patch` are the published baselines, with the maximum at their published scales; `text_scaled` is the
    latter with the recipe's aggregator at the scale that it measures, so that what these alone gain is seen.

    Args:
        classifier: the fitted one.
        encoded: embeddings of N images.
    """
    learnt, text = classifier.learnt.to(torch.float32), classifier.text.to(torch.float32)
    unit = F.normalize(encoded.cls, dim=-1)
    text_pooled, pooled = text.pooled(encoded.patches), learnt.pooled(encoded.patches)
    return {
        "cls": paa.cls_scores(unit, text.weight, CLS_SCALE),
        "text_patch": paa.pooled_probabilities(encoded.patches, text.weight, text.bias, TEXT_SCALE),
        "text_scaled": text_pooled,
        "paa": text.fused(text_pooled, encoded.cls),
        "pvcl": pooled,
        "piaa": learnt.fused(pooled, encoded.cls),
    }


@dataclass
class _Named:
    """The images that a truth file names, out of all that come.

    Attributes:
        truth: the file.
        source: of the images.
        keys: of those drawn so far, in the truth file; None for what only says why there is no image.
        unmatched: images that the truth file does not name.
    """

    truth: Truth
    source: Source
    keys: list[str | None] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)

    def items(self) -> Iterator[Item]:
        """Those that are named, and what says why there is no image; nothing else is decoded."""
        for item in self.source:
            key = self.truth.match(item.id, self.source.below(item.id))
            if key is None and not isinstance(item.source, ImageError):
                self.unmatched.append(item.id)
                continue
            self.keys.append(key)
            yield item

    @property
    def absent(self) -> list[str]:
        """Images of the truth file that did not come."""
        came = set(self.keys)
        return [key for key in self.truth.labels if key not in came]


def _main(scorer: AnyScorer | ManyScores) -> str:
    if isinstance(scorer, ManyScores):
        return scorer.main
    return scorer.method.name if isinstance(scorer, MethodScorer) else PIAA


def _seen(scorer: AnyScorer | ManyScores, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Of a batch: scores of every method of `METHODS`, or the rows of another method; and how strange images are."""
    if isinstance(scorer, ManyScores):
        return scorer.look_by_name(images)
    if isinstance(scorer, MethodScorer):
        return {scorer.method.name: scorer.observe(images)}, torch.zeros(len(images))
    encoded = scorer.encode(images)
    return method_scores(scorer.classifier, encoded), scorer.strangeness_encoded(encoded)


def _scores(scorer: AnyScorer | ManyScores, seen: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scores of the whole set from what `_seen` gave of its batches."""
    if isinstance(scorer, MethodScorer):
        return {name: scorer.score_set(rows) for name, rows in seen.items()}
    return seen


def evaluate(
    scorer: AnyScorer | ManyScores,
    inputs: Any,
    truth: Truth,
    *,
    batch_size: int = 64,
    workers: int = 2,
    progress: Progress | None = None,
) -> Evaluation:
    """Score the images that a truth file names, by PIAA and its parts or by the method that the classifier is of.

    Args:
        scorer: of a classifier, or PIAA's with a head (`ManyScores`).
        inputs: see `piaa.inputs.items.iterate`. Images that the truth file does not name are not opened.
        truth: which labels they have; `Truth.match` says how an image is found in it.
        batch_size: images that go through the model together.
        workers: threads that decode.
        progress: called with the images so far and how many the truth file names.

    Raises:
        InputError: when there are no images, the truth names none of them, or it is not clear which.
    """
    named, failed = _Named(truth, open_source(inputs)), list[tuple[str, str]]()

    def report(error: ImageError) -> None:
        failed.append((error.path, error.reason))

    ids: list[str] = []
    known: list[str] = []
    parts: dict[str, list[Tensor]] = {}
    strange: list[Tensor] = []
    for batch in batches(named.items(), scorer.preprocess, batch_size, workers, report):
        ids.extend(batch.ids)
        known.extend(key for key in (named.keys[index] for index in batch.indices) if key is not None)
        seen, strangeness = _seen(scorer, batch.images)
        strange.append(strangeness)
        for name, values in seen.items():
            parts.setdefault(name, []).append(values)
        if progress:
            progress(batch.indices[-1] + 1, len(truth.labels))
    if not known:
        raise InputError(NONE_NAMED)
    main = _main(scorer)
    kept = _scores(scorer, {name: torch.cat(part) for name, part in parts.items()})
    calibrated, decided = scorer.decide(kept[main], torch.cat(strange))
    return Evaluation(
        ids,
        torch.from_numpy(truth.targets(known)),
        torch.from_numpy(truth.size_matrix(known)),
        kept,
        torch.from_numpy(calibrated),
        torch.from_numpy(np.asarray(decided)),
        failed,
        named.unmatched,
        known,
        main,
        named.absent,
    )
