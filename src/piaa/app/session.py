"""What one run of the page knows: pictures, words, scores, thresholds, corrections, questions. No HTTP here."""

from __future__ import annotations

import copy
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piaa.app.inquiry import Inquiry
from piaa.app.pictures import Kept
from piaa.app.places import Root
from piaa.app.view import View
from piaa.app.work import Result, Settings, Work, learn_and_tag
from piaa.errors import InputError
from piaa.exchange.common import plain
from piaa.inputs.images import SUFFIXES
from piaa.inputs.items import Item, iterate
from piaa.method.thresholds import MIN_IMAGES
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder
from piaa.vocabulary.labels import Label, parse_labels

EXAMPLES, EXAMPLE_SEED = 120, 17
LISTED = 200  # broken pictures that are named; all are counted


@dataclass
class Session:
    """One run of the page. Its methods may be called from any thread.

    Attributes:
        settings: how it was started.
        folder: of its own, for dropped pictures and drawn examples; the caller removes it.
        root: what the page may open of this machine.
        items: the pictures; skipped: files of their folder that are none; unreadable: folders that cannot be listed.
        base: folder that the paths of `items` start from; None where they are whole.
        result: of the last run; thresholds: C, calibrated.
        corrections: (path, label) to yes or no; they outlive another run on the same pictures.
        checked: paths of pictures whose labels a person found all right, with these labels.
    """

    settings: Settings
    folder: Path
    root: Root
    items: list[Item] = field(default_factory=list)
    skipped: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    base: Path | None = None
    result: Result | None = None
    thresholds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    corrections: dict[tuple[str, str], bool] = field(default_factory=dict)
    checked: dict[str, frozenset[str]] = field(default_factory=dict)
    inquiry: Inquiry | None = None
    recognizer: Recognizer | None = None
    work: Work = field(default_factory=Work)
    pictures: Kept = field(default_factory=Kept)
    _lock: Any = field(default_factory=threading.RLock)
    _runs: int = 0
    _draws: int = 0

    # pictures

    def use_folder(self, text: str) -> None:
        """Take the pictures of a folder below the root, nested ones too, in the place of those before.

        Raises:
            InputError: no such folder there, or no picture in it.
        """
        found = self.root.pictures(self.root.folder(text))
        with self._idle():
            self._replace(found.items)
            self.skipped, self.unreadable = found.others, found.unreadable

    def use_examples(self) -> None:
        """Draw scenes, and take them in the place of the pictures before."""
        with self._idle():
            place = self.folder / "examples"
            if not place.is_dir():
                aside = self.folder / ".examples"
                shutil.rmtree(aside, ignore_errors=True)
                write_scene_folder(aside, EXAMPLE_SEED, "unlabelled", EXAMPLES)
                aside.rename(place)
            self._replace([Item(Path(item.id).name, item.source) for item in iterate(place)], place)

    def add_upload(self, name: str, content: bytes) -> None:
        """Take in one dropped picture beside those dropped before, or in the place of others.

        Raises:
            InputError: its name has the ending of no picture.
        """
        last = plain(re.split(r"[\\/]", name)[-1]) or "picture"
        stem, suffix = Path(last).stem.lstrip(".")[:80] or "picture", Path(last).suffix.lower()
        if suffix not in SUFFIXES:
            raise InputError(f"{last}: not a picture that can be read ({', '.join(sorted(SUFFIXES))})")
        with self._idle():
            place = self.folder / "dropped"
            if self.base != place:
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                self._replace([], place)
            path, number = place / f"{stem}{suffix}", 1
            while path.exists():
                number += 1
                path = place / f"{stem}-{number}{suffix}"
            path.write_bytes(content)
            self.result = self.inquiry = None
            self.items.append(Item(path.name, path))

    def clear(self) -> None:
        """Forget pictures, labels and corrections."""
        with self._idle():
            self._replace([])
            shutil.rmtree(self.folder / "dropped", ignore_errors=True)

    # work

    def start(self, words: str) -> None:
        """Learn from the pictures and tag them, in the background; `work` says how far it is.

        Raises:
            InputError, LabelError: no picture, or words that are no labels.
        """
        with self._idle():
            if not self.items:
                raise InputError("no picture yet: drop some, choose a folder, or try it with drawn scenes")
            labels = None if self.settings.classifier else _labels(words)
            items, run = list(self.items), self._runs + 1
            self.work.start(lambda: self._done(*learn_and_tag(self.settings, labels, items, self.work, run)))

    def _done(self, recognizer: Recognizer, result: Result) -> None:
        with self._lock:
            self.pictures.clear()
            if self.result is None or set(result.classes) - set(self.result.classes):
                self.checked = {}  # nobody has looked for the new words
            self.checked = {path: labels for path, labels in self.checked.items() if path in result.rows}
            self._runs = result.run
            self.recognizer, self.result, self.inquiry = recognizer, result, None
            self.thresholds = np.full(len(result.classes), 0.5)

    # looking

    def view(self, run: int | None = None) -> View:
        """What is to be seen now.

        Args:
            run: of the result that is meant.

        Raises:
            InputError: nothing is tagged yet, or something else is by now.
        """
        with self._lock:
            if self.result is None:
                raise InputError("nothing is tagged yet")
            if run is not None and run != self.result.run:
                raise InputError("other pictures or words were taken meanwhile; load this page anew")
            rows, columns = self.result.rows, self.result.columns
            said = {
                (rows[path], columns[label]): value
                for (path, label), value in self.corrections.items()
                if path in rows and label in columns
            }
            checked = {
                rows[path]: frozenset(columns[name] for name in labels if name in columns)
                for path, labels in self.checked.items()
            }
            return View(self.result, self.thresholds.copy(), said, checked)

    def state(self) -> dict[str, Any]:
        """Everything that the page shows beside pictures."""
        with self._lock:
            state = {
                "work": self.work.state(),
                "pictures": len(self.items),
                "skipped": self.skipped,
                "unreadable": [f"{path}: {reason}" for path, reason in self.unreadable[:LISTED]],
                "in_folder": bool(self.items) and self.base is None,
                "model": self.settings.model if self.settings.classifier is None else None,
                "classifier": self.settings.classifier.name if self.settings.classifier else None,
                "example_words": object_names(),
                "corrections": len(self.corrections) + len(self.checked),
                "classes": [],
            }
            view = self.view() if self.result is not None else None
        return state if view is None else state | _tagged(view)

    # correcting and asking

    def set_threshold(self, run: int, class_index: int, value: float) -> None:
        """Move the threshold of a class, a calibrated score; questions asked at the old one are dropped.

        Raises:
            InputError: outside 0 to 1.
        """
        if not 0 < value < 1:
            raise InputError(f"a threshold lies between 0 and 1, got {value}")
        with self._lock:
            self.view(run).check(class_index=class_index)
            self.thresholds[class_index] = value
            if self.inquiry is not None and class_index in self.inquiry.classes:
                self.inquiry = None

    def correct(self, run: int, image: int, class_index: int, value: bool | None) -> None:
        """Say that an image has a class or has not; None takes the correction back.

        What changes the labels of a checked image makes it unchecked.
        """
        with self._lock:
            view = self.view(run)
            view.check(image, class_index)
            path = view.result.paths[image]
            place = path, view.result.classes[class_index]
            if value is not view.given[image, class_index].item():
                self.checked.pop(path, None)
            if value is None:
                self.corrections.pop(place, None)
            else:
                self.corrections[place] = value

    def check(self, run: int, image: int, value: bool) -> None:
        """Say that all labels of an image are right as they are, or take that back; no threshold moves them then."""
        with self._lock:
            view = self.view(run)
            view.check(image)
            path = view.result.paths[image]
            self.checked.pop(path, None)
            if value:
                self.checked[path] = frozenset(view.result.classes[c] for c in np.flatnonzero(view.given[image]))

    def ask(self, run: int, class_index: int | None, count: int) -> list[dict[str, Any]]:
        """Draw questions about one class or all, up to chance `count` of them."""
        with self._lock:
            view = self.view(run)
            assert self.recognizer is not None
            self._draws += 1
            self.inquiry = Inquiry.about(view, self.recognizer.thresholds_, class_index, count, self._draws)
            rows = view.result.rows
            return [{"image": rows[q.path], "name": q.label} for q in self.inquiry.questions]

    def answer(self, run: int, number: int, value: bool | None) -> dict[str, Any]:
        """Answer one question, and say what the answers tell; an answer is a correction too. None skips it."""
        with self._lock:
            view, inquiry = self.view(run), self._asked()
            if not 0 <= number < len(inquiry.questions):
                raise InputError(f"there is no question {number}")
            question = inquiry.questions[number]
            if value is None:
                inquiry.answers.pop(number, None)
            else:
                inquiry.answers[number] = value
                columns = view.result.columns
                self.correct(run, view.result.rows[question.path], columns[question.label], value)
            return inquiry.estimate()

    def move(self, run: int) -> None:
        """Move the thresholds of the classes that were asked about to where the answers say.

        Raises:
            InputError: the answers are not sure of another.
        """
        with self._lock:
            self.view(run)
            self.thresholds = self._asked().moved(self.thresholds)
            self.inquiry = None

    def moved_recognizer(self) -> Recognizer:
        """The recognizer with the page's thresholds; this one stays as it is."""
        with self._lock:
            view = self.view()
            assert self.recognizer is not None
            values = zip(view.result.classes, view.thresholds.tolist(), strict=True)
            return copy.copy(self.recognizer).set_thresholds({name: value for name, value in values if value != 0.5})

    def _asked(self) -> Inquiry:
        if self.inquiry is None:
            raise InputError("these questions were asked at other thresholds; press 'Ask me' again")
        return self.inquiry

    def _replace(self, items: list[Item], base: Path | None = None) -> None:
        self.items, self.base, self.skipped, self.unreadable = items, base, 0, []
        self.result = self.inquiry = None
        self.corrections, self.checked = {}, {}
        self.pictures.clear()

    @contextmanager
    def _idle(self) -> Iterator[None]:
        """Inside, nothing is being learnt and nobody else changes anything."""
        with self._lock:
            if self.work.running:
                raise InputError("wait until the pictures are tagged")
            yield


def _labels(words: str) -> list[Label]:
    """Lines as labels; empty ones and such with `#` first are left out."""
    lines = [line.strip() for line in words.splitlines()]
    return parse_labels([line for line in lines if line and not line.startswith("#")])


def _tagged(view: View) -> dict[str, Any]:
    result = view.result
    notes = [f"{names} of the labels: {note}" for note, names in Counter(result.notes.values()).most_common(3)]
    few = len(result.paths) < MIN_IMAGES
    return {
        "run": result.run,
        "tagged": len(result.paths),
        "failed_count": len(result.failed),
        "failed": [{"name": Path(path).name, "reason": reason} for path, reason in result.failed[:LISTED]],
        "notes": [*result.warnings, *([_FEW] if few and notes else notes)],
        "checked": len(view.checked),
        "classes": [
            {"class": c, "name": name, "count": count, "threshold": round(float(view.thresholds[c]), 3)}
            for c, (name, count) in enumerate(zip(result.classes, view.counts(), strict=True))
        ],
    }


_FEW = (
    f"With fewer than {MIN_IMAGES} pictures no threshold can be learnt, so no label is given. Give more pictures, or "
    "move the thresholds yourself."
)
