"""A folder with broken files in it, and what one machine makes of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from piaa.engine import Learner
from piaa.jobs import fit_job, tag_job
from piaa.method.recipes import get_recipe
from piaa.recognizer import Recognizer
from piaa.scenes import render, sample_scene

LABELS = ["anchor", "umbrella", "snowman", "cat", "sun"]
BATCH = 4


def photos(folder: Path, count: int, broken: tuple[int, ...] = ()) -> Path:
    """Scenes; those named are no images, or empty."""
    folder.mkdir(parents=True)
    for number in range(count):
        path = folder / f"{number:04d}.jpg"
        render(sample_scene(4, "unlabelled", number), (48, 48)).save(path, "JPEG")
        if number in broken:
            path.write_bytes(b"" if number % 2 else b"no image")
    return folder


def recognizer() -> Recognizer:
    recipe = replace(get_recipe("default"), bank_size=8)  # full after a few images
    return Recognizer(LABELS, recipe=recipe, device="cpu", batch_size=BATCH, workers=1)


def fit_here(folder: Path, out: Path, block: int) -> bytes:
    """One machine."""
    maker = recognizer()
    learner = maker.learner()
    finish = partial(_save, maker, learner, out)
    fit_job(learner, folder, out=out, batch_size=BATCH, workers=1, checkpoint_every=block, finish=finish)
    return out.read_bytes()


def tag_here(folder: Path, classifier: Path, out: Path, block: int) -> bytes:
    """One machine."""
    scorer = Recognizer.load(classifier, device="cpu", batch_size=BATCH).scorer()
    tag_job(scorer, folder, out, batch_size=BATCH, workers=1, all_scores=True, shard_size=block)
    return out.read_bytes()


def _save(maker: Recognizer, learner: Learner, out: Path) -> None:
    maker.adopt(learner).save(out)
