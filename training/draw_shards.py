"""Draw training scenes ahead of time into memory-mapped shards.

    python training/draw_shards.py --out .work/shards --seed 0 --single-large 30000 --single 60000 ...

One `KIND.npy` (N x S x S x 3 uint8) and one `KIND.json` (objects of every scene) for each kind of scene.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from piaa.scenes import render, sample_scene

KINDS = ("single-large", "single", "pair", "scene")


def draw_range(bounds: tuple[int, int], path: str, seed: int, split: str, kind: str) -> list[list]:
    images = np.load(path, mmap_mode="r+")
    rows = []
    for index in range(*bounds):
        scene = sample_scene(seed, split, index, kind)
        images[index] = np.asarray(render(scene, (images.shape[2], images.shape[1])))
        rows.append([[placed.kind, placed.colour, round(placed.size, 4)] for placed in scene.objects])
    images.flush()
    return rows


def draw(out: Path, seed: int, split: str, kind: str, count: int, side: int, workers: int) -> None:
    final = out / f"{kind}.npy"
    if final.exists() and (out / f"{kind}.json").exists():
        return
    aside = out / f"{kind}.partial.npy"
    np.lib.format.open_memmap(aside, "w+", np.uint8, (count, side, side, 3)).flush()
    chunks = [(start, min(start + 500, count)) for start in range(0, count, 500)]
    job = partial(draw_range, path=str(aside), seed=seed, split=split, kind=kind)
    with ProcessPoolExecutor(workers) as pool:
        rows = [row for part in pool.map(job, chunks) for row in part]
    (out / f"{kind}.json").write_text(json.dumps(rows))
    os.replace(aside, final)
    print(f"{kind}: {count} scenes of {side} x {side}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".work/shards"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="train")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        count = getattr(arguments, kind.replace("-", "_"))
        if count:
            draw(arguments.out, arguments.seed, arguments.split, kind, count, arguments.side, arguments.workers)


if __name__ == "__main__":
    main()
