"""Does a head trained on PIAA's labels beat PIAA? Drawn scenes of fresh seeds, the embedded tower, no true label.

    python benchmarks/distil.py --seeds 51 52 53 --out docs/bench/distil.json

PIAA learns from the images of a seed, labels them, and heads learn from those labels; two of them learn from CLIP's
for comparison, and one from all true labels as an upper mark. Differences to PIAA are paired over test images. Rates,
epochs and the sum of the two were chosen on seed 1. Numbers are written after each seed. Other than for the paper's
setting, what people use is the size that `piaa fit` takes by itself, and the one head that goes with it:

    python benchmarks/distil.py --seeds 72 --size standard --students gr --out docs/bench/together.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from piaa.evaluation.metrics import compare, mean_average_precision
from piaa.experiments.features import FeatureStore
from piaa.setups import TRAINED
from piaa.training.on_scenes import Scenes, draw_scenes
from piaa.training.run import Plan, scores_of, train
from piaa.training.spec import read_method
from piaa.training.teachers import learn_piaa, teacher_named, together

SIZES = {TRAINED: TRAINED, "standard": None}
STUDENTS: Mapping[str, Sequence[str]] = {"piaa": ("distil", "cdul", "ccd", "role", "gr"), "clip": ("ccd", "role")}
RESAMPLES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[51, 52, 53])
    parser.add_argument("--images", type=int, default=1000, help="of each split")
    parser.add_argument("--size", choices=SIZES, default=TRAINED, help="standard: what 'piaa fit' takes")
    parser.add_argument("--students", nargs="+", default=[], help="of PIAA's labels; else all, and the others")
    parser.add_argument("--root", type=Path, default=Path(".piaa/scenes"), help="where scenes are drawn")
    parser.add_argument("--features", type=Path, default=Path(".piaa/features"), help="where embeddings are kept")
    parser.add_argument("--out", type=Path, default=None, help="write all numbers to this JSON file")
    arguments = parser.parse_args()
    runs, store = [], FeatureStore(arguments.features)
    for seed in arguments.seeds:
        scenes = draw_scenes(seed, arguments.images, arguments.root, store, SIZES[arguments.size])
        runs.append(measure(scenes, seed, {"piaa": tuple(arguments.students)} if arguments.students else STUDENTS))
        if arguments.out:
            about = {"images": arguments.images, "size": arguments.size, "runs": runs}
            arguments.out.write_text(json.dumps(about, indent=1) + "\n")
    show(runs)


def measure(scenes: Scenes, seed: int, students: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """mAP of PIAA and of each head, and the differences, percent."""
    learnt = learn_piaa(scenes.train)
    piaa = torch.cat([learnt.score(cls, patches) for cls, patches, _ in scenes.test.batches()])
    teachers = {name: teacher_named(name)(scenes.train) for name in students}
    rows: dict[str, dict[str, float]] = {"PIAA": {"map": 100 * mean_average_precision(piaa, scenes.labels)}}
    scores = {}
    for teacher, labels in teachers.items():
        for name in students[teacher]:
            plan = Plan(read_method(name).on("scenes"), "none", teacher, seed=seed)
            outcome = train(plan, scenes.train, None, inputs=scenes.head_inputs(plan.head), teacher=labels)
            scores[f"{name} on {teacher}'s labels"] = scores_of(outcome.trained, scenes.test)
    if students == STUDENTS:
        plan = Plan(read_method("bce-ls"), seed=seed)
        outcome = train(plan, scenes.train, scenes.truth, inputs=scenes.head_inputs(plan.head))
        scores["all true labels (upper mark)"] = scores_of(outcome.trained, scenes.test)
    scores["PIAA and gr together"] = together(piaa, scores["gr on piaa's labels"])
    for name, value in scores.items():
        rows[name] = against(value, piaa, scenes.labels)
        print(seed, name, {key: round(number, 3) for key, number in rows[name].items()}, flush=True)
    return {"seed": seed, "rows": rows}


def against(scores: Tensor, piaa: Tensor, labels: Tensor) -> dict[str, float]:
    """mAP and its difference to PIAA's with a paired interval."""
    found = compare(scores, piaa, labels, resamples=RESAMPLES)
    return {
        "map": 100 * mean_average_precision(scores, labels),
        "difference": 100 * found.difference, "low": 100 * found.low, "high": 100 * found.high,
        "p_value": found.p_value,
    }  # fmt: skip


def show(runs: list[dict[str, Any]]) -> None:
    table = Table("what scores", "mAP", "difference to PIAA", "by seed", title="mean over seeds, %")
    for name in runs[0]["rows"]:
        rows = [run["rows"][name] for run in runs]
        mean = np.mean([row["map"] for row in rows])
        differences = [row.get("difference") for row in rows]
        if differences[0] is None:
            table.add_row(name, f"{mean:.1f}", "", "")
            continue
        each = ", ".join(f"{row['difference']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]" for row in rows)
        table.add_row(name, f"{mean:.1f}", f"{np.mean(differences):+.1f}", each)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
