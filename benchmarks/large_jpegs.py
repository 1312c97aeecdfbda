"""What decoding a large JPEG at a part of its size saves, and how far the model's input then is from the whole one's.

    python benchmarks/large_jpegs.py

Drawn scenes with and without the grain of a camera, JPEG of quality 90; milliseconds of decoding and resizing in one
thread, medians of turns; differences in grey values of 255.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from piaa.bench.output import markdown
from piaa.inputs.images import open_image
from piaa.scenes import render, sample_scene
from piaa.vision.preprocess import build_preprocess
from piaa.vision.runtimes.timing import Spread, in_turns

SIZES = ((640, 480), (2048, 1536), (4032, 3024))
GRAINS = (0, 15)
SIDES = (224, 304)
REPEATS = 5


def main() -> None:
    torch.set_num_threads(1)
    lines = [line(size, grain, side) for size in SIZES for grain in GRAINS for side in SIDES]
    heads = ["photograph", "grain", "input", "decoded as", "ms whole", "ms so", "mean difference", "greatest"]
    print(markdown((heads, lines)))


def line(size: tuple[int, int], grain: int, side: int) -> list[str]:
    data, preprocess = jpeg(size, grain), build_preprocess(side)
    seconds = in_turns(
        {
            "whole": lambda: preprocess(open_image(data)),
            "so": lambda: preprocess(open_image(data, ample=preprocess.ample)),
        },
        REPEATS,
    )
    small = open_image(data, ample=preprocess.ample)
    std = torch.tensor(preprocess.std)[:, None, None]
    grey = (255 * std * (preprocess(small) - preprocess(open_image(data)))).abs()
    times = [f"{1000 * Spread.of(seconds[name]).median:.0f}" for name in ("whole", "so")]
    shape = [f"{size[0]} x {size[1]}", str(grain), str(side), f"{small.width} x {small.height}"]
    return [*shape, *times, f"{float(grey.mean()):.2f}", f"{float(grey.max()):.0f}"]


def jpeg(size: tuple[int, int], grain: int) -> bytes:
    pixels = np.asarray(render(sample_scene(3, "bench", 1), size)).astype(np.float64)
    pixels += np.random.default_rng(0).normal(0, 1, pixels.shape) * grain
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main()
