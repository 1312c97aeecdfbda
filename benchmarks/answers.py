"""How often intervals from a few yes/no answers cover the truth, and how wide they are.

    python benchmarks/answers.py --seed 31

20, 50, 100 and 500 questions are drawn again and again, and answered by the truth: about the labels of drawn scenes
by the embedded model, and in worlds that are drawn at random. Shares of draws whose 95% interval holds the true
precision, recall and F1, of the draws that tell them at all: by the bootstrap alone, and as `Recognizer.calibrate`
widens it. Last, F1 of all labels of the scenes before and after the thresholds were moved, and at the best of the same
cuts by the truth.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table

from piaa.method.calibration import CUTS, choose_pairs, estimate
from piaa.method.intervals import widened
from piaa.scenes.demo import run_demo

World = tuple[np.ndarray, np.ndarray]


def scenes(seed: int, images: int) -> World:
    """Calibrated scores of test scenes, N x C, and their labels."""
    with tempfile.TemporaryDirectory() as folder:
        result = run_demo(folder, seed, unlabelled=images, test=images)
    thresholds = result.learner.finish().learnt.thresholds
    labels = np.asarray(result.evaluation.labels)
    return thresholds.calibrate(np.asarray(result.evaluation.scores["piaa"])), labels == 1


def drawn(seed: int, centre: float, shift: float, images: int = 160, classes: int = 24) -> World:
    """Each label is there with the chance that its score says, the log-odds shifted."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(centre, 2.5, (images, classes))
    return 1 / (1 + np.exp(-odds)), rng.random(odds.shape) < 1 / (1 + np.exp(-odds - shift))


def clear(seed: int, images: int = 160, classes: int = 24) -> World:
    """Scores tell present from absent nearly without error."""
    rng = np.random.default_rng(seed)
    truth = rng.random((images, classes)) < 0.08
    odds = np.where(truth, rng.normal(2, 1.5, truth.shape), rng.normal(-5, 2, truth.shape))
    return 1 / (1 + np.exp(-odds)), truth


def measured(world: World, questions: int, seed: int) -> Iterator[tuple[float, float, float, float]]:
    """Of precision, recall, F1: covered by the bootstrap (1 or 0), its width, covered when widened, that width."""
    scores, truth = world
    places, weights = choose_pairs(scores, questions, seed)
    at = tuple(places.T)
    found = estimate(scores[at], truth[at], weights)
    given = scores >= 0.5
    right = (given & truth).sum()
    real = (right / given.sum(), right / truth.sum(), 2 * right / (given.sum() + truth.sum()))
    wide = widened(found, scores[at], truth[at], weights)
    for value, one, other in zip(real, (found.precision, found.recall, found.f1), wide, strict=True):
        if np.isnan(one.value):
            yield (np.nan,) * 4
            continue
        covers = [float(each.low <= value <= each.high) for each in (one, other)]
        yield covers[0], one.high - one.low, covers[1], other.high - other.low


def main() -> None:
    """Draw, answer, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--images", type=int, default=400)
    arguments = parser.parse_args()
    known = scenes(arguments.seed, arguments.images)
    worlds = {
        "drawn scenes, embedded model": lambda seed: known,
        "scores are right": lambda seed: drawn(seed, -2.5, 0),
        "scores promise too much": lambda seed: drawn(seed, -2, -2.5),
        "scores promise too little": lambda seed: drawn(seed, -4, 2),
        "scores tell nearly all": clear,
    }
    table = Table("scores", "questions", "of", "told", "bootstrap covers", "width", "widened covers", "width")
    for name, world in worlds.items():
        for questions in (20, 50, 100, 500):
            rows = [list(measured(world(n), questions, n)) for n in range(arguments.draws)]
            for k, share in enumerate(("precision", "recall", "F1")):
                of = np.array([row[k] for row in rows], dtype=float)
                covers, widths = np.nanmean(of[:, ::2], axis=0), np.nanmean(of[:, 1::2], axis=0)
                told = np.isfinite(of[:, 0]).mean()
                cells = [f"{100 * covers[0]:.0f} %", f"{widths[0]:.2f}", f"{100 * covers[1]:.0f} %", f"{widths[1]:.2f}"]
                table.add_row(name, str(questions), share, f"{100 * told:.0f} %", *cells)
    Console(width=120).print(table)
    show_moved(known, arguments.draws)


def f1_at(world: World, cut: float) -> float:
    """F1 of all labels in percent, where they are given from a calibrated score on."""
    scores, truth = world
    given = scores >= cut
    return 200 * float((given & truth).sum()) / float(given.sum() + truth.sum())


def show_moved(world: World, draws: int) -> None:
    """What the answers change."""
    scores, truth = world
    before, best = f1_at(world, 0.5), max(f1_at(world, cut) for cut in CUTS)
    table = Table("answers", "F1 before", "after, mean", "worst draw", "best cut by the truth", "moved")
    for questions in (20, 50, 100, 500):
        cuts = []
        for seed in range(draws):
            places, weights = choose_pairs(scores, questions, seed)
            at = tuple(places.T)
            cuts.append(estimate(scores[at], truth[at], weights).cut)
        after = [f1_at(world, cut) for cut in cuts]
        cells = [f"{value:.1f}" for value in (before, np.mean(after), min(after), best)]
        table.add_row(str(questions), *cells, f"{100 * np.mean(np.array(cuts) != 0.5):.0f} %")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
