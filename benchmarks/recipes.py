"""The default recipe against the published settings, on the golden files and on seeded problems like them.

python benchmarks/recipes.py                  # golden files and 15 kinds of problem, one seed each
python benchmarks/recipes.py --seeds 3        # the mean over 3 seeds
python benchmarks/recipes.py --golden DIR     # other golden files
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch
from problems import VARIANTS, Problem, make_problem
from rich import box
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from piaa.evaluation.metrics import mean_average_precision
from piaa.method import paa
from piaa.method.evidence import Evidence
from piaa.method.learning import of_result
from piaa.method.recipes import Recipe, get_recipe

ROOT = Path(__file__).parents[1]
PUBLISHED = ("published-voc", "published-coco", "published-nus")


def fit_and_score(problem: Problem, recipe: Recipe, factor: float = 1.0) -> Tensor:
    """Fit on the problem's images and score them; `factor` rescales the learnt logits."""
    evidence = Evidence(len(problem.text), problem.text.shape[1], recipe.bank_size, sample_images=300)
    for part in torch.arange(len(problem.cls)).split(256):
        evidence.update(problem.cls[part], problem.patches[part], part, problem.text, recipe.text_scale)
    result = evidence.learn(problem.text, recipe)
    logits = {name: getattr(result, name) for name in ("weight", "bias", "curvature")}
    louder = replace(result, **{name: part * factor for name, part in logits.items() if part is not None})
    learnt = of_result(louder, evidence, problem.text, recipe).classifier
    return learnt.score(problem.cls, problem.patches)


def compare(problem: Problem) -> dict[str, float]:
    """mAP in percent of every method."""
    default = get_recipe("default")
    no_bias = torch.zeros(len(problem.text))
    scores = {
        "[CLS]": paa.cls_scores(F.normalize(problem.cls, dim=1), problem.text, 1.0),
        "text patches + max": paa.pooled_probabilities(problem.patches, problem.text, no_bias, default.text_scale),
        **{name: fit_and_score(problem, get_recipe(name)) for name in PUBLISHED},
        "softmax-fusion": fit_and_score(problem, get_recipe("softmax-fusion")),
        "default": fit_and_score(problem, default),
        "default, logits x100": fit_and_score(problem, default, 100.0),
    }
    return {name: 100 * mean_average_precision(value, problem.labels) for name, value in scores.items()}


def read_golden(path: Path) -> Problem:
    tensors = load_file(path)
    return Problem(*(tensors[name] for name in ("cls", "patches", "text", "labels")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("PIAA_GOLDEN", ROOT.parent / "shared" / "reference")
    parser.add_argument("--golden", type=Path, default=Path(default), help="directory of pvcl_*.safetensors")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each kind of problem")
    arguments = parser.parse_args()

    rows = {path.stem: [compare(read_golden(path))] for path in sorted(arguments.golden.glob("pvcl_*.safetensors"))}
    for name, setting in VARIANTS.items():
        rows[name] = [compare(make_problem(setting, 1000 + seed)) for seed in range(arguments.seeds)]
    methods = list(next(iter(rows.values()))[0])
    table = Table("problem", *methods, box=box.MARKDOWN)
    for name, outcomes in rows.items():
        means = [sum(outcome[method] for outcome in outcomes) / len(outcomes) for method in methods]
        best = f"{max(means):.1f}"
        cells = [f"{mean:.1f}" for mean in means]
        table.add_row(name, *(f"**{cell}**" if cell == best else cell for cell in cells))
    Console(width=max(Console().width, 200)).print(table)


if __name__ == "__main__":
    main()
