"""Learning and tagging in the background, with word of how far it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from piaa.errors import ImageError, InputError, PiaaError
from piaa.inputs.items import Item, batches
from piaa.recognizer import Recognizer
from piaa.vocabulary.labels import Label

if TYPE_CHECKING:
    from piaa.app.session import Settings

LOG = logging.getLogger("piaa.app")


@dataclass(frozen=True)
class Result:
    """Tagged pictures.

    Attributes:
        items, paths: N, those that could be read.
        classes: C names.
        scores: N x C, calibrated, 0..1; 0.5 is where the classifier's own threshold lies.
        failed: (path, reason) of the others.
        notes: class to what the user should know about its threshold.
    """

    items: list[Item]
    paths: list[str]
    classes: list[str]
    scores: NDArray[np.float64]
    failed: list[tuple[str, str]]
    notes: dict[str, str] = field(default_factory=dict)


class Work:
    """One thing that is being done, in a thread of its own."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self.phase, self.done, self.total, self.error = "", 0, 0, ""

    @property
    def running(self) -> bool:
        """Whether something is being done now."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, what: Callable[[], None]) -> None:
        """Begin; an error ends it and is kept in `error`."""
        self.phase, self.done, self.total, self.error = "loading the model", 0, 0, ""

        def guarded() -> None:
            try:
                what()
                self.phase = "done"
            except PiaaError as error:
                self.phase, self.error = "failed", str(error)
            except Exception as error:  # the page must learn of it, whatever it is
                LOG.exception("the work of the page failed")
                self.phase, self.error = "failed", f"{type(error).__name__}: {error}"

        self._thread = threading.Thread(target=guarded, name="piaa-app", daemon=True)
        self._thread.start()

    def report(self, phase: str, done: int, total: int) -> None:
        """Where it is."""
        self.phase, self.done, self.total = phase, done, total

    def state(self) -> dict[str, object]:
        """The same for the page."""
        return {
            "running": self.running,
            "phase": self.phase,
            "done": self.done,
            "total": self.total,
            "error": self.error,
        }


def learn_and_tag(
    settings: Settings, labels: Sequence[Label] | None, items: Sequence[Item], work: Work
) -> tuple[Recognizer, Result]:
    """Fit a recognizer on the pictures, or load the one that was given, and score every picture.

    Raises:
        InputError: no picture can be read.
        ModelError, ClassifierError: see `Recognizer`.
    """
    options = {"device": settings.device, "engine": settings.engine}
    if settings.classifier is not None:
        recognizer = Recognizer.load(settings.classifier, model=None, **options)  # type: ignore[arg-type]
    else:
        assert labels is not None
        recognizer = Recognizer(labels, model=settings.model, pretrained=settings.pretrained, **options)  # type: ignore[arg-type]
        learner = recognizer.learner()
        for batch in batches(items, learner.setup.preprocess, learner.setup.decoded_together, 2, lambda error: None):
            learner.update(batch.images, batch.indices)
            work.report("learning from your pictures", batch.indices[-1] + 1, len(items))
        recognizer.adopt(learner)
    return recognizer, _tag(recognizer, items, work)


def _tag(recognizer: Recognizer, items: Sequence[Item], work: Work) -> Result:
    scorer = recognizer.scorer()
    failed: list[tuple[str, str]] = []

    def note(error: ImageError) -> None:
        failed.append((error.path, error.reason))

    kept: list[Item] = []
    rows: list[NDArray[np.float64]] = []
    for batch in batches(items, scorer.preprocess, scorer.setup.decoded_together, 2, note):
        calibrated, _ = scorer.decide(scorer.score(batch.images))
        for index, row in zip(batch.indices, np.asarray(calibrated, dtype=np.float64), strict=True):
            if np.isfinite(row).all():
                kept.append(items[index])
                rows.append(row)
            else:
                failed.append((items[index].id, "its scores are not finite"))
        work.report("tagging", batch.indices[-1] + 1, len(items))
    if not rows:
        raise InputError(f"none of the {len(items)} pictures can be read; the first: {failed[0][1]}")
    notes = {scorer.label_names[c]: note for c, note in recognizer.thresholds_.notes.items()}
    return Result(kept, [item.id for item in kept], scorer.label_names, np.stack(rows), failed, notes)
