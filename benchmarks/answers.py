"""How often intervals from a few yes/no answers cover the truth, how wide they are, and what the answers change.

    python benchmarks/answers.py --seeds 34 35

20, 50, 100 and 500 questions are drawn again and again, and answered by the truth: about the labels of drawn scenes
by the embedded model (one world a seed), and in worlds that are drawn at random. Shares of draws whose 95% interval
holds the true precision, recall and F1, of the draws that tell them at all. Then F1 of all labels before and after the
thresholds were moved, and at the best of the same cuts by the truth; the mean with its standard error over draws.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from piaa.method.calibration import CUTS, choose_pairs, estimate
from piaa.scenes.demo import run_demo

World = tuple[np.ndarray, np.ndarray]
QUESTIONS = (20, 50, 100, 500)
SHARES = ("precision", "recall", "F1")


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


def f1_at(world: World, cut: float) -> float:
    """F1 of all labels in percent, where they are given from a calibrated score on."""
    scores, truth = world
    given = scores >= cut
    return 200 * float((given & truth).sum()) / float(given.sum() + truth.sum())


def measured(world: World, questions: int, seed: int) -> list[float]:
    """Covered (1 or 0) and width of precision, recall and F1, NaN where not told; F1 before, after, at the best cut."""
    scores, truth = world
    places, weights = choose_pairs(scores, questions, seed)
    at = tuple(places.T)
    found = estimate(scores[at], truth[at], weights)
    given = scores >= 0.5
    right = (given & truth).sum()
    real = (right / given.sum(), right / truth.sum(), 2 * right / (given.sum() + truth.sum()))
    row: list[float] = []
    for value, share in zip(real, (found.precision, found.recall, found.f1), strict=True):
        told = np.isfinite(share.value)
        row += [float(share.low <= value <= share.high), share.high - share.low] if told else [np.nan, np.nan]
    return [*row, f1_at(world, 0.5), f1_at(world, found.cut), max(f1_at(world, cut) for cut in CUTS)]


def worlds(seeds: list[int], images: int) -> Iterator[tuple[str, Callable[[int], World]]]:
    """Name, and the number of a draw to a world; no two draws of one kind share random numbers with another kind."""
    for seed in seeds:
        known = scenes(seed, images)
        yield f"drawn scenes, seed {seed}", lambda draw, known=known: known
    first = 10_000 * seeds[0]
    yield "scores are right", lambda draw: drawn(first + draw, -2.5, 0)
    yield "scores promise too much", lambda draw: drawn(first + 2_000 + draw, -2, -2.5)
    yield "scores promise too little", lambda draw: drawn(first + 4_000 + draw, -4, 2)
    yield "scores tell nearly all", lambda draw: clear(first + 6_000 + draw)


def main() -> None:
    """Draw, answer, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[31])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--images", type=int, default=400)
    arguments = parser.parse_args()
    cells = {
        (name, questions): np.array([measured(world(n), questions, n) for n in range(arguments.draws)])
        for name, world in worlds(arguments.seeds, arguments.images)
        for questions in QUESTIONS
    }
    console = Console(width=140)
    table = Table(
        "scores",
        "questions",
        *(f"{share} {what}" for share in SHARES for what in ("covers", "width")),
        box=box.MARKDOWN,
    )
    for (name, questions), rows in cells.items():
        table.add_row(name, str(questions), *covered(np.nanmean(rows[:, :6], axis=0)))
    for questions in QUESTIONS:
        means = [np.nanmean(rows[:, :6], axis=0) for (_, asked), rows in cells.items() if asked == questions]
        table.add_row("mean of all", str(questions), *covered(np.mean(means, axis=0)))
    console.print(table)
    moved = Table(
        "scores", "answers", "F1 before", "gain, mean", "worst draw", "gain of the best cut", "moved", box=box.MARKDOWN
    )
    for (name, questions), rows in cells.items():
        moved.add_row(name, str(questions), *changed(*rows[:, 6:].T))
    console.print(moved)


def covered(row: np.ndarray) -> list[str]:
    """Cells of coverage and width, in turns."""
    return [f"{value:.2f}" if place % 2 else f"{100 * value:.0f} %" for place, value in enumerate(row)]


def changed(before: np.ndarray, after: np.ndarray, best: np.ndarray) -> list[str]:
    """Cells of what the answers changed, points of F1."""
    gain = after - before
    error = gain.std(ddof=1) / len(gain) ** 0.5
    means = (f"{before.mean():.1f}", f"{gain.mean():+.2f} ± {error:.2f}", f"{gain.min():+.1f}")
    return [*means, f"{(best - before).mean():+.2f}", f"{100 * np.mean(gain != 0):.0f} %"]


if __name__ == "__main__":
    main()
