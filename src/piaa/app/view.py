"""What is seen of tagged pictures: the labels by thresholds and corrections, pages of a gallery, one picture."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piaa.app.work import Result
from piaa.errors import InputError

PAGE = 60
SORTS = ("doubt", "score", "name")
CHOICES = ("all", "given", "missing", "corrected", "checked", "unchecked")
LIKELIEST = 6  # labels that are shown of a picture beside those it has

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """A result under thresholds and corrections; nothing in it changes.

    Attributes:
        result: N images, C classes.
        thresholds: C calibrated scores from which on labels are given.
        said: (image, class) to what a person said.
        checked: images of which a person said that all labels are right, to their classes then.
    """

    result: Result
    thresholds: Array
    said: Mapping[tuple[int, int], bool]
    checked: Mapping[int, Set[int]] = field(default_factory=dict)

    @cached_property
    def given(self) -> Flags:
        """N x C: the labels that images have."""
        given: Flags = self.result.scores >= self.thresholds
        given[list(self.result.foreign)] = False
        for image, classes in self.checked.items():
            given[image] = False
            given[image, list(classes)] = True
        for place, value in self.said.items():
            given[place] = value
        return given

    @cached_property
    def doubt(self) -> Array:
        """N x C: how far scores are from their threshold, the least first to be looked at; infinite once corrected."""
        distance: Array = np.abs(self.result.scores - self.thresholds)
        for place in self.said:
            distance[place] = np.inf
        distance[list(self.checked)] = np.inf
        return distance

    def counts(self) -> list[int]:
        """How many images have each class."""
        return [int(count) for count in self.given.sum(axis=0)]

    def page(self, class_index: int | None, sort: str, number: int, which: str = "all") -> dict[str, Any]:
        """One page of the gallery.

        Args:
            class_index: the label that `sort` and `which` are about; None is any.
            sort: one of `SORTS`.
            number: of the page, from 0; beyond the last one is the last one.
            which: `all`, `given` (with the label), `missing` (without it), `corrected`, `checked` or `unchecked`.

        Raises:
            InputError: for something that does not exist.
        """
        if sort not in SORTS:
            raise InputError(f"no order is called {sort!r}; choose one of: {', '.join(SORTS)}")
        self.check(class_index=class_index or 0)
        shown = self._shown(class_index, which)
        order = [int(i) for i in self._order(class_index, sort) if shown[i]]
        pages = max(1, -(-len(order) // PAGE))
        number = min(max(0, number), pages - 1)
        chosen = order[number * PAGE : (number + 1) * PAGE]
        images = [self.image(index, class_index) for index in chosen]
        return {"run": self.result.run, "total": len(order), "pages": pages, "page": number, "images": images}

    def image(self, index: int, also: int | None = None) -> dict[str, Any]:
        """One image with its labels, the likeliest others, what was corrected, and the class `also`."""
        self.check(index)
        row, given = self.result.scores[index], self.given[index]
        order = np.argsort(-row, kind="stable")
        wanted = {int(c) for c in np.flatnonzero(given)} | {int(c) for c in order[:LIKELIEST]}
        wanted |= {c for image, c in self.said if image == index} | ({also} if also is not None else set())
        labels = [
            {
                "class": c,
                "name": self.result.classes[c],
                "score": round(float(row[c]), 4),
                "given": bool(given[c]),
                "corrected": (index, c) in self.said,
            }
            for c in map(int, order)
            if c in wanted
        ]
        name = Path(self.result.paths[index]).name
        foreign = index in self.result.foreign
        return {"image": index, "name": name, "checked": index in self.checked, "foreign": foreign, "labels": labels}

    def check(self, image: int = 0, class_index: int = 0) -> None:
        """Refuse numbers that do not exist.

        Raises:
            InputError: there is no such image or class.
        """
        counts = (("image", image, len(self.result.paths)), ("class", class_index, len(self.result.classes)))
        for kind, number, size in counts:
            if not 0 <= number < size:
                raise InputError(f"there is no {kind} {number}")

    def _shown(self, class_index: int | None, which: str) -> Flags:
        given: Flags = np.asarray(self.given.any(axis=1) if class_index is None else self.given[:, class_index])
        if which == "all":
            return np.ones(len(given), dtype=bool)
        if which in ("given", "missing"):
            return given if which == "given" else ~given
        if which == "corrected":
            return np.isin(np.arange(len(given)), [image for image, _ in self.said])
        if which in ("checked", "unchecked"):
            return np.isin(np.arange(len(given)), list(self.checked), invert=which == "unchecked")
        raise InputError(f"no choice is called {which!r}; choose one of: {', '.join(CHOICES)}")

    def _order(self, class_index: int | None, sort: str) -> NDArray[np.int64]:
        if sort == "name":
            paths = self.result.paths
            return np.array(sorted(range(len(paths)), key=paths.__getitem__), dtype=np.int64)
        column = slice(None) if class_index is None else slice(class_index, class_index + 1)
        key = -self.result.scores[:, column].max(axis=1) if sort == "score" else self.doubt[:, column].min(axis=1)
        return np.argsort(key, kind="stable").astype(np.int64)
