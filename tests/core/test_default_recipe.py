"""The default against the published settings on problems that nobody tuned it on, by `benchmarks/problems.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from problems import VARIANTS, make_problem
from recipes import PUBLISHED, compare, fit_and_score

from piaa.metrics import f1, relative_decisions
from piaa.recipes import get_recipe
from piaa.thresholds import learn_thresholds


@pytest.mark.parametrize("name", ["like the golden files", "poor text", "large images", "crowded", "wide gap"])
def test_the_default_beats_every_published_setting_and_feels_no_scale(name: str) -> None:
    reached = compare(make_problem(VARIANTS[name], seed=77))
    assert reached["default"] >= max(reached[method] for method in (*PUBLISHED, "text patches + max", "[CLS]"))
    assert reached["default, logits x100"] == pytest.approx(reached["default"], abs=0.05)


@pytest.mark.parametrize("name", ["like the golden files", "less noise", "crowded"])
def test_learnt_thresholds_beat_the_relative_threshold(name: str) -> None:
    problem = make_problem(VARIANTS[name], seed=78)
    scores = fit_and_score(problem, get_recipe("default")).scores
    thresholds = learn_thresholds(scores[::2].double().numpy())
    decided = torch.from_numpy(thresholds.decide(scores[1::2].double().numpy()))
    learnt, relative = (f1(d, problem.labels[1::2]) for d in (decided, relative_decisions(scores[1::2])))
    assert learnt.cf1 > relative.cf1
    assert learnt.of1 > relative.of1
