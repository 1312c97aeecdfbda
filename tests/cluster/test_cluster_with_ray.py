"""Ray itself: the command line with --cluster, and workers killed. Left out where Ray is not installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster_world import BATCH, LABELS, photos

pytest.importorskip("ray")

PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {tests!r} + "/cluster"]
import ray
ray.init(address="local", num_cpus={cpus}, include_dashboard=False, log_to_driver=False,
         object_store_memory=80 * 2**20, _temp_dir={temporary!r})
from piaa.cluster import spread, workers
from piaa.cli.main import app

def killed_once(work):
    def wrapped(self, first, items, limits):
        mark = Path({root!r}) / ("killed " + type(self).__name__)
        if first == 8 and type(self).__name__ in {killed!r} and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return work(self, first, items, limits)
    return wrapped

spread.CHECKPOINT_EVERY = spread.SHARD_SIZE = 4
for kind in (workers.FitWorker, workers.TagWorker):
    kind.work = killed_once(kind.work)
ray.cloudpickle.register_pickle_by_value(workers)
for arguments in {commands!r}:
    try:
        app([str(argument) for argument in arguments])
    except SystemExit as end:
        assert end.code in (0, 3), end.code  # 3: finished, and some images could not be read
ray.shutdown()
"""
# nobody else's cluster, no killing for the memory that others take, no yielding to the tests beside this one
FOR_RAY = {"RAY_memory_monitor_refresh_ms": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
MARK = "PIAA_TEST_OF_RAY"


def marked(value: str) -> list[int]:
    """Processes that descend from ours: they have its mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={value}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has ended, or is not ours to look at
            continue
    return found


@contextmanager
def nothing_left(value: str) -> Iterator[None]:
    """Ends every process with that mark, and fails where there was one some seconds after the end."""
    try:
        yield
        until = time.monotonic() + 20
        while marked(value) and time.monotonic() < until:
            time.sleep(0.1)
        assert not marked(value), "processes of Ray outlive the program"
    finally:
        for pid in marked(value):
            os.kill(pid, signal.SIGKILL)


def compare(tmp_path: Path, images: int, killed: tuple[str, ...], workers: int, timeout: float) -> None:
    folder = photos(tmp_path / "photos", images, (3, 13))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    here, there = tmp_path / "here", tmp_path / "there"
    fit = ["fit", folder, "--labels", tmp_path / "labels.txt", "--batch-size", BATCH, "--out"]
    tag = ["tag", folder, "--batch-size", BATCH, "--all-scores", "--classifier", here / "c.piaa", "--out"]
    commands = [[*fit, here / "c.piaa"], [*tag, here / "t.jsonl"]]
    for command, name in ((fit, "c.piaa"), (tag, "t.jsonl")):
        commands.append([*command, there / name, "--cluster", f"ray:{workers}"])
    here.mkdir()
    there.mkdir()
    environment = {**os.environ, **FOR_RAY, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", MARK: str(tmp_path)}
    environment.pop("RAY_ADDRESS", None)
    # sockets lie in the temporary folder, so its name is short
    with tempfile.TemporaryDirectory(prefix="ray") as temporary, nothing_left(str(tmp_path)):
        text = PROGRAM.format(
            tests=str(Path(__file__).resolve().parents[1]), root=str(tmp_path), temporary=temporary, killed=killed,
            cpus=2 * workers, commands=[[str(word) for word in command] for command in commands],
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, env=environment, check=False, timeout=timeout
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert sorted(path.name for path in tmp_path.glob("killed *")) == [f"killed {name}" for name in killed]
    for name in ("c.piaa", "t.jsonl", "t.jsonl.errors.jsonl", "c.piaa.errors.jsonl"):
        assert (there / name).read_bytes() == (here / name).read_bytes(), name


def test_a_fit_with_a_killed_actor_and_a_tag_have_the_bytes_of_one_machine(tmp_path: Path) -> None:
    compare(tmp_path, 16, ("FitWorker",), workers=1, timeout=400)


@pytest.mark.slow  # a minute and more
def test_actors_killed_in_a_fit_and_in_a_tag_of_two_workers_change_no_byte(tmp_path: Path) -> None:
    compare(tmp_path, 44, ("FitWorker", "TagWorker"), workers=2, timeout=600)
