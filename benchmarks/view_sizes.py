"""Which second view of an image is worth its cost, on drawn scenes: mAP, small objects, CF1, and operations.

    python benchmarks/view_sizes.py --seeds 4 7 --images 300

So many scenes to learn from and so many to judge, a seed. A row "1 and F" joins the patches of the standard size with
those of an image F times as large, [CLS] is that of the standard size; this is what `--quality best` does. Tiles: the
larger image is cut into 2 x 2, and each quarter is encoded by itself; alone they have the mean of their [CLS]. Each
view is made from the file. CF1 is that of the default's thresholds, of strict ones and of the best for these labels.
Operations (`piaa.bench.flops`) of the embedded model are those over one view of the standard size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from typing import NamedTuple

import torch
from few_images import Images, fitted
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from piaa import Recognizer
from piaa.bench.flops import count_flops
from piaa.engine import Setup
from piaa.evaluation.metrics import average_precision_by_size, f1, mean_average_precision, oracle_thresholds
from piaa.inputs.items import batches, iterate
from piaa.method.recipes import get_recipe
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder
from piaa.setups import setup_of
from piaa.vision.encoder import Encoded
from piaa.vision.models import EMBEDDED

FACTORS = (1.125, 1.25, 1.375, 1.5)
TILED = (1.5, 1.625, 1.75)
SPLITS = ("unlabelled", "test")
RULES = ("bimodal", "strict")
HEADS = ("mAP", "small objects", "CF1", "CF1, strict", "CF1, oracle")


class View(NamedTuple):
    """An image `factor` times as large as the standard one, whole or in 2 x 2 tiles."""

    factor: float
    tiles: bool = False


Row = tuple[View, ...]
ROWS: dict[str, Row] = {
    "1": (View(1),),
    **{f"1 and {factor}": (View(1), View(factor)) for factor in FACTORS},
    **{f"1 and tiles of {factor}": (View(1), View(factor, tiles=True)) for factor in TILED},
    **{f"{factor} alone": (View(factor),) for factor in FACTORS},
    **{f"tiles of {factor} alone": (View(factor, tiles=True),) for factor in TILED},
}


def setup_for(view: View, standard: int, patch: int) -> Setup:
    """The embedded model at the size of the view, in whole patches of each tile."""
    unit = patch * (2 if view.tiles else 1)
    size = round(standard * view.factor / unit) * unit
    return setup_of(
        (EMBEDDED, None), front_end=None, image_size=size, resize=None,
        device="cpu", precision="fp32", engine="eager", batch_size=25,
    )  # fmt: skip


def seen(setup: Setup, images: Tensor, tiles: bool) -> Encoded:
    """[CLS] and patches of N images."""
    encode = setup.encoder()
    if not tiles:
        return encode(images)
    quarters = [encode(part) for half in images.chunk(2, dim=-2) for part in half.chunk(2, dim=-1)]
    cls = torch.stack([F.normalize(quarter.cls, dim=1) for quarter in quarters]).mean(dim=0)
    return Encoded(cls, torch.cat([quarter.patches for quarter in quarters], dim=1), quarters[0].grid)


def encoded(setup: Setup, folder: str, tiles: bool) -> Images:
    parts = [seen(setup, batch.images, tiles) for batch in batches(iterate(folder), setup.preprocess, 25)]
    return torch.cat([part.cls for part in parts]), torch.cat([part.patches for part in parts])


def joined(views: Row, stored: dict[View, Images]) -> Images:
    return stored[views[0]][0], torch.cat([stored[view][1] for view in views], dim=1)


def measure(seed: int, images: int, setups: dict[View, Setup], text: Tensor) -> dict[str, tuple[float, ...]]:
    """What `HEADS` says, of each row, percent."""
    labels = torch.zeros(images, len(text), dtype=torch.bool)
    sizes = torch.full((images, len(text)), torch.nan)
    with tempfile.TemporaryDirectory() as folder:
        for split in SPLITS:
            drawn = write_scene_folder(f"{folder}/{split}", seed, split, images)
        for row, (_, scene) in enumerate(drawn):
            labels[row, list(scene.labels)] = True
            for label, size in scene.sizes.items():
                sizes[row, label] = size
        stored = {
            split: {view: encoded(setup, f"{folder}/{split}", view.tiles) for view, setup in setups.items()}
            for split in SPLITS
        }
    marks = {}
    for name, views in ROWS.items():
        learnt, judged = (joined(views, stored[split]) for split in SPLITS)
        classifiers = [fitted(learnt, text, get_recipe("default"), rule) for rule in RULES]
        scores = classifiers[0].score(*judged)
        decisions = [torch.from_numpy(classifier.decide(scores)) for classifier in classifiers]
        decisions.append(scores >= oracle_thresholds(scores, labels))
        small = average_precision_by_size(scores, labels, sizes)["small"]
        cf1 = (f1(decided, labels).cf1 for decided in decisions)
        marks[name] = tuple(100 * mark for mark in (mean_average_precision(scores, labels), small, *cf1))
    return marks


def operations(view: View, setup: Setup) -> int:
    image = torch.randn(1, 3, *setup.preprocess.image_size)
    return count_flops(lambda: seen(setup, image, view.tiles))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[4, 7])
    parser.add_argument("--images", type=int, default=300)
    arguments = parser.parse_args()
    learner = Recognizer(object_names()).learner()
    standard, patch = learner.preprocess.image_size[0], learner.setup.model.tower.patch_size[0]
    setups = {view: setup_for(view, standard, patch) for views in ROWS.values() for view in views}
    counts = {view: operations(view, setup) for view, setup in setups.items()}
    outcomes = [measure(seed, arguments.images, setups, learner.prototypes) for seed in arguments.seeds]
    heads = [f"seed {seed}: mAP / small" for seed in arguments.seeds]
    table = Table("views", *HEADS, "operations", *heads, box=box.MARKDOWN)
    for name, views in ROWS.items():
        means = [f"{statistics.mean(values):.1f}" for values in zip(*(each[name] for each in outcomes), strict=True)]
        cost = f"{sum(counts[view] for view in views) / counts[View(1)]:.2f}"
        table.add_row(name, *means, cost, *(" / ".join(f"{mark:.1f}" for mark in each[name][:2]) for each in outcomes))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
