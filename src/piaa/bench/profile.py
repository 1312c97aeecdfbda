"""`piaa bench --profile`: the share of every step between a file and its line in the output."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.bench.machine import describe, pin_threads
from piaa.bench.output import Table
from piaa.bench.work import Work, photographs, random_scorer
from piaa.engine import Scorer, Setup
from piaa.inputs.items import iterate
from piaa.jobs.tables import write_table
from piaa.method.aggregators import get_aggregator
from piaa.vision.encoder import Encoder, trace_of
from piaa.vision.runtimes.timing import Spread

STEPS = ("decode", "resize", "blocks", "cls", "front-end", "classifier", "aggregation", "writing")


class Clock:
    """Adds up seconds by step."""

    def __init__(self, device: str) -> None:
        self.seconds = dict.fromkeys(STEPS, 0.0)
        self._device = device

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """What runs inside counts for that step."""
        start = time.perf_counter()
        yield
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()
        self.seconds[name] += time.perf_counter() - start


def profile(work: Work) -> dict[str, Any]:
    """Tag files step by step, one after the other; in a real run decoding overlaps the encoder.

    Returns:
        `settings`, `machine`, and `front_ends`: name to `seconds_per_image` and `shares` by step, the latter with the
        sum 1.

    Raises:
        ModelError, InputError: the model or the images cannot be had.
    """
    pin_threads(work.threads)
    machine = describe(work.device)
    model = work.load()
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="piaa-bench-") as name:
        photos = photographs(work.images, Path(name) / "photos", work.count)
        for front_end in work.front_ends:
            scorer = random_scorer(Setup(model, front_end, model.preprocess(), work.batch_size), work.classes)
            encoder = Encoder(model.tower, front_end)
            runs = [_one_run(work, scorer, encoder, photos, Path(name)) for _ in range(work.repeats + 1)][1:]
            spreads = {step: Spread.of([run[step] / work.count for run in runs]) for step in STEPS}
            total = sum(value.median for value in spreads.values())
            rows[front_end] = {
                "seconds_per_image": {step: value.as_dict() for step, value in spreads.items()},
                "shares": {step: value.median / total for step, value in spreads.items()},
            }
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(work).items()}
    return {"settings": {**settings, "pretrained": model.pretrained}, "machine": machine, "front_ends": rows}


def _one_run(work: Work, scorer: Scorer, encoder: Encoder, photos: Path, folder: Path) -> dict[str, float]:
    clock = Clock(work.device)
    items = list(iterate(photos))
    rows = []
    for start in range(0, len(items), work.batch_size):
        group = items[start : start + work.batch_size]
        with clock.step("decode"):
            pictures = [item.load(scorer.preprocess.ample) for item in group]
        with clock.step("resize"):
            images = torch.stack([scorer.preprocess(picture) for picture in pictures])
        scores = _score(clock, scorer, encoder, images)
        with clock.step("aggregation"):
            calibrated, decided = scorer.decide(scores)
        with clock.step("writing"):
            for item, values, mask in zip(group, calibrated, decided, strict=True):
                labels = [{"label": scorer.label_names[c], "score": float(values[c])} for c in mask.nonzero()[0]]
                rows.append({"path": item.id, "labels": labels})
    with clock.step("writing"):
        write_table(folder / "tags.jsonl", ".jsonl", [rows], [])
    return clock.seconds


@torch.no_grad()
def _score(clock: Clock, scorer: Scorer, encoder: Encoder, images: Tensor) -> Tensor:
    """`Scorer.score`, step by step."""
    tower, front_end = encoder.tower, encoder.front_end
    with clock.step("blocks"):
        trace = trace_of(tower, images, front_end)
    with clock.step("front-end"):
        patches = front_end(tower, trace).float().cpu()
    with clock.step("cls"):
        cls = tower.last_block_cls(trace.before(tower.depth), trace.grid, trace.heads.get(tower.depth)).float().cpu()
    with clock.step("classifier"):
        probabilities = scorer.learnt.probabilities(patches)
    with clock.step("aggregation"):
        pooled = get_aggregator(scorer.learnt.aggregator)(probabilities)
        return scorer.learnt.fused(pooled, cls)


def profile_tables(result: dict[str, Any]) -> dict[str, Table]:
    """One table: a row a step, a column a front-end."""
    front_ends = result["front_ends"]
    rows = [[step, *(f"{values['shares'][step]:.1%}" for values in front_ends.values())] for step in STEPS]
    totals = [sum(step["median"] for step in values["seconds_per_image"].values()) for values in front_ends.values()]
    rows.append(["ms an image", *(f"{1000 * total:.1f}" for total in totals)])
    return {"Share of each step, one after the other": (["step", *front_ends], rows)}
