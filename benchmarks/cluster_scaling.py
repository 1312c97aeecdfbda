"""Images a second with 1, 2, 4 and 8 workers once all of them work, for `benchmarks/cluster.py scaling`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cluster_fork
import torch
from cluster_fork import ADDRESS, serve
from cluster_kills import FOR_RAY, MIB
from cluster_runs import here, photos, warm

CLASSES = 80
BLOCK, SECONDS = 64, 0.64
"""Images of a block and the time that it takes the stand-in: 100 images/s, nearly without the processor."""
BLOCKS_EACH = 12


class Waiting:
    """A worker that waits as long as a GPU would work, and gives scores that are nothing but the images' numbers."""

    def work(self, first: int, items: Any, limits: Any) -> Any:
        from piaa.cluster.results import Result, scores_to_bytes

        time.sleep(SECONDS * len(items) / BLOCK)
        scores = torch.arange(first, first + len(items)).float()[:, None].expand(-1, CLASSES)
        return Result(first, len(items), {}, scores_to_bytes([scores]))


class Timed:
    """Makes a worker that notes when each block began and ended."""

    def __init__(self, make: Callable[[], Any], notes: Path) -> None:
        self.make, self.notes = make, notes

    def __call__(self) -> Any:
        worker, notes = self.make(), self.notes / str(os.getpid())
        work = worker.work

        def timed(first: int, items: Any, limits: Any) -> Any:
            begin = time.time()
            result = work(first, items, limits)
            with notes.open("a") as stream:
                stream.write(f"{begin} {time.time()} {len(items)}\n")
            return result

        worker.work = timed
        return worker


class Given:
    """A scorer that is given scores."""

    def __init__(self, classes: int) -> None:
        self.label_names, self.fingerprint = [f"class {number}" for number in range(classes)], "given"

    def preprocess(self, scores: Any, /) -> torch.Tensor:
        return scores  # type: ignore[no-any-return]

    def score(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def decide(self, scores: torch.Tensor) -> tuple[Any, Any]:
        return scores.double().numpy(), (scores > 0.99).numpy()


def scaling(chosen: argparse.Namespace) -> dict[str, Any]:
    """The pipeline with a stand-in that waits, then with the real embedded model, each result checked."""
    with tempfile.TemporaryDirectory(prefix="scaling") as name, _one_node(Path(name)):
        root = Path(name)
        photos(root / "photos", 64)
        waiting = [_waiting(root, workers) for workers in (1, 2, 4, 8)]
        chosen.keep({"waiting": waiting})
        wanted = here(root)["tag"]
        turns = [_embedded(root, workers, wanted) for _ in range(3) for workers in (1, 2)]
    return {
        "what": "images a second from the moment when each worker has done a block to the moment when one has done its "
        "last; 'waiting': a worker that sleeps 0.64 s a block of 64 images in the place of decoding and encoding, all "
        "else (listing, reading, Ray, taking in, writing parts) as it is; 'embedded': the real worker, one thread",
        "waiting": waiting, "embedded": turns,
    }  # fmt: skip


@contextmanager
def _one_node(root: Path) -> Iterator[None]:
    """A node that Ray takes to have 8 processors, whose workers are forks."""
    os.environ |= {ADDRESS: str(root / "forks"), **FOR_RAY}
    forks = serve(warm)  # before Ray is imported
    import ray
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 8, "object_store_memory": 200 * MIB, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**options, "setup_worker_path": cluster_fork.__file__})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.kill(forks, signal.SIGKILL)


def _waiting(root: Path, workers: int) -> dict[str, Any]:
    from piaa.cluster import stream
    from piaa.cluster.pipeline import Plan, run_blocks
    from piaa.cluster.results import scores_of
    from piaa.inputs.items import Item
    from piaa.jobs import tag_job

    files, notes = sorted((root / "photos").iterdir()), _notes(root)
    count = BLOCK * BLOCKS_EACH * workers
    items = [Item(f"{number}.jpg", files[number % len(files)]) for number in range(count)]
    plan = Plan(Timed(Waiting, notes), workers, "cpu")
    stream.FIRST_WINDOW = stream.MOST_BLOCKS
    images = stream.Stream(items, BLOCK, lambda blocks: run_blocks(blocks, plan, None), scores_of)
    begin = time.time()
    done = tag_job(Given(CLASSES), images, root / "w.jsonl", workers=0, shard_size=BLOCK)
    found = {"workers": workers, "images": count, "seconds_in_all": round(time.time() - begin, 1), **steady(notes)}
    assert done.tagged == count
    ideal = workers * BLOCK / SECONDS
    found |= {"share_of_the_ideal": round(found["images_per_second"] / ideal, 3)}
    print(found, flush=True)
    return found


def _embedded(root: Path, workers: int, wanted: list[bytes]) -> dict[str, Any]:
    from piaa.cluster import spread, stream
    from piaa.jobs import tag_job
    from piaa.recognizer import Recognizer

    notes, plan, out = _notes(root), spread.Plan, root / "e.jsonl"
    stream.FIRST_WINDOW = stream.MOST_BLOCKS
    loaded = Recognizer.load(root / "c.piaa", device="cpu", batch_size=4, workers=1)
    items = [root / "photos"] * 6  # the same pictures again and again
    spread.Plan = lambda make, *rest: plan(Timed(make, notes), *rest)  # type: ignore[assignment,misc]
    begin = time.time()
    with spread.spread_tag(f"ray:{workers}", loaded, loaded.scorer(), items, block=8) as job:
        done = tag_job(job.worker, job.images, out, batch_size=4, workers=0, shard_size=8, all_scores=True)
    spread.Plan = plan
    found = {"workers": workers, "seconds_in_all": round(time.time() - begin, 1), **steady(notes)}
    found |= {"images": done.tagged, "same_rows": wanted[0].splitlines()[1] in out.read_bytes()}
    print(found, flush=True)
    return found


def _notes(root: Path) -> Path:
    shutil.rmtree(root / "notes", ignore_errors=True)
    (root / "notes").mkdir()
    return root / "notes"


def steady(notes: Path) -> dict[str, Any]:
    """What the workers noted: images a second while all worked, and seconds until the last of them had begun."""
    texts = [path.read_text().splitlines() for path in notes.iterdir()]
    each = [[[float(cell) for cell in line.split()] for line in lines] for lines in texts]
    begin, end = max(blocks[0][1] for blocks in each), min(blocks[-1][1] for blocks in each)
    images = sum(count for blocks in each for _, ended, count in blocks if begin < ended <= end)
    starts = [blocks[0][0] for blocks in each]
    return {
        "workers_that_worked": len(each),
        "images_per_second": round(images / (end - begin), 1) if end > begin else 0.0,
        "steady_seconds": round(end - begin, 1),
        "seconds_from_first_to_last_start": round(max(starts) - min(starts), 1),
    }
