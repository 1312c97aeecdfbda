"""Two runs on the same images, each method of the one against the other's: what `piaa compare` shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from piaa.errors import InputError
from piaa.evaluation import metrics
from piaa.evaluation.score_tables import ScoreTable
from piaa.evaluation.summary import comparison_percent


def method_pairs(
    first: ScoreTable, second: ScoreTable, method: str | None, against: str | None
) -> list[tuple[str, str]]:
    """Methods of the first and of the second run to be compared: one pair if `method` is given, else all they share.

    Raises:
        InputError: a method that a run has not, or none in common.
    """
    if method is None and against is not None:
        raise InputError("--against needs --method: the method of the second run")
    if method is None:
        shared = [(name, name) for name in first.scores if name in second.scores]
        if not shared:
            known = f"{', '.join(first.scores)} and {', '.join(second.scores)}"
            raise InputError(f"no method in common: {known}; name one of each: --method (second) and --against (first)")
        return shared
    for name, table, which in ((against or method, first, "first"), (method, second, "second")):
        if name not in table.scores:
            raise InputError(f"the {which} run has no method {name!r}; it has: {', '.join(table.scores)}")
    return [(against or method, method)]


def compare_methods(
    first: ScoreTable, second: ScoreTable, pairs: list[tuple[str, str]], metric: str, resamples: int | None
) -> list[dict[str, Any]]:
    """The second run against the first, by one metric; CF1 and OF1 of PIAA's labels too where both have them.

    Args:
        first: the baseline, with the same images and classes as the second (`aligned`).
        second: the run.
        pairs: methods of the first and the second.
        metric: a name in `METRICS`.
        resamples: of the bootstrap; None: the default.

    Returns:
        JSON values {metric, percent, method, against, value, baseline, difference, low, high, level, p_value};
        in percent but for level, p value and metrics that a researcher registered.
    """
    rows = []
    for theirs, ours in pairs:
        found = metrics.compare(second.scores[ours], first.scores[theirs], first.labels, metric, resamples=resamples)
        rows.append(
            {
                "metric": metric,
                "percent": metric not in metrics.registered_metrics(),
                "method": ours,
                "against": theirs,
                **_values(metric, found),
            }
        )
    whole = all(theirs == ours for theirs, ours in pairs) and any(ours == "piaa" for _, ours in pairs)
    if whole and first.decided is not None and second.decided is not None:
        for name in ("CF1", "OF1"):
            runs = second.decided.double(), first.decided.double()
            found = metrics.compare(*runs, first.labels, name, resamples=resamples)
            rows.append(
                {"metric": name, "percent": True, "method": "decided", "against": "decided", **_values(name, found)}
            )
    return rows


def class_rows(
    first: Tensor, second: Tensor, labels: Tensor, names: list[str], rule: str, resamples: int | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """AP of each class that has positives, second against first, in percent; and the tests over all classes.

    A class with too few positives for a verdict has NaN for its interval and p.
    """
    found = metrics.compare_classes(second, first, labels, rule, resamples=resamples)
    columns = {
        "value": found.value, "baseline": found.baseline, "difference": found.difference, "low": found.low,
        "high": found.high,
    }  # fmt: skip
    rows = []
    for c, name in enumerate(names):
        if not bool(found.difference[c].isnan()):
            percent = {key: float(column[c]) * 100 for key, column in columns.items()}
            tests = {"p_value": float(found.p_values[c]), "q_value": float(found.q_values[c])}
            rows.append({"class": name, "positives": int(found.positives[c]), **percent, **tests})
    over = {"wins": found.wins, "losses": found.losses, "sign_p": found.sign_p, "wilcoxon_p": found.wilcoxon_p}
    return rows, over


def _values(metric: str, found: metrics.Comparison) -> dict[str, float]:
    if metric in metrics.registered_metrics():
        return asdict(found)
    return {"value": found.value * 100, "baseline": found.baseline * 100, **comparison_percent(found)}
