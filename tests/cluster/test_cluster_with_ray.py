"""Ray itself: the command line with --cluster, and workers killed. Left out where Ray is not installed.

In the default test workers are forks of a process that has imported the program, since each takes some seconds to start
otherwise; the slow one starts them as Ray does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from cluster_world import BATCH, LABELS, photos

pytest.importorskip("ray")

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{root!r} + "/tests", {root!r} + "/tests/cluster", {root!r} + "/benchmarks"]
options = dict(num_cpus={cpus}, include_dashboard=False, object_store_memory=80 * 2**20, temp_dir={temporary!r})
if {forked}:
    import cluster_fork, cluster_runs
    os.environ[cluster_fork.ADDRESS] = {temporary!r} + "/forks"
    forks = cluster_fork.serve(cluster_runs.warm)
    options["setup_worker_path"] = cluster_fork.__file__
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args=options)
ray.init(address=cluster.address, log_to_driver=False)
from piaa.cluster import spread, workers
from piaa.cli.main import app

def killed_once(work):
    def wrapped(self, first, items, limits):
        mark = Path({here!r}) / ("killed " + type(self).__name__)
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
cluster.shutdown()
if {forked}:
    os.kill(forks, signal.SIGKILL)
"""
# nobody else's cluster, no killing for the memory that others take, no yielding to the tests beside this one
FOR_RAY = {"RAY_memory_monitor_refresh_ms": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}


def session(leader: int) -> list[int]:
    """Processes of that session; zombies are none. Ray's own stay in the session of the program that started them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _parent, _group, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has ended
            continue
        if int(of) == leader and state != "Z":
            found.append(int(folder.name))
    return found


def run(text: str, timeout: float) -> tuple[int, str]:
    """Exit code and output of a program of which nothing is left, however it ends; fails where it left something."""
    environment = {**os.environ, **FOR_RAY, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    with tempfile.TemporaryFile("w+") as output:
        program = subprocess.Popen(
            [sys.executable, "-c", text], stdout=output, stderr=output, env=environment, start_new_session=True
        )
        try:
            code = program.wait(timeout)
            until = time.monotonic() + 30
            while session(program.pid) and time.monotonic() < until:
                time.sleep(0.1)
            assert not session(program.pid), "processes of Ray outlive the program"
        finally:
            for pid in session(program.pid):
                os.kill(pid, signal.SIGKILL)
            program.wait()
        output.seek(0)
        return code, output.read()


def compare(tmp_path: Path, images: int, killed: tuple[str, ...], workers: int, *, forked: bool) -> None:
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
    with tempfile.TemporaryDirectory(prefix="ray") as temporary:  # sockets lie in it: its name is short
        text = PROGRAM.format(
            root=str(ROOT), here=str(tmp_path), temporary=temporary, killed=killed, cpus=2 * workers, forked=forked,
            commands=[[str(word) for word in command] for command in commands],
        )  # fmt: skip
        code, output = run(text, timeout=600)
    assert code == 0, output[-5000:]
    assert sorted(path.name for path in tmp_path.glob("killed *")) == [f"killed {name}" for name in killed]
    for name in ("c.piaa", "t.jsonl", "t.jsonl.errors.jsonl", "c.piaa.errors.jsonl"):
        assert (there / name).read_bytes() == (here / name).read_bytes(), name


def test_a_fit_and_a_tag_with_killed_actors_have_the_bytes_of_one_machine(tmp_path: Path) -> None:
    compare(tmp_path, 16, ("FitWorker", "TagWorker"), workers=1, forked=True)


@pytest.mark.slow  # a minute and more
def test_it_holds_for_two_workers_that_ray_starts(tmp_path: Path) -> None:
    compare(tmp_path, 44, ("FitWorker", "TagWorker"), workers=2, forked=False)
