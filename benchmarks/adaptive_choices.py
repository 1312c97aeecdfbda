"""What was compared while the weight of [CLS] and the thresholds were chosen: docs/adaptive.md quotes these tables.

    python benchmarks/adaptive_choices.py --seeds 2003 2004 --scenes 4 7

First: other halves of the patches, and weights of single classes, mAP in percent. Second: what all patches weigh, what
[CLS] counts at most, and how far the measured share is stretched. Third: what "anything else" is like. Fourth: CF1 and
% of images of none of the words with a label, by the threshold's distance. Fifth: precision where 0.9 was asked for,
and how well the expected AP orders the classes. The seeds are those that choices were made on.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
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
from piaa.method.recipes import Recipe, get_recipe
from piaa.method.reliability import cosines
from piaa.method.thresholds import (
    expected_average_precision,
    learn_thresholds,
    mixture_rule,
    separated,
    tail_rule,
)

Images = tuple[Tensor, Tensor]
World = tuple[Images, Images, Tensor, Tensor]  # unlabelled, judged, prototypes, labels
WORDS = (60, 30, 20, 10, 5)


def side_of(patches: int) -> tuple[Tensor, int]:
    return torch.arange(patches), round(patches**0.5)


HALVES: dict[str, Callable[[int], Tensor]] = {
    "chessboard": agreement.checkerboard,
    "every second row": lambda m: side_of(m)[0] // side_of(m)[1] % 2 == 0,
    "every second column": lambda m: side_of(m)[0] % side_of(m)[1] % 2 == 0,
    "left and right": lambda m: side_of(m)[0] % side_of(m)[1] < side_of(m)[1] // 2,
    "top and bottom": lambda m: side_of(m)[0] // side_of(m)[1] < side_of(m)[1] // 2,
}


class Agreement(NamedTuple):
    """Correlations of the cut scores: of two halves (A, B), all patches (P) and [CLS] (z); means over classes."""

    ab: float
    az: float
    bz: float
    pz: float

    def share(self, way: Way) -> float:
        """The share of [CLS]."""
        cls = min(self.az * self.bz / self.ab, agreement.MOST, way.most) ** 0.5
        half = min(self.ab * self.az / self.bz, agreement.MOST) ** 0.5
        patches = way.both * weight_of(half) if way.both else weight_of(min(self.pz / cls, agreement.MOST**0.5))
        share = weight_of(cls) / (weight_of(cls) + patches)
        return min(max((share - way.idle) / (1 - 2 * way.idle), 0.0), 1.0)


class Way(NamedTuple):
    """How a share follows from `Agreement`.

    Attributes:
        both: what all patches weigh in units of half of them; 0: by their own correlation with [CLS].
        most: of the squared reliability of [CLS].
        idle: the share that is measured of a witness that adds nothing; what is left is stretched to 0 to 1.
    """

    both: float
    most: float
    idle: float


WAYS = {
    "two halves": Way(2.0, agreement.MOST, 0.0),  # the default before
    "two halves, idle 0.05": Way(2.0, 0.6, 0.05),
    "1.7 halves, idle 0.05": Way(1.7, 0.6, 0.05),
    "all, idle 0": Way(0.0, 0.6, 0.0),
    "all, idle 0.05": Way(0.0, 0.6, 0.05),
    "all, idle 0.08": Way(0.0, agreement.CLS_MOST, agreement.IDLE),
    "all, idle 0.1": Way(0.0, 0.6, 0.1),
}
SPREADS = (0.0, 0.25, 0.5, 1.0)
TAILS = (2.25, 2.5, 2.75, 3.0)


def weight_of(reliability: float) -> float:
    return reliability / (1 - reliability * reliability)


FIXED = replace(get_recipe("default"), weighting="given")


def learnt_of(world: World, recipe: Recipe = FIXED) -> PatchClassifier:
    (cls, patches), _, text, _ = world
    evidence = Evidence(len(text), text.shape[1], recipe.bank_size)
    for part in torch.arange(len(cls)).split(256):
        evidence.update(cls[part], patches[part], part, text, recipe.text_scale)
    return learn(evidence, text, recipe).classifier


def agreements(learnt: PatchClassifier, images: Images, board: Tensor, each: bool) -> list[Agreement]:
    """Of all classes together, or of each."""
    cls, patches = images
    parts = [paa.log_odds(learnt.pooled(part), 1.0) for part in (patches, patches[:, board], patches[:, ~board])]
    p, a, b, z = (agreement.cut(scores.double()) for scores in (*parts, cosines(learnt, cls)))
    found = [agreement.correlation(x, y) for x, y in ((a, b), (a, z), (b, z), (p, z))]
    columns = [(value if each else value.mean()[None]).clamp(min=agreement.LEAST).tolist() for value in found]
    return [Agreement(*row) for row in zip(*columns, strict=True)]


def fused_with(world: World, learnt: PatchClassifier) -> Callable[[Tensor | float], float]:
    """mAP in percent of the judged images, by the share of [CLS]."""
    images, judged, _, labels = world

    def parts(some: Images) -> tuple[Tensor, Tensor]:
        return paa.log_odds(learnt.pooled(some[1]), 1.0).double(), cosines(learnt, some[0]).double()

    spreads = [part.var(dim=0, correction=0).mean().sqrt() for part in parts(images)]
    patch, cls = (part / spread for part, spread in zip(parts(judged), spreads, strict=True))
    return lambda share: 100 * mean_average_precision((1 - share) * patch + share * cls, labels)


def reached(world: World) -> dict[str, float]:
    """mAP in percent with the share that each way of halving gives."""
    images, learnt = world[0], learnt_of(world)
    way, count, score = WAYS["all, idle 0.08"], images[1].shape[1], fused_with(world, learnt)
    found = {name: score(agreements(learnt, images, half(count), False)[0].share(way)) for name, half in HALVES.items()}
    own = agreements(learnt, images, HALVES["chessboard"](count), True)
    found["chessboard, each class its own"] = score(torch.tensor([one.share(way) for one in own]))
    return found


def shared(world: World) -> dict[str, float]:
    """mAP in percent by how the share follows from what is measured, and with the best of 21 shares."""
    learnt = learnt_of(world)
    known = agreements(learnt, world[0], agreement.checkerboard(world[0][1].shape[1]), False)[0]
    score = fused_with(world, learnt)
    found = {"[CLS]": score(1.0), "patches": score(0.0)}
    found |= {name: score(known.share(way)) for name, way in WAYS.items()}
    curve = [score(step / 20) for step in range(21)]
    share = known.share(WAYS["all, idle 0.08"])
    return {**found, "share": share, "best share": curve.index(max(curve)) / 20, "best": max(curve)}


def spread(world: World) -> dict[str, float]:
    """mAP in percent of the default by how much of the covariance of anything else is that of all patches."""
    judged, labels = world[1], world[3]
    learnt = {f"spread {part:g}": replace(get_recipe("default"), background_spread=part) for part in SPREADS}
    return {
        name: 100 * mean_average_precision(learnt_of(world, recipe).score(*judged), labels)
        for name, recipe in learnt.items()
    }


def tails(world: World) -> dict[str, float]:
    """CF1 in percent, and % of images of none with a label, by the threshold where absent and present are not apart."""
    learnt = learnt_of(world, get_recipe("default"))
    seen, judged = (learnt.score(*images).double().numpy() for images in world[:2])
    apart, mixture = separated(seen, learnt.cls_witness(world[0][0])), mixture_rule(seen)
    ways = {"mixture": mixture} | {
        f"tail {tail:g}": mixture if apart else np.maximum(mixture, tail_rule(seen, tail)) for tail in TAILS
    }
    none, found = ~world[3].any(dim=1), {}
    for name, values in ways.items():
        decided = torch.from_numpy(judged >= values)
        found[f"{name}, CF1"] = 100 * f1(decided, world[3]).cf1
        found[f"{name}, none"] = 100 * float(decided[none].any(dim=1).float().mean()) if none.any() else 0.0
    return found


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
    drawn = [encoded(seed, images) for seed in scenes]
    for words in WORDS if drawn else ():
        found[f"scenes, {words} words"] = [some_words(each, words) for each in drawn]
    return found


def some_words(world: World, words: int) -> World:
    """The first of the words in an order drawn once."""
    unlabelled, judged, text, labels = world
    some = torch.randperm(len(text), generator=torch.Generator().manual_seed(0))[:words]
    return unlabelled, judged, text[some], labels[:, some]


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
    for measure in (reached, shared, spread, tails, decided):
        show(found, measure)


if __name__ == "__main__":
    main()
