"""How good is it, and is it the method: one classifier against its own ablations on images with known labels."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.baselines import PIAA
from piaa.classifier import Classifier
from piaa.errors import ImageError, InputError
from piaa.evaluation import metrics
from piaa.evaluation.summary import summarise
from piaa.evaluation.truth import Truth
from piaa.inputs.items import batches, iterate
from piaa.jobs import Progress
from piaa.method import paa
from piaa.methods import AnyScorer, MethodScorer
from piaa.vision.encoder import Encoded

CLS_SCALE, TEXT_SCALE = 80.0, 60.0  # of the published baselines' softmaxes: [CLS], text patches
NONE_NAMED = (
    "the truth file names none of the images found, or none that can be read; its paths are taken from its own folder, "
    "or from the folder of images"
)
METHODS = ("cls", "text_patch", "text_scaled", "paa", "pvcl", "piaa")
METHOD_NAMES = {
    "cls": "[CLS] softmax",
    "text_patch": "text patches + max",
    "text_scaled": "text patches, our scale and pooling",
    "paa": "PAA on text patches",
    "pvcl": "PVCL patches",
    "piaa": "PIAA (PVCL + PAA)",
}


SHORT_NAMES = {"cls": "[CLS]", "text_patch": "text patches", "piaa": "PIAA"}


def method_title(method: str, short: bool = False) -> str:
    """What a table calls a method; one of `piaa.baselines.METHODS` goes by its own name."""
    return {**METHOD_NAMES, **(SHORT_NAMES if short else {})}.get(method, method)


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
        main: the method that the classifier is of: `piaa`, or the one method of `scores`.
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


def _key(truth: Truth, image: str, inputs: Any) -> str | None:
    """The image in the truth file: its paths count from the file's own folder, or from the folder of images."""
    key = truth.find(image)
    if key is None and isinstance(inputs, str | os.PathLike):
        relative = os.path.relpath(image, inputs).replace(os.sep, "/")
        key = relative if relative in truth.labels else None
    return key


def _seen(scorer: AnyScorer, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Of a batch: scores of every method of `METHODS`, or the rows of another method; and how strange images are."""
    if isinstance(scorer, MethodScorer):
        return {scorer.method.name: scorer.observe(images)}, torch.zeros(len(images))
    encoded = scorer.encode(images)
    return method_scores(scorer.classifier, encoded), scorer.look_encoded(encoded).strangeness


def _scores(scorer: AnyScorer, seen: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scores of the whole set from what `_seen` gave of its batches."""
    if isinstance(scorer, MethodScorer):
        return {name: scorer.score_set(rows) for name, rows in seen.items()}
    return seen


def evaluate(
    scorer: AnyScorer,
    inputs: Any,
    truth: Truth,
    *,
    batch_size: int = 64,
    workers: int = 2,
    progress: Progress | None = None,
) -> Evaluation:
    """Score the images that a truth file names, by PIAA and its parts or by the method that the classifier is of.

    Raises:
        InputError: when there are no images, or the truth names none of them.
    """
    items = list(iterate(inputs))
    if all(_key(truth, item.id, inputs) is None for item in items):  # before the work, not after it
        raise InputError(NONE_NAMED)
    failed: list[tuple[str, str]] = []

    def report(error: ImageError) -> None:
        failed.append((error.path, error.reason))

    ids: list[str] = []
    parts: dict[str, list[Tensor]] = {}
    strange: list[Tensor] = []
    for batch in batches(items, scorer.preprocess, batch_size, workers, report):
        ids.extend(batch.ids)
        seen, strangeness = _seen(scorer, batch.images)
        strange.append(strangeness)
        for name, values in seen.items():
            parts.setdefault(name, []).append(values)
        if progress:
            progress(batch.indices[-1] + 1, len(items))
    keys = [_key(truth, name, inputs) for name in ids]
    found = [number for number, key in enumerate(keys) if key is not None]
    known = [key for key in keys if key is not None]
    if not found:
        raise InputError(NONE_NAMED)
    main = scorer.method.name if isinstance(scorer, MethodScorer) else PIAA
    kept = _scores(scorer, {name: torch.cat(part)[found] for name, part in parts.items()})
    calibrated, decided = scorer.decide(kept[main], torch.cat(strange)[found])
    named = set(found)
    return Evaluation(
        [ids[i] for i in found],
        torch.from_numpy(truth.targets(known)),
        torch.from_numpy(truth.size_matrix(known)),
        kept,
        torch.from_numpy(calibrated),
        torch.from_numpy(np.asarray(decided)),
        failed,
        [name for number, name in enumerate(ids) if number not in named],
        known,
        main,
    )
