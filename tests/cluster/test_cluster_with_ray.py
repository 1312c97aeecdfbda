"""Ray itself: the command line with --cluster, and a worker killed in each. Left out where Ray is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_world import LABELS, photos

pytest.importorskip("ray")
pytestmark = pytest.mark.slow  # a minute and more; `pytest -m slow`

PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {tests!r} + "/cluster"]
import ray
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
from piaa.cluster import spread, workers
from piaa.cli.main import app

def killed_once(work):
    def wrapped(self, first, items, limits):
        mark = Path({root!r}) / ("killed " + type(self).__name__)
        if first == 20 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return work(self, first, items, limits)
    return wrapped

spread.CHECKPOINT_EVERY = spread.SHARD_SIZE = 10
for kind in (workers.FitWorker, workers.TagWorker):
    kind.work = killed_once(kind.work)
ray.cloudpickle.register_pickle_by_value(workers)
for arguments in {commands!r}:
    try:
        app([str(argument) for argument in arguments])
    except SystemExit as end:
        assert end.code in (0, 3), end.code  # 3: finished, and some images could not be read
"""


def test_the_command_line_on_a_cluster_has_the_bytes_of_one_machine(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 44, (3, 21))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    here, there = tmp_path / "here", tmp_path / "there"
    fit = ["fit", folder, "--labels", tmp_path / "labels.txt", "--batch-size", 4, "--out"]
    tag = ["tag", folder, "--batch-size", 4, "--all-scores", "--classifier", here / "c.piaa", "--out"]
    commands = [[*fit, here / "c.piaa"], [*tag, here / "t.jsonl"]]
    commands += [
        [*command, there / name, "--cluster", "ray:2"] for command, name in ((fit, "c.piaa"), (tag, "t.jsonl"))
    ]
    here.mkdir()
    there.mkdir()
    tests = str(Path(__file__).resolve().parents[1])
    text = PROGRAM.format(
        tests=tests, root=str(tmp_path), commands=[[str(word) for word in command] for command in commands]
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert sorted(path.name for path in tmp_path.glob("killed *")) == ["killed FitWorker", "killed TagWorker"]
    for name in ("c.piaa", "t.jsonl", "t.jsonl.errors.jsonl", "c.piaa.errors.jsonl"):
        assert (there / name).read_bytes() == (here / name).read_bytes(), name
