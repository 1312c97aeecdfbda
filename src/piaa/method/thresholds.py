"""Which labels does an image have: one threshold per class, learnt from unlabelled scores alone.

Several rules are here, all of one form (scores N x C -> thresholds C), so that they can be compared
(`benchmarks/thresholds.py`); `DEFAULT_RULE` names the one that does well both there and on the embedded benchmark. All
are pure and deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from piaa.errors import InputError
from piaa.method.mixture import Mixture, two_gaussians

Array = NDArray[np.float64]
Rule = Callable[[Array], Array]

MIN_IMAGES = 10
SEPARATED = 2.2
"""Ashman's D, the median over classes, from which on two Gaussians are taken for absent and present; from 2 on two
modes can be told apart."""
COMMON = 0.2
"""The share of the images that the typical class is in, from which on look-alikes are suspected."""
CLEARLY_SEPARATED = 3.5
"""The median of D that is believed in any case."""
LARGER_PART, VOICED = 0.2, 0.71
"""The share of the labels that is taken for right, and how far another witness must agree with all of them."""
TAIL = 2.75
"""Spreads of absence above its median, for a threshold where absent and present are not separated."""
CLEAREST = 0.1
"""The share of the labels that are taken for right when another witness is asked about the rest."""
EPSILON = 1e-9
NEVER = float(np.nextafter(1.0, 2.0))
"""A threshold above every score: the class is given to no image."""


def log_odds(scores: Array) -> Array:
    """log(s / (1 - s)) of scores in 0..1: where softmax scores spread out and mixtures look Gaussian."""
    clipped = np.clip(scores, EPSILON, 1 - EPSILON)
    result: Array = np.log(clipped) - np.log1p(-clipped)
    return result


def mixture_rule(scores: Array) -> Array:
    """Two Gaussians on the log-odds, by expectation-maximisation; the threshold is where both weigh the same."""
    return _inverse_log_odds(two_gaussians(log_odds(scores)).crossing)


def otsu_rule(scores: Array) -> Array:
    """The split of the log-odds with the least variance within its two sides (Otsu 1979), on the sorted values."""
    x = np.sort(log_odds(scores), axis=0)
    n = len(x)
    count = np.arange(1, n)[:, None]
    below = np.cumsum(x, axis=0)[:-1]
    mean_low, mean_high = below / count, (x.sum(axis=0) - below) / (n - count)
    between = count * (n - count) * (mean_high - mean_low) ** 2
    best = between.argmax(axis=0)
    columns = np.arange(x.shape[1])
    return _inverse_log_odds((x[best, columns] + x[best + 1, columns]) / 2)


def tail_rule(scores: Array, deviations: float = 3.0) -> Array:
    """Where the upper tail leaves the bulk: median plus so many times the lower side's spread, on the log-odds.

    Most images lack a class, so the lower half of its scores shows the spread of absence undisturbed.
    """
    x = log_odds(scores)
    middle = np.median(x, axis=0)
    spread = (middle - np.quantile(x, 0.1587, axis=0)).clip(min=1e-6)
    return _inverse_log_odds(middle + deviations * spread)


def prevalence_rule(scores: Array) -> Array:
    """As many images as the scores themselves expect: the classes' shares of all score mass, times labels an image.

    The labels of an image are counted by the participation number (sum s)^2 / sum s^2 of its scores above uniform.
    """
    excess = np.clip(scores - np.median(scores, axis=1, keepdims=True), 0, None)
    labels = excess.sum(axis=1) ** 2 / np.maximum((excess**2).sum(axis=1), EPSILON)
    share = excess / np.maximum(excess.sum(axis=1, keepdims=True), EPSILON)
    expected = np.clip((share * labels[:, None]).mean(axis=0), 0, 1)
    ordered = np.sort(scores, axis=0)
    index = np.clip(np.round((1 - expected) * (len(scores) - 1)).astype(int), 0, len(scores) - 1)
    result: Array = ordered[index, np.arange(scores.shape[1])]
    return result


def strict_rule(scores: Array) -> Array:
    """The greater of the mixture's and the tail's threshold.

    Images of look-alikes can fill the gap between absent and present; the mixture then takes them for present, and the
    tail's bound on false alarms holds.
    """
    return np.maximum(mixture_rule(scores), tail_rule(scores))


def bimodal_rule(scores: Array, witness: Array | None = None) -> Array:
    """The mixture's threshold where absent and present are `separated`; else the greater of it and the tail's.

    Where they lie far apart nothing fills the gap, and the tail would only miss images: its spread is that of all
    images, and too wide for a class that many of them show. A single class's mixture is uncertain and the classes of a
    run are alike in this, so all of them have the one or the other.
    """
    return _bimodal(scores, two_gaussians(log_odds(scores)), witness)


def separated(scores: Array, witness: Array | None = None) -> bool:
    """Whether the scores of the typical class have two modes, absent and present, with nothing between them.

    Ashman's D of the mixture is `CLEARLY_SEPARATED` or more on the median over classes. Where it is `SEPARATED` or
    more, the mixture may have taken look-alikes for present: then it must find the typical class in `COMMON` of the
    images at most, and another witness must speak for its labels `VOICED` as much as for the clearest ones (`doubted`).

    Args:
        scores: N x C in 0..1.
        witness: N x C, in any unit; None: there is none.
    """
    return _separated(scores, two_gaussians(log_odds(scores)), witness)


def _bimodal(scores: Array, mixture: Mixture, witness: Array | None) -> Array:
    values = _inverse_log_odds(mixture.crossing)
    return values if _separated(scores, mixture, witness) else np.maximum(values, tail_rule(scores, TAIL))


def _separated(scores: Array, mixture: Mixture, witness: Array | None) -> bool:
    distance = np.median(mixture.distance)
    if distance < SEPARATED or distance >= CLEARLY_SEPARATED:
        return bool(distance >= CLEARLY_SEPARATED)
    if np.median(mixture.share) > COMMON:
        return False
    if witness is None:
        return True
    heard = _heard(scores, _inverse_log_odds(mixture.crossing), mixture.spread_low, witness, LARGER_PART)
    return heard is None or float(heard.right[-1]) >= VOICED


RULES: dict[str, Rule] = {
    "bimodal": bimodal_rule,
    "strict": strict_rule,
    "mixture": mixture_rule,
    "otsu": otsu_rule,
    "tail": tail_rule,
    "prevalence": prevalence_rule,
}
DEFAULT_RULE = "bimodal"
PRECISION = "precision:"
"""`precision:0.9` is the rule that aims at a precision of 0.9; any number between 0 and 1."""


def precision_rule(scores: Array, target: float, witness: Array | None = None) -> Array:
    """The lowest threshold above which the mixture expects a share `target` of the images to have the class.

    Not below the threshold of `bimodal`; where no image reaches the target, at the image that comes nearest. Where
    absent and present are not `separated` look-alikes fill the gap and the mixture is sure of them, so there another
    witness has its say: see `doubted`.

    Args:
        scores: N x C in 0..1.
        target: of the precision, 0 to 1.
        witness: N x C, what else speaks for a class in an image, in any unit: [CLS] alone. None: nothing does.
    """
    mixture = two_gaussians(log_odds(scores))
    values = np.maximum(_expected_precision(scores, mixture, target), _bimodal(scores, mixture, witness))
    if witness is None or _separated(scores, mixture, witness):
        return values
    return doubted(scores, values, mixture.spread_low, witness, target)


def doubted(scores: Array, values: Array, spread: Array, witness: Array, target: float) -> Array:
    """Thresholds raised until another witness speaks for the labels as it does for the clearest ones, up to `target`.

    Let m(h) be the mean of the standardised witness over all pairs of image and class that lie h spreads of absence or
    more above the thresholds, m0 that of the pairs below, m1 that of the `CLEAREST`, taken for right. A share p of
    right labels among those above h then has m(h) = p m1 + (1 - p) m0, which gives p. All classes are raised by one h.

    Args:
        scores: N x C in 0..1.
        values: C thresholds to begin with.
        spread: C, of the log-odds of absent classes.
        witness: N x C, in any unit.
        target: share of right labels, 0 to 1.
    """
    heard = _heard(scores, values, spread, witness, CLEAREST)
    if heard is None:
        return values
    clearest = max(1, round(CLEAREST * len(heard.right)))
    last = int(np.flatnonzero(heard.right >= target).max(initial=clearest - 1))
    if last == len(heard.right) - 1:
        return values
    return _inverse_log_odds(log_odds(values) + heard.heights[last] * spread)


class Heard(NamedTuple):
    """What another witness says of labels, the clearest first.

    Attributes:
        heights: of their scores above the thresholds, in spreads of absence, descending.
        right: share of right ones among those so far, 1 for the clearest.
    """

    heights: Array
    right: Array


def _heard(scores: Array, values: Array, spread: Array, witness: Array, clearest: float) -> Heard | None:
    """None where this witness knows nothing. `clearest` is the share of the labels that is taken for right."""
    height = (log_odds(scores) - log_odds(values)) / spread
    spoken = (witness - witness.mean(axis=0)) / witness.std(axis=0).clip(min=EPSILON)
    above = height >= 0
    if not above.any() or above.all():
        return None
    order = np.argsort(-height[above], kind="stable")
    voices = spoken[above][order]
    least = float(spoken[~above].mean())
    most = float(voices[: max(1, round(clearest * len(voices)))].mean())
    if most <= least:
        return None
    return Heard(height[above][order], (np.cumsum(voices) / np.arange(1, len(voices) + 1) - least) / (most - least))


def _expected_precision(scores: Array, mixture: Mixture, target: float) -> Array:
    """The thresholds that the mixture alone gives."""
    x = np.sort(log_odds(scores), axis=0)[::-1]
    expected = np.cumsum(mixture.present(x), axis=0) / np.arange(1, len(x) + 1)[:, None]
    reaching = np.where(expected >= target, np.arange(len(x))[:, None], -1).max(axis=0)
    place = np.where(reaching >= 0, reaching, expected.argmax(axis=0))
    columns = np.arange(x.shape[1])
    return _inverse_log_odds(x[place, columns])


def get_rule(name: str, witness: Array | None = None) -> Rule:
    """A rule by name, or `precision:NUMBER`.

    Args:
        name: of the rule.
        witness: for `bimodal` and `precision`; see `separated` and `precision_rule`.

    Raises:
        InputError: for an unknown name, listing those that exist, or a number outside (0, 1).
    """
    if name == DEFAULT_RULE:
        return partial(bimodal_rule, witness=witness)
    if name in RULES:
        return RULES[name]
    if name.startswith(PRECISION):
        try:
            target = float(name.removeprefix(PRECISION))
        except ValueError:
            target = math.nan
        if 0 < target < 1:
            return partial(precision_rule, target=target, witness=witness)
        raise InputError(f"the threshold rule {name!r} needs a number between 0 and 1, such as {PRECISION}0.9")
    known = ", ".join([*RULES, PRECISION + "0.9"])
    raise InputError(f"no threshold rule is called {name!r}; choose one of: {known}")


@dataclass(frozen=True)
class Thresholds:
    """Thresholds and a calibration per class.

    Attributes:
        values: C, the score from which on a label is given.
        slope: C, of the calibration: 1 / (1 + exp(-slope (logodds(s) - logodds(value)))); 0.5 is the threshold.
        rule: a name of `RULES`, or "given".
        notes: class index to what the user should know (too few images, constant scores, never found).
    """

    values: Array
    slope: Array
    rule: str
    notes: dict[int, str] = field(default_factory=dict)

    def calibrate(self, scores: Array) -> Array:
        """Scores N x C to 0..1 with 0.5 at the threshold of each class, so that classes can be compared."""
        distance = self.slope * (log_odds(np.asarray(scores, dtype=np.float64)) - log_odds(self.values)) - (
            self.values > 1
        )
        result: Array = 1 / (1 + np.exp(-np.clip(distance, -50, 50)))
        return result

    def decide(self, scores: Array) -> NDArray[np.bool_]:
        """Which labels each image has: N x C bool."""
        result: NDArray[np.bool_] = np.asarray(scores, dtype=np.float64) >= self.values
        return result

    def override(self, values: dict[int, float]) -> Thresholds:
        """The same with thresholds given by hand for some classes (as calibrated scores, 0 to 1 exclusive).

        Raises:
            ValueError: for a threshold outside (0, 1).
        """
        changed = self.values.copy()
        for index, calibrated in values.items():
            if not 0 < calibrated < 1:
                raise ValueError(f"a threshold is a calibrated score between 0 and 1, got {calibrated}")
            shift = np.log(calibrated / (1 - calibrated)) / self.slope[index]
            changed[index] = _inverse_log_odds(log_odds(self.values[index : index + 1]) + shift)[0]
        return Thresholds(changed, self.slope, self.rule, self.notes)


def learn_thresholds(scores: Array, rule: str = DEFAULT_RULE, witness: Array | None = None) -> Thresholds:
    """Thresholds and calibration from unlabelled scores N x C in 0..1; `witness` is that of `get_rule`.

    With fewer than 10 images the threshold is set a little above the greatest score seen; a class whose scores are all
    alike is given to no image. A note says so.

    Raises:
        InputError: for an unknown rule.
    """
    scores = np.asarray(scores, dtype=np.float64)
    images, classes = scores.shape
    notes: dict[int, str] = {}
    if images < MIN_IMAGES:
        ceiling = scores.max(axis=0) if images else np.full(classes, 0.5)
        why = f"only {images} unlabelled images: no threshold can be learnt, set above all that was seen"
        return Thresholds(_above(ceiling), np.ones(classes), rule, dict.fromkeys(range(classes), why))
    values = get_rule(rule, witness)(scores)
    spread = log_odds(scores).std(axis=0)
    flat = spread < 1e-6
    values = np.where(flat, NEVER, values)
    for index in np.flatnonzero(flat):
        notes[int(index)] = "its score was the same on every unlabelled image, so no image is given it"
    slope = _calibration_slope(scores, values, spread)
    return Thresholds(values, slope, rule, notes)


def _calibration_slope(scores: Array, values: Array, spread: Array) -> Array:
    """Per class, so that the median of the images above the threshold calibrates to 0.88 (two units of log-odds)."""
    above = log_odds(scores) - log_odds(values)
    masked = np.where(above >= 0, above, np.nan)
    with np.errstate(all="ignore"):
        typical = np.array([np.nanmedian(column) if np.isfinite(column).any() else np.nan for column in masked.T])
    typical = np.where(np.isfinite(typical) & (typical > 1e-6), typical, np.maximum(spread, 1e-6))
    result: Array = 2.0 / typical
    return result


def _above(scores: Array) -> Array:
    """A little above, and in any case greater: log-odds end where scores come near 1."""
    result: Array = np.maximum(_inverse_log_odds(log_odds(scores) + 0.1), np.nextafter(scores, 2.0))
    return result


def _inverse_log_odds(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def expected_average_precision(scores: Array) -> Array:
    """AP of each class over these images if the mixture's posterior probabilities were true: C, 0 to 1.

    It orders the classes of one problem only roughly, and is too high where absent and present overlap.

    Args:
        scores: N x C in 0..1, unlabelled.
    """
    x = np.sort(log_odds(scores), axis=0)[::-1]
    present = two_gaussians(x).present(x)
    precision = np.cumsum(present, axis=0) / np.arange(1, len(x) + 1)[:, None]
    result: Array = (precision * present).sum(axis=0) / present.sum(axis=0).clip(min=EPSILON)
    return result
