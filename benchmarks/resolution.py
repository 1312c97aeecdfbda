"""How should an image enter the model? Resize mode, input size and front-end, on the embedded benchmark.

    python benchmarks/resolution.py --seeds 11 12

Every line: mAP of [CLS], text patches + max and PIAA, mean over the seeds, and of PIAA the small objects alone.
`shortest` is the published preprocessing: the short side to the size, then the centre, which loses what lies outside.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from piaa.evaluation import metrics
from piaa.experiments.choose import choose_datasets, choose_specs
from piaa.experiments.job import Job
from piaa.experiments.runner import Place, jobs

METHODS = ("cls", "text_patch", "piaa")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12])
    parser.add_argument("--images", type=int, default=1000, help="of each split")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 80, 96, 128])
    parser.add_argument("--resizes", nargs="+", default=["shortest", "squash", "pad"])
    parser.add_argument("--front-ends", nargs="+", default=["SC-CLIP"], help="lines of table 3")
    parser.add_argument("--root", type=Path, default=Path(".piaa"))
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    rows = []
    for front_end in arguments.front_ends:
        for resize in arguments.resizes:
            for size in arguments.sizes:
                runs = [measure(arguments, seed, front_end, resize, size) for seed in arguments.seeds]
                means = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
                rows.append({"front_end": front_end, "resize": resize, "size": size, **means})
                print(json.dumps(rows[-1]), flush=True)
    show(rows, arguments)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=2) + "\n")


def measure(arguments: argparse.Namespace, seed: int, front_end: str, resize: str, size: int) -> dict[str, float]:
    datasets = choose_datasets(["scenes"], None, arguments.root / "scenes", seed, arguments.images)
    (spec,) = choose_specs(["table3"], datasets, [front_end, f"{front_end}+PIAA"])
    place = Place(arguments.root / "results", arguments.root / "features", image_size=size, resize=resize)
    job: Job = next(jobs(spec, datasets, place))
    sizes = torch.from_numpy(job.dataset.truth.size_matrix(job.known[1]))
    result = {name: 100 * metrics.mean_average_precision(job.scores[name], job.labels) for name in METHODS}
    result["small"] = 100 * metrics.average_precision_by_size(job.scores["piaa"], job.labels, sizes)["small"]
    result["images a second"] = len(job.test) / job.test.encoder_seconds
    return result


def show(rows: list[dict], arguments: argparse.Namespace) -> None:
    title = f"mAP, %, mean over seeds {arguments.seeds}, {arguments.images} test images each"
    table = Table("front-end", "resize", "size", "[CLS]", "text patches", "PIAA", "PIAA small", "images/s", title=title)
    for row in rows:
        values = [f"{row[key]:.1f}" for key in (*METHODS, "small", "images a second")]
        table.add_row(row["front_end"], row["resize"], str(row["size"]), *values)
    Console().print(table)


if __name__ == "__main__":
    main()
