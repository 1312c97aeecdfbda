"""Kills of workers, tasks and nodes on a local cluster, for `benchmarks/cluster.py kills`, and runs to compare with."""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from piaa.scenes import render, sample_scene

LABELS = ["anchor", "umbrella", "snowman", "cat", "sun", "tree", "house", "boat"]
MIB = 2**20


# --- kills -----------------------------------------------------------------------------------------------------------


class Killer:
    """Kills a worker process, or takes a whole node away and brings another, again and again.

    The next blow falls up to 3 s after something was finished since the last one, or after `PATIENCE` seconds; then
    it is no actor's own process, since a pool that is killed before it has begun, for ever, would show nothing.
    """

    def __init__(self, cluster: Any, options: dict[str, Any], marks: Path, most: int, seed: int = 0) -> None:
        self.marks, self.most = marks, most
        self.cluster, self.options, self.chosen = cluster, options, random.Random(seed)
        self.counts = {"actor": 0, "task": 0, "node": 0}
        self.running, self.over = threading.Event(), threading.Event()

    def run(self) -> None:
        last, since = -1, time.monotonic()
        while not self.over.wait(self.chosen.uniform(0.2, 3.0)):
            done = len(list(self.marks.iterdir()))
            moved = done != last
            if (
                not self.running.is_set()
                or self.total >= self.most
                or not (moved or time.monotonic() - since > PATIENCE)
            ):
                continue
            last, since = done, time.monotonic()
            try:
                if self.chosen.random() < 0.25 or not self._process(moved):
                    self._node()
            except Exception as error:  # a node that is slow to come: the next blow falls all the same
                print("killer:", type(error).__name__, error, flush=True)

    def _node(self) -> None:
        nodes = [node for node in self.cluster.list_all_nodes() if node is not self.cluster.head_node]
        if nodes:
            self.cluster.remove_node(self.chosen.choice(nodes), allow_graceful=False)
            self.counts["node"] += 1
            print("killed node", self.counts, flush=True)
            self.cluster.add_node(**self.options)

    def _process(self, actors: bool) -> bool:
        """Kill a worker process; actors only where something was finished since the last blow."""
        ours = [pid for node in self.cluster.list_all_nodes() for pid in raylets(node)]
        workers = [
            (pid, title) for pid, title in processes(ours) if kind_of(title) == "task" or (actors and kind_of(title))
        ]
        if not workers:
            return False
        pid, title = self.chosen.choice(workers)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.counts[kind_of(title)] += 1
        print("killed", kind_of(title), self.counts, flush=True)
        return True

    @property
    def total(self) -> int:
        return sum(self.counts.values())


PATIENCE = 12.0


def kind_of(title: str) -> str:
    """`actor` or `task`, of a process with that title; empty for idle ones and Ray's own agents, which are the node."""
    if not title.startswith("ray::") or "IDLE" in title or "Agent" in title:
        return ""
    return "actor" if "Worker" in title or "Actor" in title else "task"


class Marked:
    """Makes a worker that leaves a file for each block it has done, so that the killer sees that work goes on."""

    def __init__(self, make: Callable[[], Any], marks: Path) -> None:
        self.make, self.marks = make, marks

    def __call__(self) -> Any:
        worker, marks = self.make(), self.marks
        work = worker.work

        def marked(first: int, items: Any, limits: Any) -> Any:
            result = work(first, items, limits)
            (marks / f"{first}-{os.getpid()}-{time.time_ns()}").touch()
            return result

        worker.work = marked
        return worker


def raylets(node: Any) -> list[int]:
    return [each.process.pid for name, each_of in node.all_processes.items() if name == "raylet" for each in each_of]


