"""Threads against processes for decoding 12-megapixel JPEGs, as a ratio in one run.

python benchmarks/decoding.py --images 24 --out docs/bench/decoding.json

Each image is a file of 4000 x 3000 pixels. It is decoded and brought to 224 x 224 as `piaa tag` does, with the reduced
decoding that JPEG allows and without it. Threads and processes take turns, forwards and then backwards; processes are
started before the clock.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from piaa.bench.machine import describe, usable_cores
from piaa.files import write_json
from piaa.inputs.items import Item

SIDE = 224


def decode(path: str, ample: int) -> int:
    """One image, small; its bytes are what a process would have to send back."""
    image = Item(path, Path(path)).load(ample)
    return len(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).tobytes())


def seconds(pool: Executor, paths: list[str], ample: int) -> float:
    begin = time.perf_counter()
    done = list(pool.map(decode, paths, [ample] * len(paths)))
    assert set(done) == {SIDE * SIDE * 3}
    return time.perf_counter() - begin


def photographs(folder: Path, count: int) -> list[str]:
    """Smooth fields with noise, which compress like photographs: about 3 MB each."""
    chance = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = Image.fromarray(chance.integers(0, 256, (75, 100, 3), np.uint8)).resize((4000, 3000), Image.BICUBIC)  # type: ignore[attr-defined]
        fine = np.asarray(coarse, np.int16) + chance.integers(-12, 13, (3000, 4000, 1), np.int16)
        paths.append(str(folder / f"{number}.jpg"))
        Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=88)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    result: dict[str, Any] = {"machine": describe(), "images": given.images, "workers": given.workers, "ways": {}}
    with (
        tempfile.TemporaryDirectory() as name,
        ThreadPoolExecutor(given.workers) as threads,
        ProcessPoolExecutor(given.workers) as processes,
    ):
        paths = photographs(Path(name), given.images)
        result["megabytes_each"] = round(sum(os.stat(path).st_size for path in paths) / given.images / 1e6, 2)
        for label, ample in (("reduced decoding (ample 448)", 448), ("full decoding", 0)):
            pools: list[tuple[str, Executor]] = [("threads", threads), ("processes", processes)]
            times: dict[str, list[float]] = {"threads": [], "processes": []}
            for each in pools:
                seconds(each[1], paths[: given.workers], ample)
            for turn in range(given.turns):
                for kind, pool in pools if turn % 2 == 0 else reversed(pools):
                    times[kind].append(seconds(pool, paths, ample))
            ratios = [a / b for a, b in zip(times["threads"], times["processes"], strict=True)]
            result["ways"][label] = {
                "images_per_second": {kind: round(given.images / median(found), 1) for kind, found in times.items()},
                "threads_over_processes_seconds": round(median(ratios), 3),
                "lowest_and_highest": [round(min(ratios), 3), round(max(ratios), 3)],
            }
            print(label, result["ways"][label], flush=True)
    if given.out:
        write_json(given.out, result)


if __name__ == "__main__":
    main()
