"""Learning and tagging in the background, with word of how far it is."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piaa.errors import ImageError, InputError, PiaaError
from piaa.inputs.items import Item, batches
from piaa.recognizer import Recognizer
from piaa.vocabulary.labels import Label
from piaa.vocabulary.other import few_words_notes

LOG = logging.getLogger("piaa.app")
WORKERS = 2


@dataclass(frozen=True)
class Settings:
    """How the page was started: what `Recognizer` takes, or a classifier that is learnt already."""

    classifier: Path | None = None
    model: str = "embedded"
    pretrained: str | None = None
    device: str = "auto"
    engine: str | None = None
    quality: str | None = None
    other_words: tuple[str | Label, ...] = ()


@dataclass(frozen=True)
class Result:
    """Tagged pictures.

    Attributes:
        items, paths: N, those that could be read.
        classes: C names.
        scores: N x C, calibrated, 0..1; 0.5 is where the classifier's own threshold lies.
        failed: (path, reason) of the others.
        foreign: numbers of the images that are unlike those of the fit, and so are given no label.
        notes: class to what the user should know about its threshold.
        run: its number; another for every result of a session.
        warnings: what else the user should know, such as words that the model cannot tell apart.
    """

    items: list[Item]
    paths: list[str]
    classes: list[str]
    scores: NDArray[np.float64]
    failed: list[tuple[str, str]]
    foreign: frozenset[int] = frozenset()
    notes: dict[str, str] = field(default_factory=dict)
    run: int = 1
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Path to the number of the image."""
        return {path: number for number, path in enumerate(self.paths)}

    @cached_property
    def columns(self) -> dict[str, int]:
        """Name to the number of the class."""
        return {name: number for number, name in enumerate(self.classes)}


class Stopped(InputError):
    """The user ended the work before its end."""


class Work:
    """One thing that is being done, in a thread of its own."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.phase, self.done, self.total, self.error = "", 0, 0, ""

    @property
    def running(self) -> bool:
        """Whether something is being done now."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, what: Callable[[], None]) -> None:
        """Begin; an error ends it and is kept in `error`."""
        self.phase, self.done, self.total, self.error = "loading the model", 0, 0, ""
        self._stop.clear()

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

    def stop(self) -> None:
        """End it at its next report."""
        self._stop.set()

    def report(self, phase: str, done: int, total: int) -> None:
        """Where it is.

        Raises:
            Stopped: the user wants it to end.
        """
        self.phase, self.done, self.total = phase, done, total
        if self._stop.is_set():
            raise Stopped(f"stopped while {phase}, at {done:,} of {total:,}; nothing was changed")

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
    settings: Settings, labels: Sequence[Label] | None, items: Sequence[Item], work: Work, run: int
) -> tuple[Recognizer, Result]:
    """Fit a recognizer on the pictures, or load the one that was given, and score every picture.

    Raises:
        InputError: no picture can be read, or the user stopped it.
        ModelError, ClassifierError: see `Recognizer`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        recognizer = _recognizer(settings, labels, items, work)
        result = _tag(recognizer, items, work, run)
    told = dict.fromkeys(str(each.message) for each in caught if each.category is UserWarning)
    return recognizer, replace(result, warnings=[*result.warnings, *told])


def _recognizer(settings: Settings, labels: Sequence[Label] | None, items: Sequence[Item], work: Work) -> Recognizer:
    options: dict[str, Any] = {"device": settings.device, "engine": settings.engine}
    if settings.classifier is not None:
        return Recognizer.load(settings.classifier, model=None, quality=settings.quality, **options)
    assert labels is not None
    options |= {"quality": settings.quality} if settings.quality else {}
    options |= {"other_words": settings.other_words}
    recognizer = Recognizer(labels, model=settings.model, pretrained=settings.pretrained, **options)
    _learn(recognizer, items, work)
    return recognizer


def _learn(recognizer: Recognizer, items: Sequence[Item], work: Work) -> None:
    learner = recognizer.learner()
    setup = learner.setup
    read = 0
    for batch in batches(items, setup.preprocess, setup.decoded_together, WORKERS, lambda error: None):
        learner.update(batch.images, batch.indices)
        read += len(batch.indices)
        work.report("learning from your pictures", batch.indices[-1] + 1, len(items))
    if not read:
        reason = _first_reason(items)
        raise InputError(f"none of the {len(items):,} pictures can be read; the first: {reason}")
    recognizer.adopt(learner)
    for note in few_words_notes(len(learner.labels), len(recognizer.other_words)):
        warnings.warn(note, stacklevel=1)


def _first_reason(items: Sequence[Item]) -> str:
    try:
        items[0].load()
    except ImageError as error:
        return f"{Path(error.path).name}: {error.reason}"
    return "it could be read a moment later; try again"


def _tag(recognizer: Recognizer, items: Sequence[Item], work: Work, run: int) -> Result:
    scorer = recognizer.scorer()
    failed: list[tuple[str, str]] = []

    def note(error: ImageError) -> None:
        failed.append((error.path, error.reason))

    kept: list[Item] = []
    rows: list[NDArray[np.float64]] = []
    foreign: set[int] = set()
    for batch in batches(items, scorer.preprocess, scorer.setup.decoded_together, WORKERS, note):
        seen = scorer.look(batch.images)
        calibrated = np.asarray(scorer.decide(*seen)[0], dtype=np.float64)
        for index, row, strange in zip(batch.indices, calibrated, seen.foreign, strict=True):
            if np.isfinite(row).all():
                foreign |= {len(kept)} if strange else set()
                kept.append(items[index])
                rows.append(row)
            else:
                failed.append((items[index].id, "its scores are not finite"))
        work.report("tagging", batch.indices[-1] + 1, len(items))
    if not rows:
        raise InputError(f"none of the {len(items):,} pictures can be tagged; the first: {failed[0][1]}")
    names = scorer.label_names
    notes = {names[c]: note for c, note in recognizer.thresholds_.notes.items()}
    model = scorer.setup.model
    random = model.pretrained.partition(":")[0] == "random"
    warned = [f"the weights of {model.name} are random: these labels mean nothing"] if random else []
    if foreign:
        warned.append(
            f"{len(foreign):,} of {len(kept):,} pictures are unlike those that was learnt from and were given no label"
        )
    ids = [item.id for item in kept]
    return Result(kept, ids, names, np.stack(rows), failed, frozenset(foreign), notes, run, warned)
