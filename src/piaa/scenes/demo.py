"""The demonstration: draw scenes, fit on the unlabelled ones, tag and evaluate the others, write a report."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from piaa.evaluation.evaluate import Evaluation, evaluate
from piaa.evaluation.truth import read_truth
from piaa.files import claim_folder, write_json, write_text
from piaa.jobs import fit_job, tag_job
from piaa.methods import AnyLearner
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import forget_scenes, write_scene_folder, write_scene_truth

Stage = Callable[[str], Callable[[int, int | None], None]]


def _no_stage(name: str) -> Callable[[int, int | None], None]:
    return lambda done, total: None


@dataclass
class DemoResult:
    """What a demo run measured and where it put things."""

    out: Path
    metrics: dict[str, Any]
    evaluation: Evaluation
    recognizer: Recognizer
    learner: AnyLearner
    seconds: dict[str, float] = field(default_factory=dict)


def run_demo(
    out: str | Path,
    seed: int,
    *,
    unlabelled: int = 2000,
    test: int = 2000,
    stage: Stage = _no_stage,
    **options: Any,
) -> DemoResult:
    """Run everything on scenes of a seed, from image files to `metrics.json`.

    Args:
        out: folder for images, classifier, tags, metrics.
        seed: of the scenes; no seed was used to tune anything but 0 to 3.
        unlabelled: images to learn from.
        test: images to evaluate on.
        stage: called with the name of each step, gives its progress callback.
        options: parameters of `Recognizer`.

    Raises:
        ModelError, InputError: for options that do not exist, or a folder that holds what the demo did not write,
            before anything is drawn.
    """
    out = Path(out)
    seconds: dict[str, float] = {}
    recognizer = Recognizer(object_names(), **options)
    learner = recognizer.learner()
    together = learner.setup.decoded_together
    claim_folder(out, "piaa demo")

    with _timed(seconds, "draw"):
        for split in ("unlabelled", "test"):
            forget_scenes(out / split, split)
        write_scene_folder(out / "unlabelled", seed, "unlabelled", unlabelled, stage("drawing unlabelled images"))
        drawn = write_scene_folder(out / "test", seed, "test", test, stage("drawing test images"))
        write_scene_truth(out / "truth.csv", "test", drawn)
        write_text(out / "labels.txt", "\n".join(object_names()) + "\n")
    with _timed(seconds, "fit"):
        summary = fit_job(
            learner,
            out / "unlabelled",
            out=out / "demo.piaa",
            batch_size=together,
            progress=stage("learning from unlabelled images"),
            finish=lambda: recognizer.adopt(learner).save(out / "demo.piaa"),
        )
    scorer = recognizer.scorer()
    with _timed(seconds, "tag"):
        report = stage("tagging test images")
        tagged = tag_job(scorer, out / "test", out=out / "tags.jsonl", batch_size=together, progress=report)
    with _timed(seconds, "evaluate"):
        truth = read_truth(out / "truth.csv", scorer.label_names)
        report = stage("evaluating every method")
        result = evaluate(scorer, out / "test", truth, batch_size=together, progress=report)
    numbers = result.summary()
    numbers = {
        **{f"{name}_map": value for name, value in numbers["map"].items()},
        "cf1": numbers["f1"]["learnt thresholds"]["cf1"],
        "of1": numbers["f1"]["learnt thresholds"]["of1"],
        "f1": numbers["f1"],
        "map_by_size": numbers["by_size"],
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "images": {"unlabelled": summary.images, "test": tagged.images},
        "seed": seed,
        "settings": recognizer.classifier_.settings,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    write_json(out / "metrics.json", numbers)
    return DemoResult(out, numbers, result, recognizer, learner, seconds)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    seconds[name] = time.monotonic() - begin
