"""The numbers of an evaluation: every method by every metric, with intervals, and PIAA against its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from piaa.evaluation import metrics

BASELINES = ("cls", "text_patch", "piaa")
"""What PIAA, or PIAA with a head, is compared with."""


def summarise(
    scores: Mapping[str, Tensor],
    labels: Tensor,
    sizes: Tensor,
    decided: Tensor,
    *,
    rule: str = "torchmetrics",
    resamples: int | None = None,
    seed: int = 0,
    main: str = "piaa",
) -> dict[str, Any]:
    """Measure all methods.

    Args:
        scores: method to N x C; one is `main`.
        labels: N x C of 1, 0 and -1 (does not count).
        sizes: N x C relative sizes, NaN where unknown.
        decided: N x C bool, the labels of `main`.
        rule: a name in `metrics.AP_RULES`.
        resamples: of the bootstrap; 0: no intervals and no comparisons, None: `metrics.default_resamples`.
        seed: of the bootstrap.
        main: whose labels are measured, and which is compared with the baselines.

    Returns:
        JSON values, in percent but for p values, counts and what researchers registered:
        `map` {method: value}; `intervals` {method: {low, high, level}}; `by_size` {method: {size: value}};
        `f1` {rule of decision: six numbers}; `f1_intervals` {rule of decision: {cf1, of1: {low, high, level}}};
        `top3` {method: six numbers}; `comparisons` [{run, baseline, difference, low, high, level, p_value}];
        `metrics` {registered name: {method: value}}; `notes` [what went wrong]; `rule`, `resamples`, `images`.

    Raises:
        InputError: an unknown rule, shapes that differ, a NaN.
    """
    count = metrics.default_resamples(len(labels)) if resamples is None else resamples
    name = metrics.AP_METRICS.get(rule, rule)
    values = {method: metrics.mean_average_precision(s, labels, rule) for method, s in scores.items()}
    drawn = _samples(name, scores, labels, count, seed)
    choices = _decisions(scores[main], labels, decided)
    registered, notes = _registered(scores, labels)
    return {
        "map": {method: value * 100 for method, value in values.items()},
        "intervals": {method: _ends(metrics.interval_of(values[method], s)) for method, s in drawn.items()},
        "by_size": {method: _by_size(s, labels, sizes, rule) for method, s in scores.items()},
        "f1": {choice: _percent(metrics.f1(chosen, labels)) for choice, chosen in choices.items()},
        "f1_intervals": {choice: _f1_intervals(c, labels, count, seed) for choice, c in choices.items()}
        if count
        else {},
        "top3": {m: _percent(metrics.f1(metrics.top_k_decisions(s), labels)) for m, s in scores.items()},
        "comparisons": [_against(main, b, values, drawn) for b in BASELINES if b in drawn and b != main],
        "metrics": registered,
        "notes": notes,
        "rule": rule,
        "resamples": count,
        "images": len(labels),
    }


def _samples(name: str, scores: Mapping[str, Tensor], labels: Tensor, count: int, seed: int) -> dict[str, Tensor]:
    if not count:
        return {}
    return {m: metrics.bootstrap_samples(name, s, labels, resamples=count, seed=seed) for m, s in scores.items()}


def _decisions(scores: Tensor, labels: Tensor, decided: Tensor) -> dict[str, Tensor]:
    return {
        "learnt thresholds": decided,
        "relative threshold": metrics.relative_decisions(scores),
        "oracle thresholds": scores >= metrics.oracle_thresholds(scores, labels),
    }


def _registered(scores: Mapping[str, Tensor], labels: Tensor) -> tuple[dict[str, dict[str, float]], list[str]]:
    """What researchers registered; a metric that fails is NaN and noted, and the others go on."""
    found: dict[str, dict[str, float]] = {}
    notes = []
    for name, metric in metrics.registered_metrics().items():
        found[name] = {}
        for method, s in scores.items():
            try:
                found[name][method] = float(metric(s, labels))
            except Exception as error:
                found[name][method] = float("nan")
                notes.append(f"metric {name!r} failed for {method}: {error!r}")
    return found, notes


def _f1_intervals(decided: Tensor, labels: Tensor, count: int, seed: int) -> dict[str, dict[str, float]]:
    marks = decided.double()
    each = {
        key: metrics.bootstrap_interval(name, marks, labels, resamples=count, seed=seed)
        for key, name in (("cf1", "CF1"), ("of1", "OF1"))
    }
    return {key: _ends(interval) for key, interval in each.items()}


def _against(main: str, baseline: str, values: Mapping[str, float], drawn: Mapping[str, Tensor]) -> dict[str, Any]:
    found = metrics.comparison_of(values[main], values[baseline], drawn[main], drawn[baseline])
    return {"run": main, "baseline": baseline, **comparison_percent(found)}


def comparison_percent(found: metrics.Comparison) -> dict[str, float]:
    """A comparison as JSON values, in percent but for level and p value."""
    percent = {key: getattr(found, key) * 100 for key in ("difference", "low", "high")}
    return {**percent, "level": found.level, "p_value": found.p_value}


def _ends(interval: metrics.Interval) -> dict[str, float]:
    return {"low": interval.low * 100, "high": interval.high * 100, "level": interval.level}


def _percent(f1: metrics.F1) -> dict[str, float]:
    return {name.rstrip("_"): value * 100 for name, value in asdict(f1).items()}


def _by_size(scores: Tensor, labels: Tensor, sizes: Tensor, rule: str) -> dict[str, float]:
    if bool(sizes.isnan().all()):
        return {}
    return {k: v * 100 for k, v in metrics.average_precision_by_size(scores, labels, sizes, rule).items()}
