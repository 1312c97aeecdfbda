"""Steps of our own beside the library's that they stand for, in turns: why they are there.

python benchmarks/steps.py --repeats 30

The MLP of one ViT-B/16 block with its residual, one image at a time and eight together; pixels normalised in two
threads that decode, alone and while matrix products want the same processors.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import torch
from open_clip.transformer import QuickGELU
from PIL import Image
from torch import nn
from torchvision.transforms import functional as TF

from piaa.bench.machine import describe, pin_threads
from piaa.bench.output import machine_line, spread
from piaa.bench.work import photographs
from piaa.vision.preprocess import CLIP_MEAN, CLIP_STD, Preprocess, build_preprocess
from piaa.vision.runtimes.timing import Spread, in_turns, ratio
from piaa.vision.towers.fused import add_mlp

TOKENS, WIDTH = 197, 768
PHOTOS, PRODUCTS = 32, 4


class AsTorchvision(Preprocess):
    """The same pixels, normalised by torchvision."""

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return TF.normalize(TF.to_tensor(self._cover(image)), list(CLIP_MEAN), list(CLIP_STD))


def mlp_cases(activation: nn.Module, batch: int) -> dict[str, Callable[[], object]]:
    """`tokens + mlp(tokens)` by modules and by `piaa.vision.towers.fused`."""
    tokens = torch.randn(batch, TOKENS, WIDTH)
    first, second = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
    return {
        "library": lambda: tokens + second(activation(first(tokens))),
        "ours": lambda: add_mlp(tokens, first, activation, second, tokens),
    }


def pixel_cases(photos: list[Image.Image], products: bool) -> dict[str, Callable[[], object]]:
    """All photographs in two threads; with `products`, the caller's thread multiplies matrices meanwhile."""
    matrix = torch.randn(1024, 1024)

    def run(preprocess: Preprocess) -> None:
        threads = [
            threading.Thread(target=lambda part=part: [*map(preprocess, part)]) for part in (photos[::2], photos[1::2])
        ]
        for thread in threads:
            thread.start()
        for _ in range(PRODUCTS * PHOTOS if products else 0):
            matrix @ matrix
        for thread in threads:
            thread.join()

    return {"library": lambda: run(AsTorchvision((224, 224))), "ours": lambda: run(build_preprocess(224))}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    pin_threads(0)
    with tempfile.TemporaryDirectory() as name:
        folder = photographs(None, Path(name) / "photos", PHOTOS)
        photos = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]
    steps = {
        f"MLP, {kind}, {batch} together": (mlp_cases(activation, batch), batch)
        for kind, activation in (("GELU", nn.GELU()), ("QuickGELU", QuickGELU()))
        for batch in (1, 8)
    }
    steps["pixels in two threads"] = (pixel_cases(photos, products=False), PHOTOS)
    steps["pixels in two threads beside products"] = (pixel_cases(photos, products=True), PHOTOS)
    print(machine_line(describe("cpu")), "\n")
    print("| step | library, ms an image | ours | rate to the library |\n| --- | ---: | ---: | ---: |")
    for title, (cases, images) in steps.items():
        seconds = in_turns(cases, repeats)
        times = [
            spread(Spread.of([value / images for value in values]).as_dict(), 2, 1000) for values in seconds.values()
        ]
        print(f"| {title} | {' | '.join(times)} | {spread(ratio(seconds['library'], seconds['ours']).as_dict())} |")


if __name__ == "__main__":
    main()
