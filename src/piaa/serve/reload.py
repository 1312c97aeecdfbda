"""Named classifiers, loaded anew when their file changes; a file that cannot be used changes nothing."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from piaa.engine import Scorer
from piaa.errors import ClassifierError, InputError, PiaaError
from piaa.method.patch_classifier import PatchClassifier
from piaa.recognizer import Recognizer

LEARNT = "learnt"
"""The set of thresholds that every classifier has."""
INTERVAL = 1.0
"""Seconds between two looks at the files."""

Stamp = tuple[int, int, int] | None
logger = logging.getLogger("piaa.serve")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A classifier in use.

    Attributes:
        name: what clients call it.
        scorer: images to scores.
        sets: thresholds by name, each as the learnt value that decides by them; `learnt` is always there.
        positions: class name to its column.
        loaded_at: seconds since 1970.
    """

    name: str
    scorer: Scorer
    sets: Mapping[str, PatchClassifier]
    positions: Mapping[str, int]
    loaded_at: float


@dataclass(frozen=True)
class Held:
    """What is known of one name.

    Attributes:
        path: its file.
        loaded: the classifier in use.
        stamp: of the file when it was last loaded, or when that was last tried.
        seen: of the file at the last look.
        error: what was wrong at the last try.
    """

    path: Path
    loaded: Loaded
    stamp: Stamp
    seen: Stamp = None
    error: str | None = None


class Loader:
    """Reads a classifier file and tries it before anybody relies on it.

    Args:
        options: of `Recognizer.load`: device, engine, batch_size.
        sets: threshold sets by name, each class name to a calibrated score; a classifier has those whose classes it
            all knows.
    """

    def __init__(self, options: Mapping[str, object], sets: Mapping[str, Mapping[str, float]]) -> None:
        self.options, self.sets = dict(options), dict(sets)

    def __call__(self, name: str, path: Path) -> Loaded:
        """Load, and score one grey image.

        Raises:
            PiaaError: when the file, its model or a set of thresholds is not usable.
        """
        recognizer = Recognizer.load(path, **self.options)  # type: ignore[arg-type]
        scorer = recognizer.scorer()
        if not isinstance(scorer, Scorer):
            raise ClassifierError(
                f"{path}: the service runs classifiers of PIAA, and this one is of {scorer.method.name}"
            )
        recognizer.thresholds_  # noqa: B018 (raises where there are none)
        height, width = scorer.preprocess.image_size
        if not bool(torch.isfinite(scorer.score(torch.zeros(1, 3, height, width))).all()):
            raise ClassifierError(f"{path}: the scores of a grey image are not finite")
        positions = {label: column for column, label in enumerate(scorer.label_names)}
        sets = {LEARNT: scorer.learnt}
        for set_name, values in self.sets.items():
            if values.keys() <= positions.keys():
                changed = recognizer.set_thresholds(dict(values)).classifier_.learnt.thresholds
                sets[set_name] = replace(scorer.learnt, thresholds=changed)
                recognizer.classifier_ = scorer.classifier
        return Loaded(name, scorer, sets, positions, time.time())


class Shelf:
    """The classifiers of a service by name.

    Args:
        files: name to file.
        load: see `Loader`.
        on_reload: told of each later attempt: the name, and whether it went well.

    Raises:
        PiaaError: when one cannot be loaded at the start.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        load: Callable[[str, Path], Loaded],
        on_reload: Callable[[str, bool], None] = lambda name, well: None,
    ) -> None:
        self._load, self._on_reload = load, on_reload
        self._held: dict[str, Held] = {}
        for name, path in files.items():
            stamp = stamp_of(path)  # before reading: a change while it is read is noticed later
            self._held[name] = Held(path, load(name, path), stamp, stamp)
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="piaa-reload", daemon=True)

    @property
    def names(self) -> list[str]:
        """The names, in the order given."""
        return list(self._held)

    @property
    def held(self) -> Mapping[str, Held]:
        """What is known of each name now."""
        return dict(self._held)

    def get(self, name: str | None) -> Loaded:
        """The classifier of a name; None is the only one there is.

        Raises:
            KeyError: for a name that is none, or None where there are several.
        """
        if name is None and len(self._held) == 1:
            return next(iter(self._held.values())).loaded
        return self._held[name or ""].loaded

    def start(self) -> None:
        """Begin to watch the files."""
        self._watcher.start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout=10)

    def look(self) -> None:
        """Look at each file once, and load those that changed and are as they were at the last look: whole by now."""
        for name, held in list(self._held.items()):
            stamp = stamp_of(held.path)
            if stamp != held.stamp and stamp == held.seen:
                self._held[name] = self._renewed(name, held, stamp)
                self._on_reload(name, self._held[name].error is None)
            else:
                self._held[name] = replace(held, seen=stamp)

    def _renewed(self, name: str, held: Held, stamp: Stamp) -> Held:
        try:
            loaded = self._load(name, held.path)
        except Exception as error:  # whatever a stranger's file does, the classifier in use stays
            kind = "" if isinstance(error, PiaaError) else f"{type(error).__name__}: "
            reason = kind + str(error).replace(str(held.path), held.path.name)
            logger.error("classifier %s: the changed file is not used, the one before stays: %s", name, reason)
            return replace(held, stamp=stamp, seen=stamp, error=reason)
        logger.warning("classifier %s: loaded anew, fingerprint %s", name, loaded.scorer.fingerprint)
        return Held(held.path, loaded, stamp, stamp)

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                self.look()
            except Exception:  # the watcher must not end while the service runs
                logger.exception("looking at the classifier files failed")


def stamp_of(path: Path) -> Stamp:
    """What changes when a file does; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def check_sets(shelf: Shelf, sets: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse a set of thresholds that suits no classifier.

    Raises:
        InputError: naming the set and a class that is missing.
    """
    for name, values in sets.items():
        if not any(name in held.loaded.sets for held in shelf.held.values()):
            known = set().union(*(held.loaded.positions for held in shelf.held.values()))
            missing = sorted(set(values) - known)[:3] or ["some of its classes"]
            raise InputError(f"the thresholds {name!r} suit no classifier: none knows {', '.join(missing)}")
