"""How each kind of experiment is measured: a function of a `Job` that gives rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from piaa.evaluation import metrics
from piaa.experiments import pictures
from piaa.experiments.ablations import ablations
from piaa.experiments.job import Job
from piaa.experiments.measure import finish, fused_at, learn, mean_ap
from piaa.experiments.results import Row
from piaa.experiments.systems import systems
from piaa.experiments.timings import timing


def methods(job: Job) -> list[Row]:
    """Tables 2 to 4: mAP of each line's method, with every registered metric beside it."""
    rows = []
    for run in job.runs:
        scores = job.scores[run.method]
        rows.append(job.row(run, "mAP", *mean_ap(scores, job.labels)))
        rows += [
            job.row(run, name, metric(scores, job.labels)) for name, metric in metrics.registered_metrics().items()
        ]
    return rows


def scale(job: Job) -> list[Row]:
    """Table 6: AP of the classes that the paper lists as large and small; where there are sizes, mAP by size too."""
    names = job.learnt.scorer.label_names
    sizes = torch.from_numpy(job.dataset.truth.size_matrix(job.known[1]))
    rows = []
    for run in job.runs:
        scores = job.scores[run.method]
        each = metrics.average_precision(scores, job.labels) * 100
        for group, listed in job.spec.options["classes"].items():
            for name in listed.get(job.dataset.name, []):
                if name in names and not math.isnan(value := float(each[names.index(name)])):
                    rows.append(job.row(run, f"AP {name}", value, parameter=group))
        if not bool(sizes.isnan().all()):
            by_size = metrics.average_precision_by_size(scores, job.labels, sizes)
            rows += [job.row(run, "mAP by size", 100 * v, parameter=k) for k, v in by_size.items() if not math.isnan(v)]
    return rows


def sweep(job: Job) -> list[Row]:
    """Figure 4: mAP over bank sizes K (one harvest, cut down to each K) and over fusion weights alpha."""
    (run,) = job.runs
    rows = []
    sizes = sorted(job.spec.options["bank_size"], reverse=True)
    largest = learn(
        job.setup, job.classes, job.prototypes, replace(job.recipe, bank_size=sizes[0], bank_share=1.0), job.unlabelled
    ).learner
    for size in sizes:
        largest.shrink_bank(size)
        scores = fused_at(finish(largest), job.test, [job.recipe.alpha])[job.recipe.alpha]
        rows.append(job.row(run, "mAP", *mean_ap(scores[job.known[0]], job.labels), parameter=f"K={size}"))
    for alpha, scores in fused_at(job.learnt, job.test, job.spec.options["alpha"]).items():
        rows.append(job.row(run, "mAP", *mean_ap(scores[job.known[0]], job.labels), parameter=f"alpha={alpha}"))
    return rows


def maps(job: Job) -> list[Row]:
    """Figures 1 and 5: attention of [CLS] and classifier maps of a few test images, kept for `piaa report` to draw."""
    (run,) = job.runs
    shown = pictures.keep_maps(job, int(job.spec.options["images"]))
    return [job.row(run, "images drawn", float(shown))]


def retained(job: Job) -> list[Row]:
    """Figure 6: patches that purification kept, and how many of a class's harvest they are."""
    (run,) = job.runs
    options = job.spec.options
    drawn = pictures.keep_retained(job, int(options["classes_shown"]), int(options["patches_shown"]))
    return [job.row(run, "patches kept", float(kept), parameter=name) for name, kept in drawn.items()]


KINDS: dict[str, Callable[[Job], list[Row]]] = {
    "methods": methods,
    "systems": systems,
    "timing": timing,
    "scale": scale,
    "sweep": sweep,
    "maps": maps,
    "retained": retained,
    "ablations": ablations,
}
"""By the name in a specification."""
LINE_BY_LINE = frozenset({"systems"})
"""Kinds whose lines are jobs of their own, each stored when it is done."""
