"""The default against `fixed-fusion`, which it replaced, and against its own patches and [CLS] alone: mAP.

    python benchmarks/agreement.py --seeds 3001 3002                 # seeded problems, golden files
    python benchmarks/agreement.py --seeds 3001 --scenes 31 32       # and drawn scenes (1,000 to learn, 1,000 to judge)
    python benchmarks/agreement.py --seeds 3001 --cuts 2 3 4 6       # other settings, for choosing

Three kinds of problem are added on which [CLS] is the better witness. A problem is scored on the images it was fitted
on (no label is used), scenes on others.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch
from few_images import encoded
from problems import VARIANTS, Problem, Setting, make_problem
from recipes import ROOT, fit_and_score, read_golden
from rich import box
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from piaa.evaluation.metrics import mean_average_precision
from piaa.method import agreement
from piaa.method.evidence import Evidence
from piaa.method.learning import learn
from piaa.method.recipes import get_recipe
from piaa.method.reliability import cosines

CLS_BETTER = {  # what changes, and how much more of an object [CLS] shows
    "[CLS] better: whole scene": (Setting(noise=0.45, smallest=1, largest=2), 0.5),
    "[CLS] better: poor patches": (Setting(noise=0.6), 0.4),
    "[CLS] better: tiny objects": (Setting(noise=0.4, smallest=1, largest=3), 0.6),
}


def cls_better(setting: Setting, strength: float, seed: int) -> Problem:
    """A problem whose [CLS] shows its objects better than its patches do."""
    problem = make_problem(setting, seed)
    random = torch.Generator().manual_seed(seed)
    objects = F.normalize(torch.randn(*problem.text.shape, generator=random), dim=1)  # the first draw of make_problem
    return replace(problem, cls=problem.cls + strength * problem.labels.float() @ objects)


def compare(problem: Problem, cuts: list[float]) -> dict[str, float]:
    """mAP in percent of [CLS], the default's patches alone, `fixed-fusion` and the default at each cut."""
    fixed, learnt = get_recipe("fixed-fusion"), get_recipe("default")
    cosines = F.normalize(problem.cls, dim=1) @ problem.text.T
    centred = cosines - cosines.mean(dim=1, keepdim=True)
    scores = {
        "[CLS]": torch.sigmoid(centred),
        "patches": fit_and_score(problem, replace(learnt, weighting="given", alpha=1.0)),
        "fixed": fit_and_score(problem, fixed),
    }
    for cut in cuts:
        agreement.CUT = cut
        scores[f"default, cut {cut:g}"] = fit_and_score(problem, learnt)
    return {name: 100 * mean_average_precision(value, problem.labels) for name, value in scores.items()}


def scenes(seed: int, images: int) -> dict[str, float]:
    """The same on drawn scenes, fitted on `images` and judged on as many others."""
    unlabelled, judged, text, labels = encoded(seed, images)
    evidence = Evidence(len(text), text.shape[1])
    for part in torch.arange(images).split(50):
        evidence.update(unlabelled[0][part], unlabelled[1][part], part, text, get_recipe("default").text_scale)
    fixed, learnt = (learn(evidence, text, get_recipe(name)).classifier for name in ("fixed-fusion", "default"))
    scores = {
        "[CLS]": cosines(learnt, judged[0]),
        "patches": learnt.pooled(judged[1]),
        "fixed": fixed.score(*judged),
        "default": learnt.score(*judged),
    }
    return {name: 100 * mean_average_precision(value, labels) for name, value in scores.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("PIAA_GOLDEN", ROOT.parent / "shared" / "reference")
    parser.add_argument("--golden", type=Path, default=Path(default), help="directory of pvcl_*.safetensors")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3001])
    parser.add_argument("--scenes", type=int, nargs="*", default=[])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--cuts", type=float, nargs="+", default=[agreement.CUT])
    arguments = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {}
    for name, setting in VARIANTS.items():
        rows[name] = [compare(make_problem(setting, seed), arguments.cuts) for seed in arguments.seeds]
    for name, (setting, strength) in CLS_BETTER.items():
        rows[name] = [compare(cls_better(setting, strength, seed), arguments.cuts) for seed in arguments.seeds]
    for path in sorted(arguments.golden.glob("pvcl_*.safetensors")):
        rows[path.stem] = [compare(read_golden(path), arguments.cuts)]
    show(rows)
    if arguments.scenes:
        show({f"scenes {seed}": [scenes(seed, arguments.images)] for seed in arguments.scenes})


def show(rows: dict[str, list[dict[str, float]]]) -> None:
    methods = list(next(iter(rows.values()))[0])
    against = ("fixed", "patches", "[CLS]")
    table = Table("problem", *methods, *(f"least over {name}" for name in against), box=box.MARKDOWN)
    for name, outcomes in rows.items():
        means = [sum(outcome[method] for outcome in outcomes) / len(outcomes) for method in methods]
        last = methods[-1]
        gains = (min(outcome[last] - outcome[name] for outcome in outcomes) for name in against)
        table.add_row(name, *(f"{mean:.2f}" for mean in means), *(f"{gain:+.2f}" for gain in gains))
    Console(width=max(Console().width, 160)).print(table)


if __name__ == "__main__":
    main()
