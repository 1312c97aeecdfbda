"""What was compared while the weight of [CLS] and the thresholds were chosen: docs/adaptive.md quotes these tables.

    python benchmarks/adaptive_choices.py --seeds 2003 2004 --scenes 4 7

First: other halves of the patches, and weights of single classes, mAP in percent. Second: what all patches weigh, what
[CLS] counts at most, and how far the measured share is stretched. Third: precision where 0.9 was asked for, and how
well the expected AP orders the classes. The seeds are those that choices were made on.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from agreement import CLS_BETTER, cls_better
from few_images import encoded
from problems import VARIANTS, make_problem
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import Tensor

from piaa.evaluation.metrics import average_precision, f1, mean_average_precision
from piaa.method import agreement, paa
from piaa.method.evidence import Evidence
from piaa.method.learning import learn
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import get_recipe
from piaa.method.reliability import cosines, witnesses
from piaa.method.thresholds import expected_average_precision, learn_thresholds

Images = tuple[Tensor, Tensor]
World = tuple[Images, Images, Tensor, Tensor]  # unlabelled, judged, prototypes, labels


def side_of(patches: int) -> tuple[Tensor, int]:
    return torch.arange(patches), round(patches**0.5)


HALVES: dict[str, Callable[[int], Tensor]] = {
    "chessboard": agreement.checkerboard,
    "every second row": lambda m: side_of(m)[0] // side_of(m)[1] % 2 == 0,
    "every second column": lambda m: side_of(m)[0] % side_of(m)[1] % 2 == 0,
    "left and right": lambda m: side_of(m)[0] % side_of(m)[1] < side_of(m)[1] // 2,
    "top and bottom": lambda m: side_of(m)[0] // side_of(m)[1] < side_of(m)[1] // 2,
}


SHARES: dict[str, tuple[float, float, float]] = {  # see `share_of`
    "as it is": (2.0, agreement.MOST, 0.0),
    "r² 0.6 at most": (2.0, 0.6, 0.0),
    "and idle 0.05": (2.0, 0.6, 0.05),
    "both 1.85, idle 0.05": (1.85, 0.6, 0.05),
    "both 1.7, idle 0.05": (1.7, 0.6, 0.05),
}


def share_of(known: agreement.Reliabilities, both: float, most: float, idle: float) -> float:
    """`Reliabilities.cls_share` with other settings.

    Args:
        known: what was measured.
        both: weight of all patches in units of that of half of them: sqrt(2) to 2.
        most: of the squared reliability of [CLS].
        idle: the share that is measured of a witness that adds nothing; what is left is stretched to 0 to 1.
    """
    cls, half = (r / (1 - r * r) for r in (min(known.cls, most**0.5), known.half))
    return min(max((cls / (cls + both * half) - idle) / (1 - 2 * idle), 0.0), 1.0)


def learnt_of(world: World) -> PatchClassifier:
    """At the fixed weight."""
    (cls, patches), _, text, _ = world
    recipe = replace(get_recipe("default"), weighting="given")
    evidence = Evidence(len(text), text.shape[1], recipe.bank_size)
    for part in torch.arange(len(cls)).split(256):
        evidence.update(cls[part], patches[part], part, text, recipe.text_scale)
    return learn(evidence, text, recipe).classifier


def shares(learnt: PatchClassifier, images: Images, board: Tensor, each: bool) -> Tensor:
    """The share of [CLS] by the triplet method, for all classes or for each."""
    cls, patches = images
    halves = [paa.log_odds(learnt.pooled(part), 1.0) for part in (patches[:, board], patches[:, ~board])]
    a, b, z = (agreement.cut(scores.double()) for scores in (*halves, cosines(learnt, cls)))
    found = [agreement.correlation(x, y) for x, y in ((a, b), (a, z), (b, z))]
    ab, az, bz = (value if each else value.mean()[None] for value in found)
    ab, az, bz = (value.clamp(min=agreement.LEAST) for value in (ab, az, bz))
    r = [(x * y / w).clamp(max=agreement.MOST).sqrt() for x, y, w in ((az, bz, ab), (ab, az, bz))]
    return torch.tensor([agreement.Reliabilities(*map(float, pair)).cls_share for pair in zip(*r, strict=True)])


def fused_with(world: World, learnt: PatchClassifier) -> Callable[[Tensor | float], float]:
    """mAP in percent of the judged images, by the share of [CLS]."""
    images, judged, _, labels = world

    def parts(some: Images) -> tuple[Tensor, Tensor]:
        return paa.log_odds(learnt.pooled(some[1]), 1.0).double(), cosines(learnt, some[0]).double()

    spreads = [part.var(dim=0, correction=0).mean().sqrt() for part in parts(images)]
    patch, cls = (part / spread for part, spread in zip(parts(judged), spreads, strict=True))
    return lambda share: 100 * mean_average_precision((1 - share) * patch + share * cls, labels)


def reached(world: World) -> dict[str, float]:
    """mAP in percent with the share that each way gives."""
    images, learnt = world[0], learnt_of(world)
    found = {name: shares(learnt, images, half(images[1].shape[1]), False) for name, half in HALVES.items()}
    found["chessboard, each class its own"] = shares(learnt, images, HALVES["chessboard"](images[1].shape[1]), True)
    score = fused_with(world, learnt)
    return {name: score(share) for name, share in found.items()}


def shared(world: World) -> dict[str, float]:
    """mAP in percent by how the share follows from what is measured, and with the best of 21 shares."""
    learnt = learnt_of(world)
    score, known = fused_with(world, learnt), witnesses(learnt, *world[0])
    found = {"[CLS]": score(1.0), "patches": score(0.0)}
    found |= {name: score(share_of(known, *values)) for name, values in SHARES.items()}
    curve = [score(step / 20) for step in range(21)]
    return {**found, "share": known.cls_share, "best share": curve.index(max(curve)) / 20, "best": max(curve)}


def decided(world: World) -> dict[str, float]:
    """Precision in percent where 0.9 was asked for; rank correlation and means of expected and true AP."""
    images, judged, _, labels = world
    learnt = agreement.by_agreement(learnt_of(world), *images)
    seen, scores = learnt.score(*images).double().numpy(), learnt.score(*judged)
    thresholds = learn_thresholds(seen, "precision:0.9", learnt.cls_witness(images[0]))
    marks = f1(torch.from_numpy(thresholds.decide(scores.double().numpy())), labels)
    expected = torch.from_numpy(expected_average_precision(seen))
    true = torch.as_tensor(average_precision(scores, labels)).double()
    known = torch.isfinite(true) & torch.isfinite(expected)
    return {
        "precision, 0.9 asked": 100 * marks.op,
        "recall": 100 * marks.or_,
        "rank correlation of AP": float(spearmanr(expected[known], true[known])[0]),
        "expected AP": 100 * float(expected[known].mean()),
        "AP": 100 * float(true[known].mean()),
    }


def worlds(seeds: list[int], scenes: list[int], images: int) -> dict[str, list[World]]:
    found: dict[str, list[World]] = {}
    for name, setting in VARIANTS.items():
        found[name] = [split(make_problem(setting, seed)) for seed in seeds]
    for name, (setting, strength) in CLS_BETTER.items():
        found[name] = [split(cls_better(setting, strength, seed)) for seed in seeds]
    if scenes:
        found["scenes"] = [encoded(seed, images) for seed in scenes]
    return found


def split(problem: Any) -> World:
    images = (problem.cls, problem.patches)
    return images, images, problem.text, problem.labels


def show(found: dict[str, list[World]], measure: Callable[[World], dict[str, float]]) -> None:
    rows = {name: [measure(world) for world in several] for name, several in found.items()}
    columns = list(next(iter(rows.values()))[0])
    table = Table("problem", *columns, box=box.MARKDOWN)
    for name, several in rows.items():
        means = (statistics.mean(each[column] for each in several) for column in columns)
        table.add_row(name, *(f"{value:.2f}" for value in means))
    Console(width=max(Console().width, 170)).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2003])
    parser.add_argument("--scenes", type=int, nargs="*", default=[])
    parser.add_argument("--images", type=int, default=500)
    arguments = parser.parse_args()
    found = worlds(arguments.seeds, arguments.scenes, arguments.images)
    show(found, reached)
    show(found, shared)
    show(found, decided)


if __name__ == "__main__":
    main()
