"""A small input, what one machine and what a cluster make of it, and steps that show where they are.

The steps wait a moment in the middle and leave a file while they are at work, so that a killer finds a process in the
middle of its work. Workers import this module: it stays small.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MARKS = "PIAA_CLUSTER_MARKS"
WAIT = 0.4
"""Seconds that every marked step takes longer."""
LABELS = ["anchor", "umbrella", "snowman", "cat", "sun", "tree", "house", "boat"]
BATCH = BLOCK = 4


@contextmanager
def at(stage: str) -> Iterator[None]:
    """Inside, a file says that this process is in the middle of that stage, and on which node; then that it was."""
    import ray

    folder = Path(os.environ[MARKS])
    mark = folder / f"at.{stage}.{os.getpid()}.{ray.get_runtime_context().get_node_id()}"
    mark.touch()
    time.sleep(WAIT)
    yield
    (folder / f"done.{stage}.{os.getpid()}.{time.time_ns()}").touch()
    mark.unlink(missing_ok=True)


class Marked:
    """Makes a worker that shows when it deals with a block."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __call__(self) -> Any:
        worker = self.make()
        work = worker.work

        def marked(first: int, items: Any, limits: Any) -> Any:
            with at("actor"):
                return work(first, items, limits)

        worker.work = marked
        return worker


def reading(table: Any) -> Any:
    from piaa.cluster import pipeline

    with at("read"):
        return pipeline._read(table)


def merging(table: Any) -> Any:
    from piaa.cluster import pipeline

    with at("merge"):
        return pipeline._merge(table)


def mark_all() -> None:
    """From now on what this process has done shows itself; and a run is one window, with no pool beginning anew."""
    from piaa.cluster import pipeline, spread, stream
    from piaa.jobs import partial

    plan, whole_file = spread.Plan, partial.whole_file

    @contextmanager
    def writing(path: Any, **options: Any) -> Iterator[Path]:
        with whole_file(path, **options) as aside:
            yield aside
            with at("write"):  # written aside, and not yet under its name
                pass

    spread.Plan = lambda make, *rest: plan(Marked(make), *rest)  # type: ignore[assignment,misc]
    partial.whole_file = writing
    pipeline._read, pipeline._merge = reading, merging
    stream.FIRST_WINDOW = stream.MOST_BLOCKS


def photos(folder: Path, count: int) -> None:
    """Drawn scenes; some are no images."""
    from piaa.scenes import render, sample_scene

    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:05d}.jpg"
        render(sample_scene(9, "unlabelled", number), (64, 64)).save(path, "JPEG")
        if number % 37 == 5:
            path.write_bytes(b"no image")


def recognizer() -> Any:
    """Not fitted; one thread."""
    import torch

    from piaa.recognizer import Recognizer

    torch.set_num_threads(1)
    return Recognizer(LABELS, device="cpu", batch_size=BATCH, workers=1)


def warm() -> None:
    """Import what workers import, and load the model once."""
    import piaa.cluster.spread  # noqa: F401

    recognizer().learner()


def outcome(out: Path) -> list[bytes]:
    """The output and its file of errors."""
    return [path.read_bytes() for path in (out, out.with_name(out.name + ".errors.jsonl"))]


def here(root: Path) -> dict[str, list[bytes]]:
    """The bytes of one machine."""
    from piaa.jobs import fit_job, tag_job
    from piaa.recognizer import Recognizer

    maker, fit, tag = recognizer(), root / "c.piaa", root / "t.jsonl"
    learner = maker.learner()
    fit_job(learner, root / "photos", out=fit, batch_size=BATCH, checkpoint_every=BLOCK,
            finish=lambda: maker.adopt(learner).save(fit))  # fmt: skip
    scorer = Recognizer.load(fit, device="cpu", batch_size=BATCH).scorer()
    tag_job(scorer, root / "photos", tag, batch_size=BATCH, shard_size=BLOCK, all_scores=True)
    return {"fit": outcome(fit), "tag": outcome(tag)}


def there(root: Path, kind: str, workers: int) -> tuple[list[bytes], int]:
    """What a cluster makes of it, and how often a pipeline was begun again."""
    from piaa.cluster import spread_fit, spread_tag
    from piaa.cluster.pipeline import FAN_IN
    from piaa.jobs import fit_job, tag_job
    from piaa.recognizer import Recognizer

    where, folder = f"ray:{workers}", root / "photos"
    out = root / ("d.piaa" if kind == "fit" else "d.jsonl")
    out.unlink(missing_ok=True)
    if kind == "fit":
        maker = recognizer()
        learner = maker.learner()
        with spread_fit(where, maker, learner, folder, block=BLOCK) as job:
            fit_job(job.worker, job.images, out=out, batch_size=BATCH, workers=0, checkpoint_every=FAN_IN * BLOCK,
                    finish=lambda: maker.adopt(learner).save(out))  # fmt: skip
    else:
        loaded = Recognizer.load(root / "c.piaa", device="cpu", batch_size=BATCH, workers=1)
        with spread_tag(where, loaded, loaded.scorer(), folder, block=BLOCK) as job:
            tag_job(job.worker, job.images, out, batch_size=BATCH, workers=0, shard_size=BLOCK, all_scores=True)
    assert job.stream
    return outcome(out), job.stream.traffic.restarts
