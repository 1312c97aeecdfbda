"""What one run of the page knows: pictures, words, scores, thresholds, corrections, questions. No HTTP here."""

from __future__ import annotations

import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piaa.app.pictures import Kept
from piaa.app.questions import Inquiry
from piaa.app.work import Result, Work, learn_and_tag
from piaa.errors import InputError
from piaa.exchange.common import plain
from piaa.exchange.tag_table import TagRow, TagTable
from piaa.inputs.images import SUFFIXES
from piaa.inputs.items import Item, iterate, list_folder
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder
from piaa.vocabulary.labels import parse_labels

PAGE = 60
SORTS = ("doubt", "score", "name")
EXAMPLES, EXAMPLE_SEED = 160, 17


@dataclass(frozen=True)
class Settings:
    """How the page was started: what `Recognizer` takes, or a classifier that is learnt already."""

    classifier: Path | None = None
    model: str = "embedded"
    pretrained: str | None = None
    device: str = "auto"
    engine: str = "eager"


@dataclass
class Session:
    """One run of the page. Its methods may be called from any thread.

    Attributes:
        settings: how it was started.
        folder: of its own, for dropped pictures and drawn examples; the caller removes it.
        items: the pictures; skipped: files of their folder that are none.
        root: folder that the paths of `items` start from; None where they are whole.
        result: of the last run; thresholds: C, calibrated; corrections: (image, class) to yes or no.
    """

    settings: Settings
    folder: Path
    items: list[Item] = field(default_factory=list)
    skipped: int = 0
    root: Path | None = None
    result: Result | None = None
    thresholds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    corrections: dict[tuple[int, int], bool] = field(default_factory=dict)
    inquiry: Inquiry | None = None
    recognizer: Recognizer | None = None
    work: Work = field(default_factory=Work)
    pictures: Kept = field(default_factory=Kept)
    _lock: Any = field(default_factory=threading.RLock)

    # pictures

    def use_folder(self, path: str) -> None:
        """Take the pictures of a folder of this machine in the place of those before.

        Raises:
            InputError: no such folder, or no picture in it.
        """
        place = Path(path.strip().strip("'\"")).expanduser()
        if not place.is_dir():
            raise InputError(f"{place}: no such folder on this machine")
        items = list(iterate(place))
        with self._idle():
            self._replace(items, sum(list_folder(place).skipped.values()))

    def use_examples(self) -> None:
        """Draw scenes, and take them in the place of the pictures before."""
        place = self.folder / "examples"
        if not place.is_dir():
            aside = self.folder / ".examples"
            write_scene_folder(aside, EXAMPLE_SEED, "unlabelled", EXAMPLES)
            aside.rename(place)
        with self._idle():
            self._replace([Item(Path(item.id).name, item.source) for item in iterate(place)], root=place)

    def add_upload(self, name: str, content: bytes) -> None:
        """Take in one dropped picture beside those that are there.

        Raises:
            InputError: its name has the ending of no picture.
        """
        last = plain(re.split(r"[\\/]", name)[-1]) or "picture"
        stem, suffix = Path(last).stem.lstrip(".")[:80] or "picture", Path(last).suffix.lower()
        if suffix not in SUFFIXES:
            raise InputError(f"{last}: not a picture that can be read ({', '.join(sorted(SUFFIXES))})")
        with self._idle():
            place = self.folder / "dropped"
            if self.root != place:
                shutil.rmtree(place, ignore_errors=True)
            place.mkdir(exist_ok=True)
            path, number = place / f"{stem}{suffix}", 1
            while path.exists():
                number += 1
                path = place / f"{stem}-{number}{suffix}"
            path.write_bytes(content)
            if self.root != place:
                self._replace([], root=place)
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
                raise InputError("no picture yet: drop some, choose a folder, or take the drawn examples")
            labels = None if self.settings.classifier else parse_labels(words.splitlines())
            self.work.start(lambda: self._done(*learn_and_tag(self.settings, labels, self.items, self.work)))

    def _done(self, recognizer: Recognizer, result: Result) -> None:
        with self._lock:
            self.recognizer, self.result = recognizer, result
            self.thresholds = np.full(len(result.classes), 0.5)
            self.corrections, self.inquiry = {}, None
            self.pictures.clear()

    # looking

    def decided(self) -> NDArray[np.bool_]:
        """N x C: the labels that images have, by thresholds and corrections."""
        with self._lock:
            given: NDArray[np.bool_] = self.tagged().scores >= self.thresholds
            for (image, c), value in self.corrections.items():
                given[image, c] = value
            return given

    def page(self, class_index: int | None, sort: str, number: int, which: str = "all") -> dict[str, Any]:
        """One page of the gallery.

        Args:
            class_index: images with this label alone; None is all.
            sort: one of `SORTS`.
            number: of the page, from 0.
            which: `all`, `given` (with the label, or any) or `corrected`.

        Raises:
            InputError: for something that does not exist.
        """
        if sort not in SORTS:
            raise InputError(f"no order is called {sort!r}; choose one of: {', '.join(SORTS)}")
        with self._lock:
            result, given = self.tagged(), self.decided()
            shown: NDArray[np.bool_] = np.ones(len(result.paths), dtype=bool)
            if class_index is not None:
                self._check(class_index=class_index)
            if which == "given":
                shown = np.asarray(given.any(axis=1) if class_index is None else given[:, class_index])
            elif which == "corrected":
                shown = np.isin(np.arange(len(shown)), [image for image, _ in self.corrections])
            order = [int(i) for i in self._order(class_index, sort) if shown[i]]
            pages = max(1, -(-len(order) // PAGE))
            number = min(max(0, number), pages - 1)
            chosen = order[number * PAGE : (number + 1) * PAGE]
            return {
                "total": len(order),
                "pages": pages,
                "page": number,
                "images": [self.image(index, given) for index in chosen],
            }

    def image(self, index: int, given: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """One image with its labels, the likeliest others, and what was corrected."""
        with self._lock:
            self._check(index)
            result = self.tagged()
            given = self.decided() if given is None else given
            row = result.scores[index]
            order = np.argsort(-row, kind="stable")
            wanted = {int(c) for c in np.flatnonzero(given[index])} | {int(c) for c in order[:6]}
            wanted |= {c for (image, c) in self.corrections if image == index}
            labels = [
                {
                    "class": c,
                    "name": result.classes[c],
                    "score": round(float(row[c]), 4),
                    "given": bool(given[index, c]),
                    "corrected": (index, c) in self.corrections,
                }
                for c in map(int, order)
                if c in wanted
            ]
            return {"image": index, "name": Path(result.paths[index]).name, "labels": labels}

    def counts(self) -> list[int]:
        """How many images have each class."""
        return [int(count) for count in self.decided().sum(axis=0)]

    def _order(self, class_index: int | None, sort: str) -> Iterable[Any]:
        result = self.tagged()
        if sort == "name":
            return np.array(sorted(range(len(result.paths)), key=lambda i: result.paths[i]), dtype=int)
        column = slice(None) if class_index is None else slice(class_index, class_index + 1)
        scores = result.scores[:, column]
        if sort == "score":
            return np.argsort(-scores.max(axis=1), kind="stable")
        return np.argsort(np.abs(scores - self.thresholds[column]).min(axis=1), kind="stable")

    # correcting and asking

    def set_threshold(self, class_index: int, value: float) -> None:
        """Move the threshold of a class, a calibrated score.

        Raises:
            InputError: outside 0 to 1.
        """
        if not 0 < value < 1:
            raise InputError(f"a threshold lies between 0 and 1, got {value}")
        with self._lock:
            self._check(class_index=class_index)
            self.thresholds[class_index] = value

    def correct(self, image: int, class_index: int, value: bool | None) -> None:
        """Say that an image has a class or has not; None takes the correction back."""
        with self._lock:
            self._check(image, class_index)
            if value is None:
                self.corrections.pop((image, class_index), None)
            else:
                self.corrections[image, class_index] = value

    def ask(self, class_index: int | None, count: int = 20) -> list[dict[str, Any]]:
        """Draw questions about one class or all."""
        with self._lock:
            result = self.tagged()
            if class_index is not None:
                self._check(class_index=class_index)
            classes = list(range(len(result.classes))) if class_index is None else [class_index]
            self.inquiry = Inquiry(result.scores[:, classes], classes)
            self.inquiry.pick(count)
            return [{"image": q.image, "class": q.class_index, "name": result.classes[q.class_index]}
                    for q in self.inquiry.questions]  # fmt: skip

    def answer(self, number: int, value: bool | None) -> None:
        """Answer one question; the answer is a correction too. None skips it."""
        with self._lock:
            inquiry = self._asked()
            if not 0 <= number < len(inquiry.questions):
                raise InputError(f"there is no question {number}")
            question = inquiry.questions[number]
            self.correct(question.image, question.class_index, value)
            if value is None:
                inquiry.answers.pop(number, None)
            else:
                inquiry.answers[number] = value

    def estimate(self) -> dict[str, Any]:
        """What the answers so far say."""
        with self._lock:
            inquiry = self._asked()
            found = inquiry.estimate(self.thresholds[inquiry.classes])
            return {
                "answered": found.answered,
                "precision": _finite(found.precision),
                "recall": _finite(found.recall),
                "threshold": round(found.threshold, 2),
            }

    def move(self) -> float:
        """Move the thresholds of the classes that were asked about to where the answers say."""
        with self._lock:
            inquiry = self._asked()
            value = inquiry.estimate(self.thresholds[inquiry.classes]).threshold
            self.thresholds[inquiry.classes] = value
            return value

    # leaving

    def table(self) -> TagTable:
        """The labels as they are now, corrections included; for exports."""
        with self._lock:
            result, given = self.tagged(), self.decided()
            rows = []
            for index, path in enumerate(result.paths):
                row = result.scores[index]
                order = [int(c) for c in np.argsort(-row, kind="stable")]
                labels = {result.classes[c]: round(float(row[c]), 6) for c in order if given[index, c]}
                scores = {result.classes[c]: round(float(row[c]), 6) for c in range(len(row))}
                rows.append(TagRow(path, labels, scores))
            return TagTable(rows, result.classes, {}, Path("piaa-app"))

    def corrected(self) -> list[int]:
        """Images of which something was corrected or asked."""
        with self._lock:
            return sorted({image for image, _ in self.corrections})

    def state(self) -> dict[str, Any]:
        """Everything that the page shows beside pictures."""
        with self._lock:
            state = {
                "work": self.work.state(),
                "pictures": len(self.items),
                "skipped": self.skipped,
                "model": self.settings.model if self.settings.classifier is None else None,
                "classifier": self.settings.classifier.name if self.settings.classifier else None,
                "example_words": object_names(),
                "corrected": len(self.corrected()),
                "classes": [],
            }
            if self.result is not None:
                notes = self.result.notes
                state["failed"] = [{"name": Path(path).name, "reason": reason} for path, reason in self.result.failed]
                state["tagged"] = len(self.result.paths)
                state["notes"] = [f"{name}s: {count}" for name, count in Counter(notes.values()).most_common(3)]
                state["classes"] = [
                    {"class": c, "name": name, "count": count, "threshold": round(float(self.thresholds[c]), 3)}
                    for c, (name, count) in enumerate(zip(self.result.classes, self.counts(), strict=True))
                ]
            return state

    def item(self, index: int) -> Item:
        """One tagged picture."""
        self._check(index)
        return self.tagged().items[index]

    def tagged(self) -> Result:
        """The result of the last run.

        Raises:
            InputError: there is none yet.
        """
        if self.result is None:
            raise InputError("nothing is tagged yet")
        return self.result

    def _asked(self) -> Inquiry:
        if self.inquiry is None:
            raise InputError("no question was asked yet")
        return self.inquiry

    def _check(self, image: int = 0, class_index: int = 0) -> None:
        """Refuse numbers of images and classes that do not exist."""
        result = self.tagged()
        for kind, number, size in (
            ("image", image, len(result.paths)),
            ("class", class_index, len(result.classes)),
        ):
            if not 0 <= number < size:
                raise InputError(f"there is no {kind} {number}")

    def _replace(self, items: list[Item], skipped: int = 0, root: Path | None = None) -> None:
        self.items, self.skipped, self.root, self.result, self.inquiry = items, skipped, root, None, None
        self.corrections = {}
        self.pictures.clear()

    @contextmanager
    def _idle(self) -> Iterator[None]:
        """Inside, nothing is being learnt and nobody else changes anything."""
        with self._lock:
            if self.work.running:
                raise InputError("wait until the pictures are tagged")
            yield


def _finite(values: tuple[float, float, float]) -> list[float] | None:
    return [round(value, 4) for value in values] if np.isfinite(values).all() else None
