"""Table 5's other half: what the trained systems take to learn, in units of PIAA's learning, in one run.

All of them begin with the same image files: decoding and encoding count. On a CPU it is the time that the process
used, which other processes do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from piaa.experiments.clocks import Clock
from piaa.experiments.job import Job
from piaa.experiments.measure import learn
from piaa.experiments.results import Row
from piaa.experiments.spec import Run
from piaa.experiments.tables import LEARNING
from piaa.inputs.items import Item


def learning_ratios(job: Job, runs: Sequence[Run]) -> list[Row]:
    """A row a line: the time of its learning over that of PIAA's, both from the first images to learn from.

    A line whose `change` names a `backbone` trains it end to end at the published pace, with drawn weights, tiles and
    crops encoded anew; any other trains a head on stored embeddings at its own pace.
    """
    items = job.dataset.unlabelled[: int(job.spec.options["learning_images"])]
    _piaa(job, items[:2])  # what a first call costs is no part of it
    own = _timed(job, lambda: _piaa(job, items))
    rows = []
    for run in runs:
        taken = _timed(job, lambda run=run: _trained(job, run, items))  # type: ignore[misc]
        rows.append(job.row(run, LEARNING, taken / own, parameter=f"images={len(items)}"))
    return rows


def _timed(job: Job, act: Callable[[], Any]) -> float:
    """Seconds."""
    clock = Clock(job.setup.model.device)
    act()
    return clock.seconds


def _piaa(job: Job, items: Sequence[Item]) -> None:
    with TemporaryDirectory() as folder:
        features = type(job.store)(folder, job.store.workers).get(job.setup, items)
        learn(job.setup, job.classes, job.prototypes, job.recipe, features)


def _trained(job: Job, run: Run, items: Sequence[Item]) -> None:
    """From images to a head, or to a network; nothing is kept."""
    from piaa.training.backbones import readable, train_network
    from piaa.training.loop import Place
    from piaa.training.material import material_of
    from piaa.training.regions import EncodedRegions
    from piaa.training.run import Plan, train
    from piaa.training.scratch import RANDOM
    from piaa.training.spec import read_method

    plan = Plan(read_method(run.method).on(job.dataset.name), seed=job.dataset.seed or 0)
    place = Place("gpu" if job.setup.model.device.type == "cuda" else "cpu")
    names = job.dataset.label_names
    with TemporaryDirectory() as folder:
        features = type(job.store)(folder, job.store.workers).get(job.setup, items)
        material = material_of(features, job.prototypes.cpu(), names)
        if "backbone" not in run.change:
            train(plan, material, None, place)
            return
        regions = EncodedRegions(job.setup, readable(items, material.ids), Path(folder))
        train_network(
            plan, items, material, None, place, backbone=run.change["backbone"], weights=RANDOM,
            size=max(job.setup.preprocess.image_size), regions=regions,
        )  # fmt: skip
