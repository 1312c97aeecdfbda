"""Tagging beside the bare encoder: from tensors, from files, and as two whole models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.bench.flops import count_flops
from piaa.bench.machine import finished, matrix_product
from piaa.bench.memory import peak_of
from piaa.bench.timing import Spread, in_turns, ratio
from piaa.bench.work import Work, photographs, random_images, random_scorer
from piaa.encoder import Encoded, Encoder, trace_of
from piaa.engine import Scorer, Setup
from piaa.jobs import tag_job
from piaa.models import LoadedModel
from piaa.towers import Tower, build_tower

MATMUL = "matrix product"
WAYS = ("tensors", "two models", "files")
"""What every front-end is measured at, beside the bare encoder."""


@dataclass(frozen=True)
class Cases:
    """What to run in turns, each over `count` images.

    Names are `bare FE`, `tensors FE`, `two models FE`, `files FE`, in this order for each front-end: every front-end
    has a run of the bare encoder beside it, since what runs first or last of a repetition can be off by more than
    what is to be told.
    """

    calls: dict[str, Callable[[], object]]
    count: int


def tagging_cases(work: Work, model: LoadedModel, folder: Path) -> Cases:
    """All ways to do the same work.

    Args:
        work: the settings.
        model: the model of the bare encoder and of ours.
        folder: where photographs and outputs may lie.
    """
    images = torch.split(random_images(model, work.count), work.batch_size)
    photos = photographs(work.images, folder / "photos", work.count)
    rewritten = build_tower(copy.deepcopy(model.tower.visual)).to(device=model.device, dtype=model.dtype)

    @torch.no_grad()
    def bare() -> None:
        for batch in images:
            model.clip.encode_image(batch)

    calls: dict[str, Callable[[], object]] = {}
    for name in work.front_ends:
        calls[f"bare {name}"] = bare
        scorer = random_scorer(Setup(model, name, model.preprocess(), work.batch_size), work.classes)
        calls[f"tensors {name}"] = _each(images, _one_pass(scorer))
        calls[f"two models {name}"] = _each(images, _two_models(model, rewritten, name, scorer))
        out = folder / f"{name}.jsonl"
        calls[f"files {name}"] = _tag_files(scorer, photos, out, work.batch_size)
    return Cases({name: finished(call, work.device) for name, call in calls.items()}, work.count)


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


def measure_tagging(work: Work, model: LoadedModel, folder: Path, tick: Callable[[], None]) -> dict[str, Any]:
    """Seconds an image, rates beside the bare encoder, the two models and the tensors, peak memory, roofline.

    Returns:
        `cases`: name to seconds an image, `bare` being the runs of the bare encoder one after the other; `rate_to_bare`
        (each to the bare run of its front-end), `one_pass_to_two_models`, `files_to_tensors`: ratios, 2 is twice as
        fast; `peak_mib`: memory above where it was; `roofline`: see `roofline`.
    """
    cases = tagging_cases(work, model, folder)
    product, operations = matrix_product(work.device)
    times = in_turns({**cases.calls, MATMUL: product}, work.repeats, tick=tick)
    matmul = times.pop(MATMUL)
    names = work.front_ends
    per_image = {case: [seconds / cases.count for seconds in values] for case, values in times.items()}
    bare = {name: per_image.pop(f"bare {name}") for name in names}
    shown = {"bare": [seconds for values in bare.values() for seconds in values], **per_image}
    calls = {"bare" if case == f"bare {names[0]}" else case: call for case, call in cases.calls.items()}
    return {
        "cases": {case: Spread.of(values).as_dict() for case, values in shown.items()},
        "rate_to_bare": {
            f"{way} {name}": ratio(bare[name], per_image[f"{way} {name}"]).as_dict() for name in names for way in WAYS
        },
        "one_pass_to_two_models": _ratios(per_image, names, "two models", "tensors"),
        "files_to_tensors": _ratios(per_image, names, "tensors", "files"),
        "peak_mib": {case: peak_of(calls[case]) for case in shown},
        "roofline": roofline(work, model, operations / min(matmul), shown),
    }


def _ratios(per_image: dict[str, list[float]], names: tuple[str, ...], of: str, to: str) -> dict[str, Any]:
    return {name: ratio(per_image[f"{of} {name}"], per_image[f"{to} {name}"]).as_dict() for name in names}


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
