"""What `Recognizer.tag` gives: one object an image, and all of them as records or as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from piaa.errors import InputError

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Tagged:
    """One image and its labels.

    Attributes:
        path: the file, or `image-12` (counted from 0) for an image without one.
        labels: the labels it has, the surest first.
        scores: calibrated score of every class, 0 to 1, the highest first; 0.5 is the class's threshold. Empty for an
            image that could not be read.
        error: why it could not be read, or None.
        foreign: whether it is unlike the images of the fit; such an image has no label.
    """

    path: str
    labels: tuple[str, ...]
    scores: dict[str, float]
    error: str | None = None
    foreign: bool = False


@dataclass(frozen=True, eq=False)
class Tags(Sequence[Tagged]):
    """The tagged images of one call, in the order of the input.

    Attributes:
        paths: N.
        classes: C names.
        scores: N x C, calibrated, 0 to 1; a row of NaN for an image that could not be read.
        decided: N x C bool.
        errors: position of an image to the reason why it could not be read.
        foreign: positions of the images that are unlike those of the fit.
    """

    paths: list[str]
    classes: list[str]
    scores: NDArray[np.float64]
    decided: NDArray[np.bool_]
    errors: dict[int, str]
    foreign: frozenset[int] = field(default_factory=frozenset)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Tagged: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tagged]: ...
    def __getitem__(self, index: int | slice) -> Tagged | list[Tagged]:
        positions = range(len(self))[index]
        return self._one(positions) if isinstance(positions, int) else [self._one(p) for p in positions]

    def _one(self, position: int) -> Tagged:
        if position in self.errors:
            return Tagged(self.paths[position], (), {}, self.errors[position])
        row = self.scores[position]
        order = np.argsort(-row, kind="stable")  # ties in the order of the classes
        labels = tuple(self.classes[c] for c in order if self.decided[position, c])
        scores = {self.classes[c]: float(row[c]) for c in order}
        return Tagged(self.paths[position], labels, scores, foreign=position in self.foreign)

    def to_dict(self) -> list[dict[str, Any]]:
        """A record an image, as `piaa tag` writes them: `path`, `labels` (`label` and `score`), `error`, `foreign`."""
        return [
            {
                "path": one.path,
                "labels": [{"label": name, "score": one.scores[name]} for name in one.labels],
                "error": one.error,
                "foreign": one.foreign,
            }
            for one in self
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """A row an image: `path`, `labels` (a list, the surest first), `scores` (theirs), `error`, `foreign`.

        Raises:
            InputError: when pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("to_pandas needs pandas: pip install pandas; to_dict gives the same without it") from error
        images = list(self)
        return pandas.DataFrame(
            {
                "path": [one.path for one in images],
                "labels": [list(one.labels) for one in images],
                "scores": [[one.scores[name] for name in one.labels] for one in images],
                "error": [one.error for one in images],
                "foreign": [one.foreign for one in images],
            }
        )
