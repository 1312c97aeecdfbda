"""Tagging beside the bare encoder: from tensors, from files, and as two whole models."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.bench.flops import count_flops
from piaa.bench.machine import finished, matrix_product
from piaa.bench.memory import peak_of
from piaa.bench.work import Work, photographs, random_images, random_scorer
from piaa.engine import Scorer, Setup
from piaa.jobs import tag_job
from piaa.vision.encoder import Encoded, Encoder, trace_of
from piaa.vision.models import LoadedModel
from piaa.vision.runtimes.timing import Spread, in_turns, ratio
from piaa.vision.towers import Tower, build_tower

MATMUL = "matrix product"
WARM_UP = 1
BATCH_WAYS = ("tensors", "two models")
"""What takes a turn of one batch, beside the bare encoder."""
Calls = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Cases:
    """What to run in turns.

    Every front-end has runs of its own of what it is compared with, beside its own: what is seconds apart, or first or
    last of a repetition, can be off by more than what is to be told.

    Attributes:
        batch: `bare FE`, `tensors FE`, `two models FE`, in this order for each front-end, one batch each: short, so
            that a machine whose speed changes changes it for both sides of a ratio.
        batch_size: images in that batch.
        folder: `tensors FE`, `files FE`, all images each, since files are decoded while the batch before is encoded.
    """

    batch: Calls
    batch_size: int
    folder: Calls


def tagging_cases(work: Work, model: LoadedModel, folder: Path) -> Cases:
    """All ways to do the same work.

    Args:
        work: the settings.
        model: the model of the bare encoder and of ours.
        folder: where photographs and outputs may lie.
    """
    images = torch.split(random_images(model, work.count), work.batch_size)
    first = images[0]
    photos = photographs(work.images, folder / "photos", work.count)
    rewritten = build_tower(copy.deepcopy(model.tower.visual)).to(device=model.device, dtype=model.dtype)

    @torch.no_grad()
    def bare() -> None:
        model.clip.encode_image(first)

    batch_calls: Calls = {}
    folder_calls: Calls = {}
    for name in work.front_ends:
        scorer = random_scorer(Setup(model, name, model.preprocess(), work.batch_size), work.classes)
        batch_calls[f"bare {name}"] = bare
        batch_calls[f"tensors {name}"] = partial(_one_pass(scorer), first)
        batch_calls[f"two models {name}"] = partial(_two_models(model, rewritten, name, scorer), first)
        folder_calls[f"tensors {name}"] = _each(images, _one_pass(scorer))
        folder_calls[f"files {name}"] = _tag_files(scorer, photos, folder / f"{name}.jsonl", work.batch_size)
    return Cases(_finished(batch_calls, work), len(first), _finished(folder_calls, work))


def _finished(calls: Calls, work: Work) -> Calls:
    return {name: finished(call, work.device) for name, call in calls.items()}


def _each(images: tuple[Tensor, ...], step: Callable[[Tensor], object]) -> Callable[[], None]:
    def run() -> None:
        for batch in images:
            step(batch)

    return run


def _one_pass(scorer: Scorer) -> Callable[[Tensor], object]:
    return lambda batch: scorer.decide(scorer.score(batch))


def _tag_files(scorer: Scorer, photos: Path, out: Path, batch_size: int) -> Callable[[], object]:
    return lambda: tag_job(scorer, photos, out, batch_size=batch_size)


def _two_models(model: LoadedModel, rewritten: Tower, name: str, scorer: Scorer) -> Callable[[Tensor], object]:
    """As the published code does it: the whole plain model for [CLS], then a whole rewritten one for the patches."""
    front_end = Encoder(rewritten, name).front_end

    @torch.no_grad()
    def step(batch: Tensor) -> object:
        cls = model.clip.encode_image(batch)
        trace = trace_of(rewritten, batch, front_end)
        encoded = Encoded(cls.float().cpu(), front_end(rewritten, trace).float().cpu(), trace.grid)
        return scorer.decide(scorer.score_encoded(encoded))

    return step


def measure_tagging(
    work: Work, model: LoadedModel, folder: Path, report: Callable[[int, int | None], None]
) -> dict[str, Any]:
    """Seconds an image, rates beside the bare encoder, the two models and the tensors, peak memory, roofline.

    Args:
        work: the settings.
        model: the model of the bare encoder and of ours.
        folder: where photographs and outputs may lie.
        report: told (calls made, calls in all) after each call.

    Returns:
        `cases`: name to seconds an image, `bare` being the runs of the bare encoder one after the other; `rate_to_bare`
        (each to the bare runs of its front-end), `one_pass_to_two_models`, `files_to_tensors`: ratios, 2 is twice as
        fast; `peak_mib`: memory above where it was; `roofline`: see `roofline`.
    """
    cases = tagging_cases(work, model, folder)
    product, operations = matrix_product(work.device)
    batch_cases = {**cases.batch, MATMUL: product}
    turns = work.repeats * math.ceil(work.count / work.batch_size)  # as many images as in the turns of whole folders
    total = len(batch_cases) * (turns + WARM_UP) + len(cases.folder) * (work.repeats + WARM_UP)
    done = itertools.count(1)

    def tick() -> None:
        report(next(done), total)

    batch = in_turns(batch_cases, turns, WARM_UP, tick)
    matmul = batch.pop(MATMUL)
    whole = in_turns(cases.folder, work.repeats, WARM_UP, tick)
    names = work.front_ends
    shown = _seconds_an_image(cases, names, batch, whole, work.count)
    calls = {**cases.folder, **cases.batch, "bare": cases.batch[f"bare {names[0]}"]}
    return {
        "cases": {case: Spread.of(values).as_dict() for case, values in shown.items()},
        "rate_to_bare": {
            f"{way} {name}": ratio(batch[f"bare {name}"], batch[f"{way} {name}"]).as_dict()
            for name in names
            for way in BATCH_WAYS
        },
        "one_pass_to_two_models": _ratios(batch, names, "two models", "tensors"),
        "files_to_tensors": _ratios(whole, names, "tensors", "files"),
        "peak_mib": {case: peak_of(calls[case]) for case in shown},
        "roofline": roofline(work, model, operations / min(matmul), shown),
    }


def _seconds_an_image(
    cases: Cases, names: tuple[str, ...], batch: dict[str, list[float]], whole: dict[str, list[float]], count: int
) -> dict[str, list[float]]:
    shown = {"bare": [seconds / cases.batch_size for name in names for seconds in batch[f"bare {name}"]]}
    for name in names:
        for way in BATCH_WAYS:
            shown[f"{way} {name}"] = [seconds / cases.batch_size for seconds in batch[f"{way} {name}"]]
        shown[f"files {name}"] = [seconds / count for seconds in whole[f"files {name}"]]
    return shown


def _ratios(seconds: dict[str, list[float]], names: tuple[str, ...], of: str, to: str) -> dict[str, Any]:
    return {name: ratio(seconds[f"{of} {name}"], seconds[f"{to} {name}"]).as_dict() for name in names}


def roofline(work: Work, model: LoadedModel, rate: float, per_image: dict[str, list[float]]) -> dict[str, Any]:
    """Operations an image over the machine's rate: the least seconds an image, and how near each case comes.

    Args:
        work: the settings.
        model: the model.
        rate: floating-point operations a second of the fastest matrix product.
        per_image: case to seconds an image.
    """
    image = random_images(model, 1)
    counted = {"bare": count_flops(lambda: model.clip.encode_image(image))}
    for name in work.front_ends:
        counted[f"tensors {name}"] = count_flops(lambda name=name: Encoder(model.tower, name)(image))  # type: ignore[misc]
    cases = {
        case: {
            "flops_per_image": flops,
            "least_seconds": flops / rate,
            "share_of_limit": flops / rate / Spread.of(per_image[case]).median,
        }
        for case, flops in counted.items()
    }
    return {"matmul_flops_per_second": rate, "cases": cases}
