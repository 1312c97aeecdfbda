"""How well the estimate without labels (`piaa check`, `--recipe auto`) orders recipes: rank correlation and regret.

    python benchmarks/check.py --seeds 3101 3102                     # seeded problems, golden files
    python benchmarks/check.py --seeds 3101 --scenes 41 --images 400  # and scenes, with each front-end

Regret is mAP of the best of the list less mAP of the one with the best estimate, in points. The list: all recipes, text
patches alone, [CLS] alone; on scenes each of them with each front-end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import torch
from agreement import CLS_BETTER, cls_better
from problems import VARIANTS, Problem, make_problem
from recipes import ROOT, read_golden
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from piaa import Recognizer
from piaa.evaluation.metrics import mean_average_precision
from piaa.inputs.items import batches, iterate
from piaa.method.evidence import Evidence
from piaa.method.learning import learn
from piaa.method.recipes import RECIPES
from piaa.method.reliability import choose, without_learning
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder
from piaa.vision.front_ends import FRONT_ENDS

Outcome = dict[str, tuple[float, float]]  # name to estimate and mAP in percent


def of_evidence(evidence: Evidence, text: torch.Tensor, seen: tuple, judged: tuple, labels: torch.Tensor) -> Outcome:
    """Every recipe, text patches and [CLS]: what is estimated on the images seen, what is true of those judged."""
    candidates = {name: learn(evidence, text, recipe).classifier for name, recipe in RECIPES.items()}
    candidates |= without_learning(candidates["default"], RECIPES["default"].text_scale)
    estimates = choose(candidates, *(part[:500] for part in seen))
    return {
        name: (value.fused, 100 * mean_average_precision(candidates[name].score(*judged), labels))
        for name, value in estimates.items()
    }


def of_problem(problem: Problem) -> Outcome:
    evidence = Evidence(len(problem.text), problem.text.shape[1], 512, sample_images=300)
    for part in torch.arange(len(problem.cls)).split(256):
        evidence.update(problem.cls[part], problem.patches[part], part, problem.text, RECIPES["default"].text_scale)
    images = (problem.cls, problem.patches)
    return of_evidence(evidence, problem.text, images, images, problem.labels)


def of_scenes(seed: int, images: int) -> Outcome:
    """Each front-end; names are `front-end/recipe`."""
    outcome: Outcome = {}
    with tempfile.TemporaryDirectory() as folder:
        drawn = {
            split: write_scene_folder(f"{folder}/{split}", seed, split, images) for split in ("unlabelled", "test")
        }
        labels = torch.zeros(images, len(object_names()), dtype=torch.bool)
        for row, (_, scene) in enumerate(drawn["test"]):
            labels[row, list(scene.labels)] = True
        for front_end in FRONT_ENDS:
            learner = Recognizer(object_names(), front_end=front_end).learner()
            encode, parts = learner.setup.encoder(), {}
            for split in drawn:
                pieces = [encode(b.images) for b in batches(iterate(f"{folder}/{split}"), learner.preprocess, 50)]
                parts[split] = (torch.cat([p.cls for p in pieces]), torch.cat([p.patches for p in pieces]))
            seen = parts["unlabelled"]
            learner.evidence.update(*seen, torch.arange(images), learner.prototypes, learner.recipe.text_scale)
            found = of_evidence(learner.evidence, learner.prototypes, seen, parts["test"], labels)
            outcome |= {f"{front_end}/{name}": value for name, value in found.items()}
    return outcome


def row(outcomes: list[Outcome]) -> list[str]:
    ranks, regrets, defaults, chosen = [], [], [], []
    for outcome in outcomes:
        estimates, truth = zip(*outcome.values(), strict=True)
        best, default = max(truth), [value for name, (_, value) in outcome.items() if name.endswith("default")]
        picked = max(outcome, key=lambda name: outcome[name][0])
        ranks.append(float(spearmanr(estimates, truth)[0]))
        regrets.append(best - outcome[picked][1])
        defaults.append(best - max(default))
        chosen.append(picked)
    TOTAL.extend(regrets)
    return [
        f"{statistics.mean(ranks):.2f}", f"{statistics.mean(regrets):.2f}", f"{max(regrets):.2f}",
        f"{statistics.mean(defaults):.2f}", ", ".join(dict.fromkeys(chosen)),
    ]  # fmt: skip


TOTAL: list[float] = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("PIAA_GOLDEN", ROOT.parent / "shared" / "reference")
    parser.add_argument("--golden", type=Path, default=Path(default), help="directory of pvcl_*.safetensors")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3101])
    parser.add_argument("--scenes", type=int, nargs="*", default=[])
    parser.add_argument("--images", type=int, default=400)
    arguments = parser.parse_args()
    table = Table(
        "problem", "rank correlation", "regret", "worst regret", "regret of the default", "chosen", box=box.MARKDOWN
    )
    for name, setting in VARIANTS.items():
        table.add_row(name, *row([of_problem(make_problem(setting, seed)) for seed in arguments.seeds]))
    for name, (setting, strength) in CLS_BETTER.items():
        table.add_row(name, *row([of_problem(cls_better(setting, strength, seed)) for seed in arguments.seeds]))
    for path in sorted(arguments.golden.glob("pvcl_*.safetensors")):
        table.add_row(path.stem, *row([of_problem(read_golden(path))]))
    for seed in arguments.scenes:
        table.add_row(f"scenes {seed}, all front-ends", *row([of_scenes(seed, arguments.images)]))
    Console(width=max(Console().width, 170)).print(table)
    print(f"mean regret {statistics.mean(TOTAL):.2f}, worst {max(TOTAL):.2f}")


if __name__ == "__main__":
    main()
