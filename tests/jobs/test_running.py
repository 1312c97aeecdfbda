"""How a run ends early: by a signal, by too many errors, or since another run is at work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from job_fakes import FakeFitter, FakeScorer, make_folder

from piaa.errors import InputError, InterruptedRun
from piaa.jobs import ErrorLimit, Stop, fit_job, parse_max_errors, stops_on_signals, tag_job
from piaa.jobs.lock import SILENT, lock_path, locked


def stops_at(stop: Stop, done: int):
    return lambda seen, total: stop.ask(signal.SIGINT) if seen >= done and stop.signal is None else None


@pytest.mark.parametrize("at", [1, 5, 6, 7, 13, 20])
def test_a_stopped_tag_keeps_the_batch_in_hand_and_ends_in_the_same_bytes(tmp_path: Path, at: int) -> None:
    folder, out, stop = make_folder(tmp_path / "in", 23, bad=(0, 4, 9)), tmp_path / "t.jsonl", Stop()
    options = {"batch_size": 2, "shard_size": 7}
    first, second = FakeScorer(), FakeScorer()
    with pytest.raises(InterruptedRun, match=r"stopped by SIGINT after \d+ images, all of them kept; .*--resume"):
        tag_job(first, folder, out, progress=stops_at(stop, at), stop=stop, **options)
    assert not out.exists() and not lock_path(out).exists()
    tag_job(second, folder, out, resume=True)
    tag_job(FakeScorer(), folder, tmp_path / "w.jsonl", **options)
    assert out.read_bytes() == (tmp_path / "w.jsonl").read_bytes()
    errors = [(tmp_path / f"{name}.jsonl.errors.jsonl").read_bytes() for name in "tw"]
    assert errors[0] == errors[1]
    assert sum(first.batches) + sum(second.batches) == 20  # nothing lost, nothing done twice


@pytest.mark.parametrize("at", [1, 5, 6, 7, 13, 20])
def test_a_stopped_fit_keeps_the_batch_in_hand_and_ends_in_the_same_state(tmp_path: Path, at: int) -> None:
    folder, out, stop = make_folder(tmp_path / "in", 23, bad=(0, 4, 9)), tmp_path / "c.piaa", Stop()
    options = {"batch_size": 2, "checkpoint_every": 7}
    first, fitter, whole = FakeFitter(), FakeFitter(), FakeFitter()
    with pytest.raises(InterruptedRun, match="stopped by SIGINT"):
        fit_job(first, folder, out=out, progress=stops_at(stop, at), stop=stop, **options)
    learnt: list[int] = []
    fit_job(fitter, folder, out=out, resume=True, progress=lambda seen, total: learnt.append(seen))
    fit_job(whole, folder, out=tmp_path / "w.piaa", **options)
    assert fitter.digest() == whole.digest() and int(fitter.count) == 20
    assert learnt[0] > at
    errors = [(tmp_path / f"{name}.piaa.errors.jsonl").read_bytes() for name in "cw"]
    assert errors[0] == errors[1]


def test_signals_ask_and_the_second_ctrl_c_insists() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stops_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("text", "failed", "total", "passed"),
    [("2", 2, None, False), ("2", 3, None, True), ("0", 1, 9, True), ("10%", 2, None, False), ("10%", 2, 20, False),
     ("10%", 3, 20, True), ("0%", 1, 20, True), ("100%", 20, 20, False)],
)  # fmt: skip
def test_a_limit_of_errors(text: str, failed: int, total: int | None, passed: bool) -> None:
    limit = parse_max_errors(text)
    assert limit is not None and limit.passed(failed, total) is passed and str(limit) == text


@pytest.mark.parametrize("text", ["", "-1", "2.5", "x%", "101%", "nan%"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(InputError, match="--max-errors"):
        parse_max_errors(text)


@pytest.mark.parametrize("limit", [ErrorLimit(1), ErrorLimit(share=0.1)])
def test_too_many_errors_end_the_run_and_keep_the_work(tmp_path: Path, limit: ErrorLimit) -> None:
    folder, out, scorer = make_folder(tmp_path / "in", 12, bad=(3, 9)), tmp_path / "t.jsonl", FakeScorer()
    out.write_text("older")
    with pytest.raises(InputError, match=r"2 images failed, more than --max-errors"):
        tag_job(scorer, folder, out, max_errors=limit, batch_size=1, shard_size=1)
    assert out.read_text() == "older"
    resumed = FakeScorer()
    assert tag_job(resumed, folder, out, resume=True, max_errors=ErrorLimit(2)).failed == 2
    assert sum(scorer.batches) + sum(resumed.batches) == 10
    fitter = FakeFitter()
    with pytest.raises(InputError, match=r"2 images failed"):
        fit_job(fitter, folder, out=tmp_path / "c.piaa", max_errors=limit)


def test_a_fit_in_which_every_image_failed_replaces_nothing(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 3, bad=(0, 1, 2)), tmp_path / "c.piaa"
    out.write_text("older")
    with pytest.raises(InputError, match="every image failed"):
        fit_job(FakeFitter(), folder, out=out, finish=lambda: out.write_text("new"))
    assert out.read_text() == "older" and not (tmp_path / "c.piaa.partial").exists()


HOLD = """
import sys, time
from pathlib import Path
from piaa.jobs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_run_is_refused_at_once_and_a_dead_ones_lock_is_taken_over(tmp_path: Path) -> None:
    folder, out, scorer = make_folder(tmp_path / "in", 3), tmp_path / "t.jsonl", FakeScorer()
    process = holder(out)
    with pytest.raises(InputError, match=rf"another run .*process {process.pid} on .*, begun 2.*delete this file"):
        tag_job(scorer, folder, out)
    with pytest.raises(InputError, match="another run"):
        fit_job(FakeFitter(), folder, out=out)
    assert scorer.batches == []
    process.kill()
    process.wait()
    assert lock_path(out).exists()
    assert f"process {process.pid}" in tag_job(scorer, folder, out).notices[0]
    assert not lock_path(out).exists()


def test_a_lock_of_another_machine_counts_until_it_is_silent_for_long(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    owner = {"process": 1, "host": socket.gethostname() + "-other", "begun": "then"}
    lock_path(out).write_text(json.dumps(owner))
    with pytest.raises(InputError, match=r"process 1 on .*-other"), locked(out):
        pass
    old = time.time() - SILENT - 1
    os.utime(lock_path(out), (old, old))
    with locked(out) as lock:
        assert "taken over" in lock.notices[0]


def test_a_lock_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"), locked(tmp_path / "no" / "t.jsonl"):
        pass
