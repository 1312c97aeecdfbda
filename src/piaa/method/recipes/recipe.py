"""What a recipe is: every number of the method, and the rules that turn measured spreads into softmax scales."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

MIN_BANK = 64
"""A mean over fewer patches is too uncertain, however pure they are."""


@dataclass(frozen=True)
class Scales:
    """The three softmax scales of inference, as plain factors.

    Attributes:
        inference: on the patches' discriminant scores y, eq. 11.
        patch: on the pooled patch probabilities, eq. 12 (the second softmax).
        cls: on the cosine of [CLS] embedding and text prototype, S_cls of eq. 13.
        fusion: a name of `piaa.method.paa.FUSIONS`: what the latter two scale.
    """

    inference: float
    patch: float
    cls: float
    fusion: str = "softmax"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `Scales(**values)` is the inverse."""
        return asdict(self)


class ScaleRule(Protocol):
    """Turns what was measured on the unlabelled images into softmax scales.

    A spread is a standard deviation over classes within one patch or image, the mean square over all of them.
    """

    def inference_scale(self, logit_spread: float) -> float:
        """s_inf of eq. 11 from the spread of the patches' logits y."""
        ...

    def resolve(self, logit_spread: float, pooled_spread: float, cls_spread: float) -> Scales:
        """All scales, given also the spread of the pooled probabilities (at `inference_scale`) and of z.t."""
        ...


@dataclass(frozen=True)
class FixedScales:
    """Scales as the published code has them: numbers, whatever the logits are."""

    inference: float
    patch: float
    cls: float

    def inference_scale(self, logit_spread: float) -> float:
        """The number itself."""
        return self.inference

    def resolve(self, logit_spread: float, pooled_spread: float, cls_spread: float) -> Scales:
        """The numbers themselves; the spreads are not looked at."""
        return Scales(self.inference, self.patch, self.cls)


@dataclass(frozen=True)
class SpreadScales:
    """Scales in units of the spread of what each softmax is given, so that anything can be rescaled at will.

    `patch` is small on purpose: eq. 12 then stays nearly linear and keeps the ranking of the maxima, where a sharp
    softmax makes the classes of a crowded image compete for one unit. `cls` is small for the same reason; with
    alpha 0.9 the patches weigh three times what [CLS] weighs (`benchmarks/recipes.py`).
    """

    inference: float = 2.0
    patch: float = 0.1
    cls: float = 0.3

    def inference_scale(self, logit_spread: float) -> float:
        """Factor over spread; a spread of 0 (one class, or all logits equal) counts as 1."""
        return self.inference / (logit_spread or 1.0)

    def resolve(self, logit_spread: float, pooled_spread: float, cls_spread: float) -> Scales:
        """Factors over spreads."""
        return Scales(
            self.inference_scale(logit_spread), self.patch / (pooled_spread or 1.0), self.cls / (cls_spread or 1.0)
        )


@dataclass(frozen=True)
class OddsScales:
    """For the fusion `odds`: eq. 13 adds log-odds, those of the pooled patch probabilities as they are.

    `cls` is in units of the spread of z.t over classes. With alpha 0.9 a [CLS] logit that lies one spread above the
    image's mean counts as much as half a unit of the patches' log-odds (`benchmarks/recipes.py`).
    """

    inference: float = 2.0
    patch: float = 1.0
    cls: float = 4.5
    fusion: str = "odds"

    def inference_scale(self, logit_spread: float) -> float:
        """Factor over spread; a spread of 0 (one class, or all logits equal) counts as 1."""
        return self.inference / (logit_spread or 1.0)

    def resolve(self, logit_spread: float, pooled_spread: float, cls_spread: float) -> Scales:
        """Factors over spreads; the spread of the pooled probabilities is not looked at."""
        return Scales(self.inference_scale(logit_spread), self.patch, self.cls / (cls_spread or 1.0), self.fusion)


@dataclass(frozen=True)
class Recipe:
    """Every number of the method.

    Attributes:
        name: what `--recipe` calls it.
        bank_size: K, patches that a class keeps in stage I at most (eq. 6).
        bank_share: of all patches that came, counted per class, the share that a class keeps at most; with few
            images K alone would let in nearly everything. 1: K alone, as published.
        text_scale: s_text, the softmax scale of stage I.
        purifier: a name of `piaa.method.pvcl.PURIFIERS`: what stage II keeps.
        background: how many classes' worth "anything else" counts in the prior of eq. 4; 0: none, as published.
        background_spread: how much of the covariance of "anything else" is that of all patches, 0 to 1; 0: it has that
            of the classes. `piaa.method.gaussian.with_wide_background`
        purify_scale: s_gda, the softmax scale on the discriminant scores in stage II (`threshold` alone uses it).
        scales: the rule for the scales of inference.
        alpha: weight of the patch scores in eq. 13, 0 to 1.
        aggregator: a name of `piaa.method.aggregators.AGGREGATORS`: how patch probabilities become one of the image
            (eq. 12).
        weighting: a name of `piaa.method.agreement.WEIGHTINGS`: `given` keeps alpha and scales as they are, `agreement`
            learns them from the unlabelled images.
        text_prior: images a class with which text prototypes and what was learnt count the same in the patches' logits;
            the text's part fades with the square of the images. 0: none, as published. `piaa.method.learning`
    """

    name: str
    bank_size: int = 512
    bank_share: float = 1.0
    text_scale: float = 60.0
    purifier: str = "margin"
    purify_scale: float = 1.0
    background: float = 0.0
    background_spread: float = 0.0
    scales: ScaleRule = field(default_factory=SpreadScales)
    alpha: float = 0.9
    aggregator: str = "max"
    weighting: str = "given"
    text_prior: float = 0.0

    def bank_limit(self, patches: int, classes: int) -> int:
        """Patches that a class keeps once `patches` have come: K, or its share of them, `MIN_BANK` at least."""
        return min(self.bank_size, max(MIN_BANK, math.ceil(self.bank_share * patches / classes)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a classifier's settings."""
        return {**asdict(self), "scale_rule": type(self.scales).__name__}  # type: ignore[call-overload]
