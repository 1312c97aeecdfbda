"""The default against the published settings on problems that nobody tuned it on, by `benchmarks/problems.py`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from problems import VARIANTS, make_problem
from recipes import PUBLISHED, compare, fit_and_score

from piaa.evaluation.metrics import f1, mean_average_precision, relative_decisions
from piaa.method.recipes import get_recipe
from piaa.method.thresholds import learn_thresholds


@pytest.mark.parametrize("name", ["like the golden files", "poor text", "large images", "crowded", "wide gap"])
def test_the_default_beats_every_published_setting_and_feels_no_scale(name: str) -> None:
    reached = compare(make_problem(VARIANTS[name], seed=77))
    assert reached["default"] >= max(reached[method] for method in (*PUBLISHED, "text patches + max", "[CLS]"))
    assert reached["default, logits x100"] == pytest.approx(reached["default"], abs=0.05)


def test_learnt_thresholds_beat_the_relative_threshold() -> None:
    """On the mean of five kinds of problem; where every image has many objects the relative one is as good."""
    learnt, relative = [], []
    for name in ("like the golden files", "less noise", "poor text", "5 classes", "crowded"):
        problem = make_problem(VARIANTS[name], seed=78)
        scores = fit_and_score(problem, get_recipe("default"))
        thresholds = learn_thresholds(scores[::2].double().numpy())
        decided = torch.from_numpy(thresholds.decide(scores[1::2].double().numpy()))
        for marks, decision in ((learnt, decided), (relative, relative_decisions(scores[1::2]))):
            found = f1(decision, problem.labels[1::2])
            marks.append((found.cf1, found.of1))
    ours, theirs = torch.tensor(learnt).mean(dim=0), torch.tensor(relative).mean(dim=0)
    assert (ours > theirs).all(), f"{learnt} {relative}"


def test_a_background_class_helps_where_classes_are_few() -> None:
    """Two of three patches show none of five classes, which without it share them out."""
    problem, default = make_problem(VARIANTS["5 classes"], seed=79), get_recipe("default")
    reached = [
        mean_average_precision(fit_and_score(problem, recipe), problem.labels)
        for recipe in (default, replace(default, background=0.0))
    ]
    assert reached[0] > reached[1] + 0.01
