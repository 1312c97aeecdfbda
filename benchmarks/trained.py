"""Every trained method on drawn scenes: the embedded tower, one head a method, PIAA beside them.

    python benchmarks/trained.py --seeds 51 52 53 --out docs/bench/trained.json

Mean mAP over seeds, by each method's own label regime; the paper's VOC 2007 figure beside it, which is of another
world (photographs, a ResNet trained end to end). Rates and epochs were chosen on seed 1.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from piaa.experiments.features import FeatureStore
from piaa.experiments.paper import paper_figures
from piaa.training import METHODS, evaluate_on_scenes
from piaa.training.on_scenes import Scenes, draw_scenes
from piaa.training.run import mean_ap
from piaa.training.spec import read_method
from piaa.training.teachers import learn_piaa


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[51, 52, 53])
    parser.add_argument("--images", type=int, default=2000, help="of each split")
    parser.add_argument("--heads", nargs="+", default=["class-wise", "cls"])
    parser.add_argument("--methods", nargs="+", default=None, help="these alone; the other rows of --out stay")
    parser.add_argument("--root", type=Path, default=Path(".piaa/scenes"), help="where scenes are drawn")
    parser.add_argument("--features", type=Path, default=Path(".piaa/features"), help="where embeddings are kept")
    parser.add_argument("--out", type=Path, default=None, help="write all numbers to this JSON file")
    arguments = parser.parse_args()
    names = arguments.methods or ["PIAA", *METHODS]
    rows = kept(arguments.out, names) if arguments.methods and arguments.out else []
    store = FeatureStore(arguments.features)
    for seed in arguments.seeds:
        scenes = draw_scenes(seed, arguments.images, arguments.root, store)
        if "PIAA" in names:
            rows.append(measured_piaa(scenes, seed))
        for head in arguments.heads:
            for name in (each for each in METHODS if each in names):
                found = evaluate_on_scenes(name, seed, scenes=scenes, head=head)
                rows.append({key: value for key, value in found.items() if key != "scores"})
                print(seed, head, name, f"{found['map']:.1f}", f"{found['train_seconds']:.1f} s", flush=True)
        if arguments.out:
            arguments.out.write_text(json.dumps({"images": arguments.images, "rows": rows}, indent=1) + "\n")
    show(rows, arguments.heads)


def measured_piaa(scenes: Scenes, seed: int) -> dict[str, Any]:
    learnt = learn_piaa(scenes.train)
    scores = torch.cat([learnt.score(cls, patches) for cls, patches, _ in scenes.test.batches()])
    value, low, high = mean_ap(scores, scenes.labels)
    return {"method": "PIAA", "head": "", "seed": seed, "map": value, "low": low, "high": high}


def kept(path: Path, names: list[str]) -> list[dict[str, Any]]:
    """The rows that are there of other methods."""
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    return [row for row in rows if row["method"] not in names]


def show(rows: list[dict[str, Any]], heads: list[str]) -> None:
    paper = paper_figures("table1_map")
    columns = [f"mAP, head {head}" for head in heads]
    table = Table("method", "line of table 1", "labels", "teacher", *columns, "seconds", "paper, VOC 2007")
    order = {"full": 0, "partial": 1, "single-positive": 2, "none": 3}
    for name in sorted(METHODS, key=lambda name: (order[read_method(name).regime], name)):
        method = read_method(name)
        cells = [[row for row in rows if (row["method"], row["head"]) == (name, head)] for head in heads]
        theirs = paper.get(method.row, {}).get("VOC07")
        if not all(cells):
            continue
        table.add_row(
            name, method.row, method.regime, method.teacher, *(spread([r["map"] for r in cell]) for cell in cells),
            f"{np.mean([r['train_seconds'] for r in cells[0]]):.0f}", "" if theirs is None else f"{theirs:.1f}",
        )  # fmt: skip
    piaa = [row["map"] for row in rows if row["method"] == "PIAA"]
    own = spread(piaa) if piaa else ""
    table.add_row("PIAA", "PIAA", "none", "", own, *[""] * (len(heads) - 1), "", f"{paper['PIAA']['VOC07']:.1f}")
    Console(width=150).print(table)


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.1f} ± {np.std(values):.1f}"


if __name__ == "__main__":
    main()
