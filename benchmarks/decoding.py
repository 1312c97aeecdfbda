"""Threads against processes for decoding 12-megapixel JPEGs, as a ratio in one run.

python benchmarks/decoding.py --images 24 --out docs/bench/decoding.json

Each image is a file of 4000 x 3000 pixels. It is decoded and brought to 224 x 224 as `piaa tag` does, with the reduced
decoding that JPEG allows and without it, and with reduced decoding while the 8-bit engine encodes what was decoded (the
embedded model, the fastest there is, which asks most of the decoders). Threads and processes take turns, forwards and
then backwards; processes are started before the clock.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from piaa import Recognizer
from piaa.bench.machine import describe, usable_cores
from piaa.files import write_json
from piaa.inputs.items import Item
from piaa.scenes import object_names

SIDE = 224
Encode = Callable[[torch.Tensor], object]


def decode(path: str, ample: int, side: int) -> NDArray[np.uint8]:
    """One image, small: what a process has to send back."""
    image = Item(path, Path(path)).load(ample)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))


def seconds(pool: Executor, paths: list[str], ample: int, side: int = SIDE, encode: Encode | None = None) -> float:
    """From the first path to the last image: decoded, and encoded one by one where there is an encoder."""
    begin = time.perf_counter()
    for pixels in pool.map(decode, paths, [ample] * len(paths), [side] * len(paths)):
        assert pixels.shape == (side, side, 3)
        if encode is not None:
            encode(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255)
    return time.perf_counter() - begin


def eight_bits() -> tuple[Encode, int]:
    """The encoder of `--quality fast` and the side of its images."""
    setup = Recognizer(object_names(), quality="fast").learner().setup
    if not setup.engine.endswith("int8"):
        raise SystemExit("the 8-bit engine is missing: pip install -e '.[engines]'")
    return setup.encoder(), setup.preprocess.image_size[0]


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
        encode, side = eight_bits()
        ways: list[tuple[str, int, int, Encode | None]] = [
            ("reduced decoding (ample 448)", 448, SIDE, None),
            ("full decoding", 0, SIDE, None),
            ("reduced decoding beside the 8-bit engine", 2 * side, side, encode),
        ]
        for label, ample, side, work in ways:
            pools: list[tuple[str, Executor]] = [("threads", threads), ("processes", processes)]
            times: dict[str, list[float]] = {"threads": [], "processes": []}
            for each in pools:
                seconds(each[1], paths[: given.workers], ample, side, work)
            for turn in range(given.turns):
                for kind, pool in pools if turn % 2 == 0 else reversed(pools):
                    times[kind].append(seconds(pool, paths, ample, side, work))
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
