"""A truth file in the place of a person: answers for `Recognizer.calibrate` from corrections that were imported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from piaa.errors import InputError
from piaa.evaluation.truth import Truth
from piaa.method.thresholds import Thresholds
from piaa.questions import Question, ask
from piaa.tags import Tags


def answers_from(
    truth: Truth, tags: Tags, thresholds: Thresholds, count: int = 2000, seed: int = 0
) -> list[tuple[Question, bool]]:
    """Questions about the images that the truth names, answered by it.

    The answers stand for all tagged images: choose what is corrected by chance, not by its labels.

    Args:
        truth: what `piaa.evaluation.truth.read_truth` read, with the classifier's own classes.
        tags: of `Recognizer.tag`, at the thresholds of now; images that the truth does not name are left out.
        thresholds: `Recognizer.thresholds_`.
        count: questions at most; all pairs of image and class where there are fewer.
        seed: of the draw.

    Raises:
        InputError: the classes differ, or the truth names none of the images.
    """
    if list(truth.label_names) != list(tags.classes):
        raise InputError("the truth file was read with other classes than the images were tagged with")
    keys = [truth.find(path) for path in tags.paths]
    if not any(key is not None for key in keys):
        raise InputError("the truth file names none of the tagged images; its paths are taken from its own folder")
    known = np.array([key is not None for key in keys])
    scores = np.where(known[:, None], tags.scores, np.nan)
    place = {path: number for number, path in enumerate(tags.paths)}
    index = {name: number for number, name in enumerate(tags.classes)}
    readable = np.isfinite(tags.scores).all(axis=1)
    more = readable.sum() / max(1, (readable & known).sum())  # images that each corrected one stands for
    return [
        (replace(question, weight=question.weight * more), index[question.label] in labels)
        for question in ask(replace(tags, scores=scores), thresholds, count, seed)
        for labels in (truth.labels[str(keys[place[question.path]])],)
    ]
