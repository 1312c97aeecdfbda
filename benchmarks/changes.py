"""The ablations that need no images, on the golden files and on the seeded problems: what helps on scenes, and there?

    python benchmarks/changes.py                 # lines of `piaa reproduce ablations`, 3 seeds of each kind of problem
    python benchmarks/changes.py --first-seed 2000

Points of mAP beside the default: the mean over the golden files, the mean over the problems, and the worst problem.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from problems import VARIANTS, Problem, make_problem
from recipes import ROOT, read_golden

from piaa.bench.output import markdown
from piaa.evaluation.metrics import mean_average_precision
from piaa.experiments.ablations import head_of, learn_variant, limited_rows
from piaa.experiments.spec import read_spec
from piaa.experiments.variants import OWN_FIELDS, Variant, variant_of
from piaa.method.evidence import Evidence
from piaa.method.recipes import get_recipe

NEEDS_IMAGES = OWN_FIELDS & {
    "front_end",
    "templates",
    "sizes",
    "smoothing",
    "share",
    "gate",
    "harvest_standardised",
    "harvests",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    golden = Path(os.environ.get("PIAA_GOLDEN", ROOT.parent / "shared" / "reference"))
    parser.add_argument("--golden", type=Path, default=golden, help="directory of pvcl_*.safetensors")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each kind of problem")
    parser.add_argument("--first-seed", type=int, default=1010)
    arguments = parser.parse_args()

    runs = [run for run in read_spec("ablations").runs if not NEEDS_IMAGES & run.change.keys()]
    variants = {run.row: variant_of(run.change, get_recipe("fixed-fusion")) for run in runs}
    files = sorted(arguments.golden.glob("pvcl_*.safetensors"))
    known = [measure(read_golden(path), variants) for path in files]
    drawn: dict[str, list[dict[str, float]]] = {}
    for name, setting in VARIANTS.items():
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        drawn[name] = [measure(make_problem(setting, seed), variants) for seed in seeds]
    print(
        markdown((["change", "golden files", "problems", "worst problem"], list(lines(known, drawn, list(variants)))))
    )


def measure(problem: Problem, variants: dict[str, Variant]) -> dict[str, float]:
    """mAP in percent of each variant; all learn from the same evidence."""
    recipe = get_recipe("fixed-fusion")
    evidence = Evidence(len(problem.text), problem.text.shape[1], recipe.bank_size, sample_images=300)
    for part in torch.arange(len(problem.cls)).split(256):
        evidence.update(problem.cls[part], problem.patches[part], part, problem.text, recipe.text_scale)
    reached = {}
    for name, variant in variants.items():
        learnt = learn_variant(variant, evidence, problem.text, limited_rows(evidence.bank, variant))
        head = head_of(learnt, evidence, problem.text, variant)
        scores = head.fused(*head.parts(problem.cls, problem.patches), evidence)
        reached[name] = 100 * mean_average_precision(scores, problem.labels)
    return reached


def lines(
    known: list[dict[str, float]], drawn: dict[str, list[dict[str, float]]], names: list[str]
) -> Iterator[list[str]]:
    """The default with its mAP, then each change with its differences, the best first."""
    default = names[0]

    def gained(outcomes: list[dict[str, float]], name: str) -> float:
        return sum(each[name] - each[default] for each in outcomes) / max(len(outcomes), 1)

    every = [each for several in drawn.values() for each in several]
    values = [sum(each[default] for each in some) / max(len(some), 1) for some in (known, every)]
    yield [default, *(f"{value:.2f}" for value in values), ""]
    for name in sorted(names[1:], key=lambda name: -gained(every, name)):
        worst = min(drawn, key=lambda kind: gained(drawn[kind], name))
        cells = [f"{gained(some, name):+.2f}" for some in (known, every)]
        yield [name, *cells, f"{gained(drawn[worst], name):+.2f} ({worst})"]


if __name__ == "__main__":
    main()
