"""A classifier file as the commands that use one load it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from piaa.cli.console import show_weights

if TYPE_CHECKING:
    from piaa.methods import AnyScorer
    from piaa.recognizer import Recognizer
    from piaa.training.together import TogetherScorer


def classifier_file(classifier: Path) -> Path:
    """The file itself, or that of `hf-hub:OWNER/NAME` in the cache of this machine, downloaded where it is not there.

    Raises:
        ClassifierError: it cannot be had.
    """
    if not classifier.as_posix().startswith("hf-hub:"):
        return classifier
    from piaa.hub import pull

    return pull(classifier.as_posix())


def load_recognizer(classifier: Path, **options: Any) -> Recognizer:
    """`Recognizer.load` of a file or of a name on the hub, and a note where the weights are random."""
    from piaa.recognizer import Recognizer

    recognizer = Recognizer.load(classifier_file(classifier), **options)
    show_weights(recognizer.scorer().setup.model)
    return recognizer


def with_head(
    recognizer: Recognizer, head: Path | None, thresholds: list[str] | None = None
) -> AnyScorer | TogetherScorer:
    """PIAA's scorer, or PIAA and a head that it taught together.

    Raises:
        ClassifierError: the head does not belong to the classifier.
        InputError: thresholds by hand beside a head, which has its own.
    """
    scorer = recognizer.scorer()
    if head is None:
        return scorer
    from piaa.engine import Scorer
    from piaa.errors import InputError
    from piaa.training.together import TogetherScorer
    from piaa.training.trained import TrainedHead

    if thresholds:
        raise InputError("--threshold is for PIAA alone: with --head the thresholds were learnt for both together")
    if not isinstance(scorer, Scorer):
        raise InputError(f"--head goes with a classifier of PIAA, not with one of the method {scorer.method.name}")
    return TogetherScorer(scorer, TrainedHead.load(head))
