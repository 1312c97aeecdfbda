"""The embedded benchmark: every method on 2,000 test scenes of each seed, mean and spread over the seeds.

    python benchmarks/embedded.py --seeds 11 12 13

Prints mAP by method and object size, and F1 of the learnt labels; writes the numbers to `--out`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from piaa.evaluation.evaluate import METHOD_NAMES
from piaa.evaluation.metrics import f1
from piaa.method.thresholds import RULES
from piaa.scenes.demo import DemoResult, run_demo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--unlabelled", type=int, default=2000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--front-end", default=None)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    options = {"front_end": arguments.front_end} if arguments.front_end else {}
    runs = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            result = run_demo(folder, seed, unlabelled=arguments.unlabelled, test=arguments.test, **options)
            runs.append(result.metrics | {"rules": by_rule(result)})
    if arguments.out:
        arguments.out.write_text(json.dumps(runs, indent=2) + "\n")
    show(runs)


def by_rule(result: DemoResult) -> dict[str, dict[str, float]]:
    """F1 of PIAA's labels by every rule that learns thresholds without labels, percent."""
    scores, labels = result.evaluation.scores["piaa"], result.evaluation.labels
    found = {}
    for rule in RULES:
        decided = torch.from_numpy(result.learner.finish(rule).learnt.decide(scores))
        marks = f1(decided, labels)
        found[rule] = {"cf1": 100 * marks.cf1, "of1": 100 * marks.of1}
    return found


def show(runs: list[dict]) -> None:
    def cell(values: list[float]) -> str:
        return f"{np.mean(values):.1f} ± {np.std(values):.1f}"

    table = Table("method", "mAP", "small", "medium", "large", title=f"mAP, mean ± spread over {len(runs)} seeds, %")
    for method in runs[0]["map_by_size"]:
        sizes = [cell([run["map_by_size"][method][size] for run in runs]) for size in ("small", "medium", "large")]
        table.add_row(METHOD_NAMES[method], cell([run[f"{method}_map"] for run in runs]), *sizes)
    marks = Table("labels decided by", "CF1", "OF1", title="F1 of PIAA's labels, %")
    for rule in runs[0]["f1"]:
        marks.add_row(rule, *(cell([run["f1"][rule][key] for run in runs]) for key in ("cf1", "of1")))
    marks.add_section()
    for rule in runs[0]["rules"]:
        marks.add_row(f"rule {rule}", *(cell([run["rules"][rule][key] for run in runs]) for key in ("cf1", "of1")))
    Console().print(table, marks)


if __name__ == "__main__":
    main()
