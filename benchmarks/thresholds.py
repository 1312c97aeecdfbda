"""Which rule finds the labels of an image: CF1 and OF1 of every rule, on the golden files and seeded problems.

    python benchmarks/thresholds.py               # mean over the problems, then CF1 of each problem
    python benchmarks/thresholds.py --seeds 3     # three seeds of each kind of problem

Thresholds are learnt from the scores of one half of the images, without labels, and judged on the other half. The
oracle has the best threshold of each class for these very labels: an upper mark. 0.5 is taken on the raw score.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

import torch
from problems import VARIANTS, Problem, make_problem
from recipes import ROOT, fit_and_score, read_golden
from rich import box
from rich.console import Console
from rich.table import Table

from piaa.evaluation.metrics import F1, f1, oracle_thresholds, relative_decisions
from piaa.method.recipes import get_recipe
from piaa.method.thresholds import DEFAULT_RULE, RULES, learn_thresholds


def compare(problem: Problem, recipe: str) -> dict[str, F1]:
    """F1 of every rule and reference mark on the images at odd places."""
    scores = fit_and_score(problem, get_recipe(recipe))
    seen, judged, labels = scores[::2].double().numpy(), scores[1::2], problem.labels[1::2]
    decisions = {rule: torch.from_numpy(learn_thresholds(seen, rule).decide(judged.double().numpy())) for rule in RULES}
    decisions["relative, half the range"] = relative_decisions(judged)
    decisions["fixed 0.5"] = judged >= 0.5
    decisions["oracle"] = judged >= oracle_thresholds(judged, labels)
    return {name: f1(decided, labels) for name, decided in decisions.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("PIAA_GOLDEN", ROOT.parent / "shared" / "reference")
    parser.add_argument("--golden", type=Path, default=Path(default), help="directory of pvcl_*.safetensors")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each kind of problem")
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--recipe", default="default")
    arguments = parser.parse_args()

    outcomes: dict[str, list[dict[str, F1]]] = defaultdict(list)
    for path in sorted(arguments.golden.glob("pvcl_*.safetensors")):
        outcomes[path.stem].append(compare(read_golden(path), arguments.recipe))
    for name, setting in VARIANTS.items():
        for seed in range(arguments.seeds):
            outcomes[name].append(compare(make_problem(setting, arguments.first_seed + seed), arguments.recipe))

    every = [outcome for several in outcomes.values() for outcome in several]
    methods = list(every[0])
    console = Console(width=max(Console().width, 200))
    summary = Table("rule", "CP", "CR", "CF1", "OP", "OR", "OF1", box=box.MARKDOWN)
    for method in methods:
        means = (
            100 * sum(getattr(o[method], name) for o in every) / len(every)
            for name in ("cp", "cr", "cf1", "op", "or_", "of1")
        )
        summary.add_row(method + (" (default)" if method == DEFAULT_RULE else ""), *(f"{mean:.1f}" for mean in means))
    console.print(summary)
    table = Table("problem", *methods, box=box.MARKDOWN)
    for name, several in outcomes.items():
        cells = (
            " / ".join(
                f"{100 * sum(getattr(o[method], key) for o in several) / len(several):.0f}" for key in ("cf1", "of1")
            )
            for method in methods
        )
        table.add_row(name, *cells)
    console.print(table)


if __name__ == "__main__":
    main()