def processes(parents: list[int]) -> list[tuple[int, str]]:
    """Children of these processes: id and title."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent in parents:
                    found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ").strip()))
            except (OSError, ValueError, IndexError):
                continue
    return found


def kills(chosen: argparse.Namespace) -> dict[str, Any]:
    """Fit and tag again and again on a cluster of three nodes while its parts are killed; every byte is compared."""
    import ray
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100 * MIB, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    nodes = {"num_cpus": 1, "object_store_memory": 100 * MIB}
    for _ in range(2):
        cluster.add_node(**nodes)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "marks").mkdir()
        marked_plans(root / "marks")
        killer = Killer(cluster, nodes, root / "marks", chosen.kills)
        photos(root / "photos", chosen.images)
        wanted, runs, begin = here(root), [], time.monotonic()
        faults: list[BaseException] = []

        def jobs() -> None:
            try:
                while killer.total < chosen.kills and time.monotonic() - begin < chosen.seconds:
                    for kind in ("fit", "tag"):
                        runs.append(killed_run(root, kind, wanted[kind], killer))
                        print(runs[-1], killer.counts, flush=True)
            except BaseException as error:
                faults.append(error)
            killer.over.set()

        thread = threading.Thread(target=jobs)  # nodes can only be added from the main thread
        thread.start()
        killer.run()
        thread.join()
        if faults:
            raise faults[0]
    ray.shutdown()
    cluster.shutdown()
    return {
        "kills": dict(killer.counts), "kills_in_all": killer.total, "nodes": 3, "images": chosen.images,
        "all_same_bytes": all(run["same_bytes"] for run in runs), "runs": runs,
    }  # fmt: skip


def killed_run(root: Path, kind: str, wanted: bytes, killer: Killer) -> dict[str, Any]:
    before, started = killer.total, time.monotonic()
    killer.running.set()
    same, restarts = there(root, kind, wanted, workers=2)
    killer.running.clear()
    return {
        "run": kind, "kills": killer.total - before, "same_bytes": same, "pipelines_begun_again": restarts,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def marked_plans(marks: Path) -> None:
    """From now on every worker leaves marks; and a run is one window, so that more of it is work than beginnings."""
    from piaa.cluster import spread, stream

    plan = spread.Plan
    spread.Plan = lambda make, *rest: plan(Marked(make, marks), *rest)  # type: ignore[assignment,misc]
    stream.FIRST_WINDOW = stream.MOST_BLOCKS


def photos(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:05d}.jpg"
        render(sample_scene(9, "unlabelled", number), (64, 64)).save(path, "JPEG")
        if number % 37 == 5:
            path.write_bytes(b"no image")


def recognizer() -> Any:
    from piaa.recognizer import Recognizer

    torch.set_num_threads(1)
    return Recognizer(LABELS, device="cpu", batch_size=4, workers=1)


BLOCK = 8


def here(root: Path) -> dict[str, bytes]:
    """The bytes of one machine."""
    from piaa.jobs import fit_job, tag_job
    from piaa.recognizer import Recognizer

    maker = recognizer()
    learner = maker.learner()
    fit_job(learner, root / "photos", out=root / "c.piaa", batch_size=4, checkpoint_every=BLOCK,
            finish=lambda: maker.adopt(learner).save(root / "c.piaa"))  # fmt: skip
    scorer = Recognizer.load(root / "c.piaa", device="cpu", batch_size=4).scorer()
    tag_job(scorer, root / "photos", root / "t.jsonl", batch_size=4, shard_size=BLOCK, all_scores=True)
    return {"fit": (root / "c.piaa").read_bytes(), "tag": (root / "t.jsonl").read_bytes()}


def there(root: Path, kind: str, wanted: bytes, workers: int) -> tuple[bool, int]:
    """Whether a cluster gives the same bytes, and how often a pipeline was begun again."""
    from piaa.cluster import spread_fit, spread_tag
    from piaa.jobs import fit_job, tag_job
    from piaa.recognizer import Recognizer

    out = root / ("d.piaa" if kind == "fit" else "d.jsonl")
    out.unlink(missing_ok=True)
    where = f"ray:{workers}"
    if kind == "fit":
        maker = recognizer()
        learner = maker.learner()
        with spread_fit(where, maker, learner, root / "photos", block=BLOCK) as job:
            fit_job(job.worker, job.images, out=out, batch_size=4, workers=0, checkpoint_every=job.checkpoint_every,
                    finish=lambda: maker.adopt(learner).save(out))  # fmt: skip
    else:
        loaded = Recognizer.load(root / "c.piaa", device="cpu", batch_size=4, workers=1)
        with spread_tag(where, loaded, loaded.scorer(), root / "photos", block=BLOCK) as job:
            tag_job(job.worker, job.images, out, batch_size=4, workers=0, shard_size=BLOCK, all_scores=True)
    assert job.stream
    return out.read_bytes() == wanted, job.stream.traffic.restarts
