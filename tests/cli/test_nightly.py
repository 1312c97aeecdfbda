"""A nightly job as it is typed: shards, parts, updates, streams, events, exit codes, with the embedded model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.scenes.folders import write_scene_folder


def inside(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nightly")
    write_scene_folder(root / "in", 5, "unlabelled", 20)
    (root / "in" / "unlabelled-00002.jpg").write_text("no picture")
    (root / "labels.txt").write_text("anchor\numbrella\nsnowman\ncat\n")
    fit = ("fit", root / "in", "--labels", root / "labels.txt", "--batch-size", 4, "--save-every", 8)
    said = inside(*fit, "--out", root / "c.piaa", "--keep-evidence", root / "all.evidence", code=3)
    assert "1 images could not be used" in said
    return root


def test_fits_on_two_machines_are_one(world: Path, tmp_path: Path) -> None:
    fit = ("fit", world / "in", "--labels", world / "labels.txt", "--batch-size", 4, "--save-every", 8)
    inside(*fit, "--shard", "1/2", "--out", tmp_path / "1.evidence", code=3)
    inside(*fit, "--shard", "2/2", "--out", tmp_path / "2.evidence")
    inside("merge", tmp_path / "1.evidence", tmp_path / "2.evidence", "--out", tmp_path / "m.piaa")
    assert (tmp_path / "m.piaa").read_bytes() == (world / "c.piaa").read_bytes()
    inside("merge", tmp_path / "1.evidence", tmp_path / "2.evidence", "--out", tmp_path / "m.evidence")
    assert (tmp_path / "m.evidence").read_bytes() == (world / "all.evidence").read_bytes()
    assert "leaves evidence" in inside(*fit, "--shard", "1/2", "--out", tmp_path / "x.piaa", code=1)
    assert "not both" in inside("merge", tmp_path / "1.evidence", tmp_path, "--out", tmp_path / "x.piaa", code=1)
    os.link(world / "all.evidence", tmp_path / "old.evidence")
    said = inside(*fit, "--update", tmp_path / "old.evidence", "--out", tmp_path / "u.piaa")
    assert "learnt 4 classes from 0 images" in said
    assert (tmp_path / "u.piaa").read_bytes() == (world / "c.piaa").read_bytes()


def test_a_night_with_parts_embeddings_and_events(world: Path, tmp_path: Path) -> None:
    tag = ("tag", world / "in", "--classifier", world / "c.piaa", "--out", tmp_path / "tags", "--embeddings")
    watch = ("--log-json", "--metrics-file", tmp_path / "m.prom")
    said = CliRunner().invoke(app, [str(each) for each in (*tag, *watch)])
    assert said.exit_code == 3
    told = [json.loads(line) for line in said.stderr.splitlines()]
    assert [event["event"] for event in told] == ["started", "error", "shard", "finished"]
    assert 'job="tag"' in (tmp_path / "m.prom").read_text()
    rows = pq.read_table(tmp_path / "tags" / "part-000-00000.parquet").to_pylist()
    assert len(rows) == 20 and len(rows[0]["embedding"]) > 100 and rows[0]["width"] >= 160
    (world / "in" / "unlabelled-00001.jpg").touch()
    assert "tagged 1 images in" in inside(*tag, "--update")
    said = CliRunner().invoke(app, [str(each) for each in (*tag, "--log-json", "--max-errors", "0")])
    assert said.exit_code == 1 and json.loads(said.stderr.splitlines()[-1])["event"] == "failed"
    assert len(pq.read_table(tmp_path / "tags").to_pylist()) == 20  # the output of before is still there


def test_a_stream_and_command_lines_that_cannot_be_understood(world: Path, tmp_path: Path) -> None:
    tag = ("tag", world / "in", "--classifier", world / "c.piaa", "--out")
    done = CliRunner().invoke(app, [str(each) for each in (*tag, "-")])
    assert done.exit_code == 3
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["format"] == "piaa-tags" and len(lines) == 21
    assert [line["error"] for line in lines if "error" in line]
    assert "a stream" in inside(*tag, "-", "--resume", code=1)
    inside(*tag, tmp_path / "t.csv", "--shard", "3/2", code=2)
    inside(*tag, tmp_path / "t.csv", "--max-errors", "many", code=2)
    inside(*tag, tmp_path / "t.csv", "--csv-separator", ";;", code=2)
    inside(*tag, tmp_path / "tags", "--partition", "day", code=2)
    inside(*tag, tmp_path / "t.csv", "--shard", "1/2", code=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_the_work_and_is_in_the_exit_code(number: signal.Signals, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    tag = [sys.executable, "-m", "piaa", "tag", str(world / "in"), "--classifier", str(world / "c.piaa"), "--out", out]
    options = ["--batch-size", "1", "--save-every", "1", "--workers", "1"]
    process = subprocess.Popen([*tag, *options], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "t.jsonl.partial" / "shard-00000.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number, said
    assert f"stopped by {number.name} after" in said and "--resume goes on" in " ".join(said.split())
    assert not out.exists() and not list(tmp_path.glob("*.lock"))
    inside("tag", world / "in", "--classifier", world / "c.piaa", "--out", out, "--resume", code=3)
    assert len(out.read_text().splitlines()) == 20
