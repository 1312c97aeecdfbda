"""What a run tells: events, a line each, and numbers for Prometheus."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from job_fakes import FakeFitter, FakeScorer, make_folder

from piaa.errors import InputError
from piaa.jobs import Stop, fit_job, tag_job, tag_stream
from piaa.jobs.events import MetricsFile, all_of, json_lines


def events(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_tag_tells_its_events(tmp_path: Path) -> None:
    folder, stream = make_folder(tmp_path / "in", 11, bad=(4,)), io.StringIO()
    tag_job(FakeScorer(), folder, tmp_path / "t.csv", batch_size=2, shard_size=4, listen=json_lines(stream))
    told = events(stream)
    assert [event["event"] for event in told] == ["started", "shard", "error", "shard", "shard", "finished"]
    assert told[0]["total"] == 11 and told[0]["job"] == "tag" and told[0]["out"] == str(tmp_path / "t.csv")
    assert Path(told[2]["path"]).name == "0004 ü.png" and told[2]["stage"] == "read"
    assert (told[-1]["images"], told[-1]["failed"]) == (11, 1) and told[-1]["seconds"] > 0
    assert all(event["time"].endswith("+00:00") for event in told)


def test_a_fit_tells_its_events_up_to_a_stop(tmp_path: Path) -> None:
    folder, stream, stop = make_folder(tmp_path / "in", 11), io.StringIO(), Stop()
    watch = {"listen": json_lines(stream), "stop": stop, "progress": lambda seen, _: stop.ask() if seen > 5 else None}
    with pytest.raises(Exception, match="stopped by SIGTERM"):
        fit_job(FakeFitter(), folder, out=tmp_path / "c.piaa", batch_size=2, checkpoint_every=4, **watch)
    assert [event["event"] for event in events(stream)] == ["started", "shard", "stopped"]
    assert events(stream)[-1]["signal"] == "SIGTERM"


def test_numbers_for_prometheus(tmp_path: Path) -> None:
    clock = [0.0]
    file = MetricsFile(tmp_path / "m.prom", clock=lambda: clock[0])
    base = {"job": "tag", "out": 'a "b"\n'}
    file({"event": "started", "total": 10, **base})
    file({"event": "shard", "images": 5, "failed": 1, "total": 10, "seconds": 2.5, **base})
    label = '{job="tag",out="a \\"b\\"\\n"}'
    assert f"piaa_images{label} 0\n" in (tmp_path / "m.prom").read_text()  # not again before its time
    clock[0] = 11.0
    file({"event": "shard", "images": 6, "failed": 1, "total": 10, "seconds": 3, **base})
    text = (tmp_path / "m.prom").read_text()
    assert f"piaa_images{label} 6\n" in text and f"piaa_images_failed{label} 1\n" in text
    assert f"piaa_run_state{label} 0\n" in text and "finished_timestamp" not in text
    file({"event": "finished", "images": 10, "failed": 1, "total": 10, "seconds": 4, **base})
    text = (tmp_path / "m.prom").read_text()
    assert f"piaa_run_state{label} 1\n" in text and f"piaa_run_finished_timestamp_seconds{label} " in text
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names == {line.split("{")[0] for line in text.splitlines() if not line.startswith("#")}
    with pytest.raises(InputError, match=r"end in \.prom"):
        MetricsFile(tmp_path / "m.txt")


def test_a_stream_has_a_line_for_every_image_at_once(tmp_path: Path) -> None:
    folder, stream, heard = make_folder(tmp_path / "in", 9, bad=(4,)), io.StringIO(), io.StringIO()
    summary = tag_stream(FakeScorer(), folder, stream, batch_size=2, all_scores=True, listen=all_of(json_lines(heard)))
    about, *rows = events(stream)
    assert about["format"] == "piaa-tags" and about["classes"] == FakeScorer().label_names
    assert (summary.images, summary.tagged, summary.failed) == (9, 8, 1)
    assert [Path(row["path"]).name for row in rows if "error" in row] == ["0004 ü.png"]
    tag_job(FakeScorer(), folder, tmp_path / "t.jsonl", batch_size=2, all_scores=True)
    written = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()[1:]]
    assert [row for row in rows if "error" not in row] == written
    stop = Stop()
    stop.ask()
    with pytest.raises(Exception, match="nothing is kept to go on from"):
        tag_stream(FakeScorer(), folder, io.StringIO(), batch_size=2, stop=stop)
    bad = make_folder(tmp_path / "bad", 2, bad=(0, 1))
    with pytest.raises(InputError, match="every image failed"):
        tag_stream(FakeScorer(), bad, io.StringIO())
