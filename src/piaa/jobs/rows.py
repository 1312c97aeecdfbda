"""From a batch to its rows: scores, labels, and what else a layout wants to know of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from piaa.errors import InputError
from piaa.inputs.items import Batch
from piaa.jobs.formats import FOREIGN, Row
from piaa.jobs.layout import Layout
from piaa.jobs.parts import packed

DIGITS = 6  # of a score in the output


class TagScorer(Protocol):
    """What `tag_job` needs of a scorer; `piaa.engine.Scorer` is one.

    Attributes:
        label_names: C classes.
        fingerprint: changes with anything that changes a score or a decision.
    """

    label_names: list[str]
    fingerprint: str

    def preprocess(self, image: Image.Image, /) -> Tensor:
        """PIL RGB to 3 x H x W."""
        ...

    def score(self, images: Tensor) -> Tensor:
        """N x 3 x H x W to N x C."""
        ...

    def decide(self, scores: Tensor) -> tuple[Any, Any]:
        """Calibrated scores N x C and which labels each image has, N x C bool; arrays or tensors."""
        ...


def check_scorer(scorer: Any, layout: Layout) -> None:
    """Refuse a scorer that cannot give what the layout wants.

    Raises:
        InputError: in this case.
    """
    if layout.embeddings and not hasattr(scorer, "score_encoded"):
        raise InputError("embeddings need a scorer that shows them, such as piaa.engine.Scorer")


def tests_foreign(scorer: Any) -> bool:
    """Whether a scorer says which images are unlike those of its fit; then every row has `foreign`."""
    return bool(getattr(scorer, "tests_foreign", False))


def rows_of_batch(scorer: Any, batch: Batch, layout: Layout) -> Iterator[Row | None]:
    """A row for each image of the batch, or None where the model gave no usable scores."""
    scores, strange, cls = _seen(scorer, batch.images, layout)
    decision = scorer.decide(scores) if strange is None else scorer.decide(scores, strange)
    calibrated, mask = (np.asarray(values) for values in decision)
    usable = np.isfinite(np.asarray(scores.detach().cpu().float())).all(1) & np.isfinite(calibrated).all(1)
    for index, name in enumerate(batch.ids):
        if not usable[index]:
            yield None
            continue
        values = [round(float(value), DIGITS) for value in calibrated[index]]
        row = _row(scorer.label_names, name, values, mask[index], layout.all_scores)
        if strange is not None:
            row[FOREIGN] = bool(strange[index] > 1)
        yield row if cls is None else {**row, "embedding": packed(cls[index])}


def _seen(scorer: Any, images: Tensor, layout: Layout) -> tuple[Tensor, Tensor | None, Any]:
    """Scores, strangeness where it is tested, and [CLS] embeddings where the layout wants them."""
    tested = tests_foreign(scorer)
    if not layout.embeddings:
        return (*scorer.look(images), None) if tested else (scorer.score(images), None, None)
    encoded = scorer.encode(images)
    cls = encoded.cls.float().numpy()
    return (*scorer.look_encoded(encoded), cls) if tested else (scorer.score_encoded(encoded), None, cls)


def _row(names: Sequence[str], path: str, values: Sequence[float], mask: Any, all_scores: bool) -> Row:
    present = [int(c) for c in np.flatnonzero(mask)]
    chosen = sorted(present, key=lambda c: -values[c])  # stable: ties in the order of the classes
    row: Row = {"path": path, "labels": [{"label": names[c], "score": values[c]} for c in chosen]}
    return {**row, "scores": dict(zip(names, values, strict=True))} if all_scores else row
