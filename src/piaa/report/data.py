"""What a report shows: plain data, filled by whoever measured it. Fractions are 0 to 1; None is "not measured"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

State = Literal["right", "wrong", "missed"]
Role = Literal["ours", "baseline", "other"]


@dataclass(frozen=True)
class MeasuredOn:
    """What was measured and how; every field is shown as it is, an empty one is left out."""

    model: str = ""
    front_end: str = ""
    recipe: str = ""
    data_set: str = ""
    seed: str = ""
    images: str = ""
    machine: str = ""
    command: str = ""


@dataclass(frozen=True)
class MethodRow:
    """One row of the table of methods: fractions 0 to 1.

    `small`, `medium` and `large` are mean AP by object size. One row has the role `ours`, one `baseline` (what
    the headline compares with).
    """

    name: str
    map: float
    cf1: float | None = None
    of1: float | None = None
    small: float | None = None
    medium: float | None = None
    large: float | None = None
    role: Role = "other"


@dataclass(frozen=True)
class ClassRow:
    """AP of one class, fractions 0 to 1; `positives` is the number of test images that have it."""

    name: str
    piaa: float | None
    cls: float | None = None
    text_patch: float | None = None
    positives: int | None = None


@dataclass(frozen=True)
class LabelCall:
    """One label of one image.

    Attributes:
        name: class name.
        score: calibrated, 0 to 1.
        state: `right` (given and true), `wrong` (given, not true), `missed` (true, not given).
        heat: height x width of the image, 0 to 1 (`piaa.report.explain.heat_map`), or None.
        size: longer side of the largest instance over the image's, 0 to 1, where the truth has it.
    """

    name: str
    score: float
    state: State
    heat: NDArray[np.float32] | None = None
    size: float | None = None


@dataclass(frozen=True)
class GalleryImage:
    """One test image with its labels; `region` is what the model saw of it (`Preprocess.region`), or None."""

    name: str
    image: Image.Image
    labels: tuple[LabelCall, ...]
    region: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class BankPatch:
    """One retained patch: its image and its box, left, top, right, bottom in pixels of that image.

    `score` is its purity score or probability (0 to 1), `is_true` whether its class is in the image, if known.
    """

    image: Image.Image
    box: tuple[float, float, float, float]
    score: float | None = None
    is_true: bool | None = None


@dataclass(frozen=True)
class BankClass:
    """Patches that a class's classifier was made of: `found` in stage I, `kept` by stage II, some of them shown."""

    name: str
    patches: tuple[BankPatch, ...]
    kept: int
    found: int


@dataclass(frozen=True)
class ThresholdRow:
    """F1 of one rule of deciding labels. `uses_truth` marks upper marks such as the oracle."""

    rule: str
    cf1: float
    of1: float
    labels_per_image: float | None = None
    is_default: bool = False
    uses_truth: bool = False


@dataclass(frozen=True)
class Step:
    """One step of the run and its wall-clock time."""

    name: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class Note:
    """Something and the reason for it: a skipped input, or a class that kept its text prototype."""

    subject: str
    reason: str


@dataclass(frozen=True)
class ReportData:
    """Everything on the page; an empty sequence leaves its section out."""

    title: str
    measured_on: MeasuredOn
    methods: tuple[MethodRow, ...]
    classes: tuple[ClassRow, ...] = ()
    size_note: str = ""
    gallery: tuple[GalleryImage, ...] = ()
    failures: tuple[GalleryImage, ...] = ()
    bank: tuple[BankClass, ...] = ()
    thresholds: tuple[ThresholdRow, ...] = ()
    steps: tuple[Step, ...] = ()
    skipped: tuple[Note, ...] = ()
    fallbacks: tuple[Note, ...] = ()
