"""Do patches say what lies under them? Asked of any model here, on crowded validation scenes.

    python training/patch_report.py src/piaa/assets/embedded [--size 96]

For each front-end: of the patches whose middle lies on an object (in the inner 80% of its box), the share that is
nearest to the object's own name and the share nearest to the name of any object in the image, by size; of the other
patches, the second alone; cosine of patches within an image and between images; mAP of [CLS], of text patches + max.
"""

from __future__ import annotations

import argparse

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from piaa.evaluation.metrics import mean_average_precision
from piaa.scenes import object_names, render, sample_scene
from piaa.scenes.sample import LARGE, SMALL, Scene
from piaa.vision.encoder import Encoder
from piaa.vision.front_ends import FRONT_ENDS
from piaa.vision.models import load_model
from piaa.vocabulary.labels import parse_labels
from piaa.vocabulary.prototypes import text_prototypes

INNER = 0.8
SIZES = ("small", "medium", "large")


def owners(scene: Scene, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """For each patch the class of the topmost (smallest) object on it and the size bin of that object; -1 for none."""
    kinds, sizes = torch.full(grid, -1), torch.full(grid, -1)
    y = (torch.arange(grid[0]) + 0.5)[:, None] / grid[0]
    x = (torch.arange(grid[1]) + 0.5)[None] / grid[1]
    for thing in sorted(scene.objects, key=lambda thing: -thing.size):
        half = thing.size / 2 * INNER
        inside = ((x - thing.x).abs() < half) & ((y - thing.y).abs() < half)
        kinds[inside] = thing.kind
        sizes[inside] = int(thing.size >= SMALL) + int(thing.size >= LARGE)
    return kinds.flatten(), sizes.flatten()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--size", type=int, default=None)
    parser.add_argument("--scenes", type=int, default=300)
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    preprocess = model.preprocess(arguments.size)
    prototypes = text_prototypes(model, parse_labels(object_names()))
    scenes = [sample_scene(0, "validation", index, "scene") for index in range(arguments.scenes)]
    images = torch.stack([preprocess(render(scene, (160, 160))) for scene in scenes])
    labels = torch.stack([torch.zeros(len(prototypes)).index_fill(0, torch.tensor(s.labels), 1) for s in scenes])
    heads = [f"{size}: own, any" for size in SIZES]
    table = Table("front-end", *heads, "background: any", "cosine within, between", "mAP [CLS], patches")
    for name in FRONT_ENDS:
        table.add_row(name, *measure(Encoder(model.tower, name), images, scenes, labels, prototypes))
    Console(width=140).print(table)


def measure(encoder: Encoder, images: Tensor, scenes: list[Scene], labels: Tensor, prototypes: Tensor) -> list[str]:
    encoded = [encoder(part) for part in images.split(50)]
    patches = F.normalize(torch.cat([part.patches for part in encoded]), dim=-1)
    cls = F.normalize(torch.cat([part.cls for part in encoded]), dim=-1)
    logits = patches @ prototypes.T
    nearest = logits.argmax(dim=-1)
    places = [owners(scene, encoded[0].grid) for scene in scenes]
    kinds, sizes = (torch.stack([place[i] for place in places]) for i in (0, 1))
    own, present = nearest == kinds, labels.gather(1, nearest).bool()
    cells = [
        f"{100 * own[sizes == s].float().mean():.0f}%, {100 * present[sizes == s].float().mean():.0f}%"
        for s in range(3)
    ]
    within = torch.einsum("nid,njd->nij", patches, patches).mean()
    between = torch.einsum("nid,njd->nij", patches[:-1], patches[1:]).mean()
    scores = (cls @ prototypes.T, logits.amax(dim=1))
    return [
        *cells,
        f"{100 * present[sizes < 0].float().mean():.0f}%",
        f"{within:.2f}, {between:.2f}",
        ", ".join(f"{100 * mean_average_precision(score, labels):.1f}" for score in scores),
    ]


if __name__ == "__main__":
    main()
