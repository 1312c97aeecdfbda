"""Numbers: mean average precision, F1 of decided labels, AP by object size, intervals and comparisons.

Scores are N x C tensors, higher is surer. Labels are N x C: 1 has the class, 0 has not, -1 does not count (a difficult
object, say) and is left out for that class alone. All results are fractions, 0 to 1. `docs/metrics.md` defines each.
"""

from piaa.evaluation.metrics.bootstrap import (
    Interval,
    bootstrap_interval,
    bootstrap_samples,
    default_resamples,
    interval_of,
)
from piaa.evaluation.metrics.compare import ClassComparison, Comparison, compare, compare_classes, comparison_of
from piaa.evaluation.metrics.decisions import (
    F1,
    cf1,
    f1,
    of1,
    oracle_thresholds,
    relative_decisions,
    top_k_decisions,
)
from piaa.evaluation.metrics.precision import (
    AP_METRICS,
    average_precision,
    classes_without_positives,
    mean_average_precision,
    mean_average_precision_voc2007,
    mean_average_precision_voc2010,
)
from piaa.evaluation.metrics.registry import METRICS, metric_named, register_metric, registered_metrics
from piaa.evaluation.metrics.rules import AP_RULES
from piaa.evaluation.metrics.sizes import AREA_BINS, SIZE_BINS, average_precision_by_area, average_precision_by_size

__all__ = [
    "AP_METRICS",
    "AP_RULES",
    "AREA_BINS",
    "F1",
    "METRICS",
    "SIZE_BINS",
    "ClassComparison",
    "Comparison",
    "Interval",
    "average_precision",
    "average_precision_by_area",
    "average_precision_by_size",
    "bootstrap_interval",
    "bootstrap_samples",
    "cf1",
    "classes_without_positives",
    "compare",
    "compare_classes",
    "comparison_of",
    "default_resamples",
    "f1",
    "interval_of",
    "mean_average_precision",
    "mean_average_precision_voc2007",
    "mean_average_precision_voc2010",
    "metric_named",
    "of1",
    "oracle_thresholds",
    "register_metric",
    "registered_metrics",
    "relative_decisions",
    "top_k_decisions",
]
