"""Kills of actors, tasks and nodes in the middle of their work, for `benchmarks/cluster.py kills`."""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cluster_fork
from cluster_fork import ADDRESS, serve
from cluster_runs import MARKS, WAIT, here, mark_all, photos, there, warm

MIB = 2**20
NODES = 3
BLOWS = {
    "fit": ["read", "actor", "actor", "node of an actor", "merge", "node of a merge", "node while writing"],
    "tag": ["read", "node of a read", "actor", "node while writing", "actor", "node of an actor", "node while writing"],
}
"""What is killed in a run: a process of that stage, or a node while that stage is at work on it."""
FOR_RAY = {"RAY_memory_monitor_refresh_ms": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""On a machine that others use: nothing is killed but by us, and Ray's workers, which yield to all others, do not."""
PATIENCE = 45.0
"""Seconds after which a blow that found nothing of its kind falls on whatever is at work."""


class Killer:
    """Strikes one blow after another, each after at least one more step was done since the last.

    Attributes:
        struck: kinds of blows that fell, in the order of falling.
        wanted: kinds that have yet to fall.
    """

    def __init__(self, cluster: Any, options: dict[str, Any], marks: Path, seed: int = 0) -> None:
        self.cluster, self.options, self.marks, self.chosen = cluster, options, marks, random.Random(seed)
        self.wanted: list[str] = []
        self.struck: list[str] = []
        self.last, self.since = -1, time.monotonic()

    def aim(self, wanted: list[str]) -> None:
        """Begin anew, with those blows."""
        for mark in self.marks.iterdir():
            mark.unlink(missing_ok=True)
        self.wanted, self.struck, self.last, self.since = list(wanted), [], 0, time.monotonic()

    def step(self) -> None:
        """Strike, if it is time and something of the kind is at work."""
        done = len(list(self.marks.glob("done.*")))
        if not self.wanted or done <= self.last:
            return
        kind = self.wanted[0]
        if time.monotonic() - self.since > PATIENCE:
            kind = next((stage for stage in ("actor", "read", "merge") if self._at(stage)), kind)
        if self._node(kind) if kind.startswith("node") else self._process(kind):
            self.wanted.pop(0)
            self.struck.append(kind)
            self.last, self.since = done, time.monotonic()
            print("killed:", kind, flush=True)
            if kind.startswith("node"):
                self.cluster.add_node(**self.options)

    def _at(self, stage: str) -> list[tuple[int, str]]:
        """Processes in the middle of that stage, each with its node."""
        found = [mark.name.split(".")[2:4] for mark in self.marks.glob(f"at.{stage}.*")]
        return [(int(pid), node) for pid, node in found if alive(int(pid))]

    def _process(self, stage: str) -> bool:
        there = self._at(stage)
        if not there:
            return False
        pid, node = self.chosen.choice(there)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        (self.marks / f"at.{stage}.{pid}.{node}").unlink(missing_ok=True)
        return True

    def _node(self, kind: str) -> bool:
        nodes = [node for node in self.cluster.list_all_nodes() if node is not self.cluster.head_node]
        if kind == "node while writing":
            nodes = nodes if self._at("write") else []
        else:
            busy = {node for _pid, node in self._at(kind.rpartition(" ")[2])}
            nodes = [node for node in nodes if node.node_id in busy]
        if not nodes:
            return False
        self.cluster.remove_node(self.chosen.choice(nodes), allow_graceful=False)
        return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kills(chosen: argparse.Namespace) -> dict[str, Any]:
    """Fit and tag again and again on a head and three nodes while parts of them are killed; every byte is compared.

    A run that does not end in time ends the command with what is known by then.
    """
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="kills") as name:
        root, begin = Path(name), time.monotonic()
        (root / "marks").mkdir()
        os.environ |= {MARKS: str(root / "marks"), ADDRESS: str(root / "forks"), **FOR_RAY}
        forks = serve(warm)
        photos(root / "photos", chosen.images)
        wanted = here(root)
        cluster, options = _cluster()
        mark_all()
        killer = Killer(cluster, options, root / "marks")
        while time.monotonic() - begin < chosen.seconds:
            left = {kind: chosen.kills - struck(runs, kind) for kind in chosen.jobs}
            if max(left.values()) <= 0:
                break
            kind = max(left, key=lambda each: left[each])
            runs.append(_killed_run(root, kind, wanted[kind], killer, begin + chosen.seconds))
            print(runs[-1], flush=True)
            chosen.keep(summary(runs, chosen.images))
            if not runs[-1]["finished"]:
                break
        _end(cluster)
        os.kill(forks, signal.SIGKILL)
    return summary(runs, chosen.images)


def struck(runs: list[dict[str, Any]], kind: str) -> int:
    """Blows that fell in all runs of a kind."""
    return sum(len(run["killed"]) for run in runs if run["run"] == kind)


def summary(runs: list[dict[str, Any]], images: int) -> dict[str, Any]:
    """What the page says."""
    totals = {kind: Counter(what for run in runs if run["run"] == kind for what in run["killed"]) for kind in BLOWS}
    return {
        "kills": {kind: sum(total.values()) for kind, total in totals.items()},
        "killed": {kind: dict(total) for kind, total in totals.items()},
        "nodes": NODES, "images": images, "a_step_was_lengthened_by_seconds": WAIT,
        "all_same_bytes": all(run["same_bytes"] for run in runs),
        "pipelines_begun_again": sum(run["pipelines_begun_again"] for run in runs), "runs": runs,
    }  # fmt: skip


def _cluster() -> tuple[Any, dict[str, Any]]:
    import ray
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100 * MIB, "setup_worker_path": cluster_fork.__file__}
    cluster = Cluster(head_node_args={**options, "num_cpus": 0, "include_dashboard": False}, initialize_head=True)
    for _ in range(NODES):
        cluster.add_node(**options)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    return cluster, options


def _end(cluster: Any) -> None:
    import ray

    ray.shutdown()
    cluster.shutdown()


def _killed_run(root: Path, kind: str, wanted: list[bytes], killer: Killer, until: float) -> dict[str, Any]:
    began, found = time.monotonic(), [(None, 0)]
    killer.aim(BLOWS[kind])

    def job() -> None:
        found.append(there(root, kind, NODES))  # type: ignore[arg-type]

    thread = threading.Thread(target=job, daemon=True)  # nodes can only be added from the main thread
    thread.start()
    while thread.is_alive() and time.monotonic() < until:
        try:
            killer.step()
        except Exception as error:  # a node that is slow to come: the next blow falls all the same
            print("killer:", type(error).__name__, error, flush=True)
        time.sleep(0.02)
    outcome, restarts = found[-1]
    return {
        "run": kind, "killed": killer.struck, "finished": not thread.is_alive(), "same_bytes": outcome == wanted,
        "pipelines_begun_again": restarts, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
