"""What table 1 costs in the paper's own setting: FLOPs that torch counts, and hours on a GPU that is assumed.

Every line sees the data set's images: PIAA and the others without training once each through the tower; the trained
ones as they are published, a backbone end to end at 448 pixels. Decoding is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from piaa import baselines, training
from piaa.bench.flops import count_flops
from piaa.datasets import Dataset
from piaa.engine import Setup
from piaa.experiments.job import Job
from piaa.experiments.spec import Run
from piaa.training.spec import Pace, read_method
from piaa.vision.encoder import Encoder

PUBLISHED_SIZE = 448
"""Pixels of a side that the trained systems are published at."""
BACKWARD = 2.0
"""A backward pass in units of the forward one: a product for the weights and one for what came in."""
READ = 64
"""Images that the tower takes together, for the FLOPs of a step; the total does not depend on it."""


@dataclass(frozen=True)
class Gpu:
    """An accelerator, and how much of it is assumed to be used.

    Attributes:
        name: in words.
        peak: FLOP a second, as its maker states it.
        used: share of the peak, 0..1; assumed, not measured.
    """

    name: str = "NVIDIA A100, TF32"
    peak: float = 156e12
    used: float = 0.25

    def hours(self, flops: float) -> float:
        """That so many operations take."""
        return flops / (self.peak * self.used) / 3600


@dataclass(frozen=True)
class Cost:
    """A line's cost.

    Attributes:
        row: of the table.
        network: what sees the images.
        images: learnt from; 0 where nothing is learnt.
        epochs: passes over them.
        steps: of learning, of all epochs; of the test where nothing is learnt.
        step: FLOP of one step of learning, or of one batch of the test where nothing is learnt.
        learning: FLOP of all learning.
        test: FLOP of the test images.
    """

    row: str
    network: str
    images: int
    epochs: int
    steps: int
    step: float
    learning: float
    test: float


def tower_flops(setup: Setup) -> int:
    """Of one image through the tower and its front-end."""
    tower = setup.model.tower
    image = torch.zeros(1, 3, *setup.preprocess.image_size, device=setup.model.device, dtype=setup.model.dtype)
    return count_flops(lambda: Encoder(tower, setup.front_end)(image))


def backbone_flops(name: str, size: int = PUBLISHED_SIZE) -> int:
    """Of one image of size x size through a timm backbone without its classifier; nothing is computed."""
    import timm

    with torch.device("meta"):
        network = timm.create_model(name, num_classes=0).eval()
        image = torch.zeros(1, 3, size, size)
    return count_flops(lambda: network(image))


def read_once(row: str, network: str, images: tuple[int, int], forward: float, looks: float = 1.0) -> Cost:
    """A line without training: each image passes once.

    Args:
        row: of the table.
        network: that the images pass.
        images: learnt from (0: none), and tested on.
        forward: FLOP an image.
        looks: passes of a test image.
    """
    learnt, tested = images
    steps, step = math.ceil((learnt or tested) / READ), forward * READ * (1.0 if learnt else looks)
    return Cost(row, network, learnt, int(learnt > 0), steps, step, learnt * forward, tested * forward * looks)


def trained(row: str, network: str, images: tuple[int, int], forward: float, pace: Pace) -> Cost:
    """A trained line: forward and backward for each image of each epoch; the test images once forward.

    The last step of an epoch may have fewer images than `pace.batch`.
    """
    learnt, tested = images
    each, steps = (1 + BACKWARD) * forward, math.ceil(learnt / pace.batch) * pace.epochs
    learning = each * learnt * pace.epochs
    return Cost(row, network, learnt, pace.epochs, steps, each * pace.batch, learning, tested * forward)


def labels_an_image(dataset: Dataset) -> float:
    """Of the test images, on average; at least 1."""
    known = list(dataset.truth.labels.values())
    return max(1.0, sum(len(labels) for labels in known) / max(1, len(known)))


def table_costs(jobs: Sequence[Job]) -> list[Cost]:
    """The cost of each line of a table of systems.

    TagCLIP looks once more at each class that it finds; at the least that is as many as an image has labels, as here.
    """
    found: list[Cost] = []
    for job in jobs:
        counts = (len(job.dataset.unlabelled), len(job.dataset.test))
        found += [_cost(run, job, counts) for run in job.runs]
    return found


def _cost(run: Run, job: Job, counts: tuple[int, int]) -> Cost:
    if run.method in training.METHODS:
        published = read_method(run.method)
        forward = backbone_flops(published.backbone)
        return trained(run.row, f"{published.backbone}, {PUBLISHED_SIZE} px", counts, forward, published.published)
    method = baselines.METHODS.get(run.method)
    learns = run.method == baselines.PIAA or (method is not None and method.learns and not method.transductive)
    looks = 1 + labels_an_image(job.dataset) if run.method.startswith("tagclip") else 1.0
    size = job.setup.preprocess.image_size[0]
    counts = (counts[0] if learns else 0, counts[1])
    return read_once(run.row, f"{job.setup.model.name}, {size} px", counts, tower_flops(job.setup), looks)
