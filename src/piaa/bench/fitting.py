"""Fitting taken apart: encoder, bank, closed form; and the last two alone for many classes and widths."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from piaa.bench.machine import finished
from piaa.bench.memory import peak_of
from piaa.bench.work import Work, random_images, random_learner, random_units
from piaa.engine import Setup
from piaa.method import gaussian, pvcl
from piaa.method.bank import Bank
from piaa.method.recipes import get_recipe
from piaa.method.thresholds import DEFAULT_RULE
from piaa.vision.models import LoadedModel
from piaa.vision.runtimes.timing import Spread, in_turns

OFFERED = 1568
"""Patches offered to a bank at a time: those of eight images of 14 x 14."""


def measure_fitting(work: Work, model: LoadedModel) -> dict[str, Any]:
    """The shares of a fit of `fit_images` images at C classes.

    Encoder and bank are measured on `count` images from an empty bank on, when most patches enter, which is the
    dearest time; the closed form on a bank as full as it can be.

    Returns:
        `seconds_per_image` of `encoder` and `evidence` (bank, moments, sample); `seconds_once` of `sample_memory`,
        `closed_form` (stages I to III) and `scales_and_thresholds`; `shares` of each in the whole fit, with the sum 1;
        `peak_mib`.
    """
    setup = Setup(model, work.front_ends[-1], model.preprocess(), work.batch_size)
    batches = torch.split(random_images(model, work.count), work.batch_size)
    encoder, evidence, memory, last = [], [], [], []
    learner = random_learner(setup, work.classes, work.bank_size)
    encode = finished_encoder(setup, work.device)
    encoded = encode(batches[0])  # warm
    for _ in range(work.repeats):
        learner = random_learner(setup, work.classes, work.bank_size)
        start = time.perf_counter()
        learner.evidence.sample.reserve(encoded.cls.shape[1:], encoded.patches.shape[1:])
        memory.append(time.perf_counter() - start)
        spent = [0.0, 0.0]
        for number, batch in enumerate(batches):
            start = time.perf_counter()
            encoded = encode(batch)
            middle = time.perf_counter()
            indices = torch.arange(len(batch)) + number * work.batch_size
            learner.evidence.update(
                encoded.cls.cpu(), encoded.patches.cpu(), indices, learner.prototypes, learner.recipe.text_scale
            )
            spent = [spent[0] + middle - start, spent[1] + time.perf_counter() - middle]
        encoder.append(spent[0] / work.count)
        evidence.append(spent[1] / work.count)
        start = time.perf_counter()
        learner.finish(DEFAULT_RULE)
        last.append(time.perf_counter() - start)
    full = measure_alone(work, work.classes, model.embed_dim)
    closed = full["learn_seconds"]["median"]
    once = {
        "sample_memory": Spread.of(memory).median,
        "closed_form": closed,
        "scales_and_thresholds": Spread.of(last).median,
    }
    each = {"encoder": Spread.of(encoder), "evidence": Spread.of(evidence)}
    parts = {name: work.fit_images * value.median for name, value in each.items()} | once
    total = sum(parts.values())
    return {
        "front_end": setup.front_end,
        "classes": work.classes,
        "fit_images": work.fit_images,
        "seconds_per_image": {name: value.as_dict() for name, value in each.items()},
        "seconds_once": once,
        "shares": {name: seconds / total for name, seconds in parts.items()},
        "peak_mib": peak_of(_fit_once(work, setup, batches)),
    }


def finished_encoder(setup: Setup, device: str) -> Callable[[torch.Tensor], Any]:
    """The set-up's encoder, returning when the device is done."""
    encode = setup.encoder()
    return lambda batch: finished(lambda: encode(batch), device)()


def _fit_once(work: Work, setup: Setup, batches: tuple[torch.Tensor, ...]) -> Callable[[], object]:
    def fit() -> None:
        learner = random_learner(setup, work.classes, work.bank_size)
        for number, batch in enumerate(batches):
            learner.update(batch, [number * work.batch_size + i for i in range(len(batch))])
        learner.finish(DEFAULT_RULE)

    return fit


def measure_alone(work: Work, classes: int, dim: int) -> dict[str, Any]:
    """Bank and closed form without any encoder.

    Args:
        work: `bank_size`, `rows` (the most patches in the bank) and `repeats`.
        classes: C.
        dim: d.

    Returns:
        `rows` in the bank; `offer_seconds`: stage I on 1,000 patches, the text softmax included;
        `closed_form_seconds`: eq. 3, 9, 10 and 4 once; `learn_seconds`: stages I to III; `peak_mib` of the last two
        together; `bank_mib`.
    """
    bank = filled_bank(classes, work.bank_size, dim, work.rows)
    prototypes = random_units(classes, dim, seed=1)
    offered = random_units(OFFERED, dim, seed=2)
    recipe = get_recipe("default")
    rows = filled_bank(classes, work.bank_size, dim, work.rows).rows()  # of another bank: the first one changes
    offers = iter(range(10**9))

    def offer() -> None:
        place = torch.stack([torch.full((OFFERED,), next(offers)), torch.arange(OFFERED)], dim=1)
        for part in gaussian.row_chunks(OFFERED, classes):
            probabilities = pvcl.text_probabilities(offered[part], prototypes, recipe.text_scale)
            bank.update(offered[part], probabilities, place[part])

    def closed_form() -> object:
        return gaussian.closed_form(rows["patches"], rows["classes"], rows["confidence"], prototypes)

    def learn() -> object:
        purifier = pvcl.PURIFIERS[recipe.purifier]
        return pvcl.learn_classifier(rows["patches"], rows["classes"], rows["confidence"], prototypes, purifier)

    large = 2 * len(rows["patches"]) * classes * dim > 10**12  # of its operations: once is enough
    repeats = 1 if large else work.repeats
    cases: dict[str, Callable[[], object]] = {"offer": offer, "closed_form": closed_form, "learn": learn}
    times = in_turns(cases, repeats, warm_up=0 if large else 1)
    per_thousand = [1000 * seconds / OFFERED for seconds in times["offer"]]
    return {
        "classes": classes,
        "dim": dim,
        "rows": len(rows["patches"]),
        "offer_seconds": Spread.of(per_thousand).as_dict(),
        "closed_form_seconds": Spread.of(times["closed_form"]).as_dict(),
        "learn_seconds": Spread.of(times["learn"]).as_dict(),
        "peak_mib": peak_of(learn),
        "bank_mib": rows["patches"].numel() * rows["patches"].element_size() / 2**20,
    }


def filled_bank(classes: int, size: int, dim: int, most: int) -> Bank:
    """A bank with min(C K, most) made-up patches, shared evenly among the classes."""
    rows = min(classes * size, most)
    generator = torch.Generator().manual_seed(0)
    state = {
        "shape": torch.tensor([classes, size, dim, rows, 0]),
        "classes": torch.arange(rows) % classes,
        "entropy": torch.rand(rows, generator=generator) * math.log(max(classes, 2)),
        "confidence": 0.5 + 0.5 * torch.rand(rows, generator=generator),
        "provenance": torch.stack([torch.full((rows,), -1), torch.arange(rows)], dim=1),
        "patches": random_units(rows, dim),
    }
    return Bank.from_state_dict(state)
