"""What `--quality` gives and costs on drawn scenes: mAP, small objects, CF1, and its cost.

    python benchmarks/qualities.py --seeds 51 52 53

1,000 scenes to learn, 1,000 to judge, a seed. The bare encoder is the plain tower with the front-end `clip`, at the
standard size in PyTorch; processor times of all threads are medians in one run, in turns, so that other programs
matter little. Operations (`piaa.bench.flops`) are those over `standard`: of the embedded model, of ViT-B/16 at the
sizes of the qualities, and of ViT-B/16 where the image size is 224 pixels.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from piaa import Recognizer
from piaa.bench.flops import count_flops
from piaa.engine import Setup
from piaa.qualities import QUALITIES
from piaa.scenes import object_names
from piaa.scenes.demo import run_demo
from piaa.setups import setup_of
from piaa.vision.models import EMBEDDED


def measure(seed: int, quality: str, images: int) -> dict[str, float]:
    """Percent."""
    with tempfile.TemporaryDirectory() as folder:
        metrics = run_demo(folder, seed, unlabelled=images, test=images, quality=quality).metrics
    return {
        "mAP": metrics["piaa_map"],
        "small": metrics["map_by_size"]["piaa"]["small"],
        "CF1": metrics["cf1"],
    }


def costs(repeats: int, images: int = 16) -> dict[str, tuple[str, float]]:
    """Engine, and processor time of the encoder as a ratio to the bare one's, by quality."""
    setups = {name: Recognizer(object_names(), quality=name).learner().setup for name in QUALITIES}
    standard = setups["standard"]
    bare = Setup(standard.model, "clip", standard.preprocess, images)
    calls = {name: calling(setup, images) for name, setup in (("bare", bare), *setups.items())}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            begin = time.process_time()
            call()
            seconds[name].append(time.process_time() - begin)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {name: (setup.engine, median[name] / median["bare"]) for name, setup in setups.items()}


def calling(setup: Setup, images: int) -> Callable[[], object]:
    encoder = setup.encoder()
    batch = torch.randn(images, 3, *setup.preprocess.image_size)
    encoder(batch)  # warm
    return lambda: encoder(batch)


def operations(model: str, pretrained: str | None, size: int | None = None) -> dict[str, float]:
    """Operations of each quality over those of `standard`, whatever the engine."""
    counts = {}
    for name, quality in QUALITIES.items():
        setup = setup_of(
            (model, pretrained), front_end=None, image_size=quality.image_size if size is None else size, resize=None,
            device="cpu", precision="fp32", engine="eager", batch_size=1, views=quality.views,
        )  # fmt: skip
        counts[name] = count_flops(calling(setup, 1))
    return {name: count / counts["standard"] for name, count in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[51])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    ratios = costs(arguments.repeats)
    counts = [operations(EMBEDDED, None), operations("ViT-B-16", "random"), operations("ViT-B-16", "random", 224)]
    heads = ("processor time", "over standard", "operations", "ViT-B/16", "ViT-B/16 at 224")
    table = Table("quality", "engine", "mAP", "small objects", "CF1", *heads, box=box.MARKDOWN)
    for name in QUALITIES:
        outcomes = [measure(seed, name, arguments.images) for seed in arguments.seeds]
        cells = [f"{statistics.mean(each[key] for each in outcomes):.1f}" for key in ("mAP", "small", "CF1")]
        engine, ratio = ratios[name]
        over = [ratio, ratio / ratios["standard"][1], *(count[name] for count in counts)]
        table.add_row(name, engine, *cells, *(f"{value:.2f}" for value in over))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
