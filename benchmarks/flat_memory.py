"""Memory and time per image while items that are made on the fly are tagged: both must be flat.

python benchmarks/flat_memory.py --items 1000000

The scorer does next to nothing, so that what the job itself holds and costs is seen.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from piaa.inputs.items import Item
from piaa.jobs import tag_job

POINTS = 50


class Nothing:
    """A scorer whose images are all alike."""

    label_names = tuple(f"class {number}" for number in range(8))
    fingerprint = "nothing"
    _tensor = torch.zeros(3, 2, 2)

    def preprocess(self, image: Image.Image) -> Tensor:
        return self._tensor

    def score(self, images: Tensor) -> Tensor:
        return torch.linspace(0, 1, 8).expand(len(images), 8)

    def decide(self, scores: Tensor) -> tuple[np.ndarray, np.ndarray]:
        return scores.double().numpy(), scores.numpy() >= 0.5


def made(count: int) -> Iterator[Item]:
    picture = Image.new("RGB", (2, 2))
    return (Item(f"shop/{number // 1000:05d}/{number:09d}.jpg", picture) for number in range(count))


def resident() -> float:
    """MiB of this process, from the kernel."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def curve_of(items: int) -> dict[str, Any]:
    """Points (images, MiB, seconds), and what they come to."""
    points: list[tuple[int, float, float]] = []
    begin = time.perf_counter()

    def watch(done: int, total: int | None) -> None:
        if done >= len(points) * items / POINTS:
            points.append((done, round(resident(), 1), round(time.perf_counter() - begin, 2)))

    with tempfile.TemporaryDirectory() as folder:
        tag_job(Nothing(), made(items), Path(folder) / "t.parquet", batch_size=64, workers=1, progress=watch)  # type: ignore[arg-type]
        done = time.perf_counter() - begin
        points.append((items, round(resident(), 1), round(done, 2)))
    tenth = next(point for point in points if point[0] >= items / 10)
    half = next(point for point in points if point[0] >= items / 2)
    last = points[-2]
    summary = {
        "items": items,
        "mib_after_a_tenth": tenth[1],
        "mib_at_most_after_it": max(point[1] for point in points if point[0] >= tenth[0]),
        "second_half_over_first": round((last[2] - half[2]) / max(half[2] - points[0][2], 1e-9), 3),
        "microseconds_per_item": round(1e6 * done / items, 1),
    }
    return {"summary": summary, "points": points}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    print(json.dumps(curve_of(parser.parse_args().items)["summary"], indent=2))
