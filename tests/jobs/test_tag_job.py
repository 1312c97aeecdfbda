"""Tagging: what is written, what is reported, and that a killed run costs nothing but time."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from job_fakes import FakeScorer, kill_when, make_folder
from PIL import Image
from torch import Tensor

from piaa.errors import ImageError, InputError
from piaa.jobs import check_output, tag_job


def lines(path: Path) -> list[dict]:
    """The records of a file of JSON lines, without the first one, which is about the file."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.name.lower().endswith(".errors.jsonl"):
        return records
    assert (records[0]["format"], records[0]["format_version"]) == ("piaa-tags", 1)
    return records[1:]


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_rows_summary_errors_and_progress(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 11, bad=(4, 5))
    calls: list[tuple[int, int | None]] = []
    summary = tag_job(
        FakeScorer(), folder, tmp_path / "t.jsonl", batch_size=4, shard_size=5, progress=lambda *a: calls.append(a)
    )  # fmt: skip
    assert (summary.images, summary.tagged, summary.failed, summary.skipped) == (11, 9, 2, 1)
    assert summary.errors_path == tmp_path / "t.jsonl.errors.jsonl" and summary.notices == ()
    assert [(e["path"], e["reason"], e["stage"]) for e in lines(summary.errors_path)] == [
        (str(folder / "1/0004 ü.png"), "an empty file (0 bytes)", "read"),
        (
            str(folder / "2/0005 ü.png"),
            "not a JPEG, PNG, WebP, GIF, BMP or TIFF image (it looks like a text file)",
            "read",
        ),
    ]
    rows = lines(tmp_path / "t.jsonl")
    good = sorted(p for p in folder.rglob("*.png") if p.name[:4] not in ("0004", "0005"))
    assert [row["path"] for row in rows] == [str(p) for p in good]
    for row in rows:
        means = np.asarray(Image.open(row["path"])).mean((0, 1)) / 255
        given = [entry["label"] for entry in row["labels"]]
        assert [entry["score"] for entry in row["labels"]] == sorted(
            (entry["score"] for entry in row["labels"]), reverse=True
        )
        for name, mean in zip(FakeScorer().label_names, means, strict=True):
            if abs(mean - 0.5) > 0.01:
                assert (name in given) == (mean > 0.5)
    done = [call[0] for call in calls]
    assert done == sorted(done) and calls[-1] == (11, 11)
    assert names(tmp_path) == {"in", "t.jsonl", "t.jsonl.errors.jsonl"}


def test_the_three_formats_agree(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 7, bad=(2,))
    for ending in (".jsonl", ".csv", ".parquet", ".JSONL"):
        tag_job(FakeScorer(), folder, tmp_path / f"t{ending}", batch_size=3, shard_size=4, all_scores=True)
    rows = lines(tmp_path / "t.jsonl")
    assert rows == lines(tmp_path / "t.JSONL") and len(rows) == 6
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    parquet = pq.read_table(tmp_path / "t.parquet").to_pylist()
    for row, line, record in zip(rows, table, parquet, strict=True):
        assert list(row["scores"]) == FakeScorer().label_names
        assert line["path"] == record["path"] == row["path"]
        assert record["labels"] == row["labels"]
        assert [name for name in line["labels"].split(";") if name] == [e["label"] for e in row["labels"]]
        assert [float(s) for s in line["label_scores"].split(";") if s] == [e["score"] for e in row["labels"]]
        for place, (name, value) in enumerate(row["scores"].items()):
            assert float(line[f"score:{name}"]) == record["scores"][place] == value
        assert all(entry["score"] == row["scores"][entry["label"]] for entry in row["labels"])


def test_a_run_in_which_every_image_failed_replaces_nothing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 2, bad=(0, 1))
    (tmp_path / "t.csv").write_text("older")
    for ending in ("jsonl", "csv", "parquet"):
        with pytest.raises(InputError, match=r"every image failed \(2\): see .*errors.jsonl; nothing was written"):
            tag_job(FakeScorer(), folder, tmp_path / f"t.{ending}")
    assert (tmp_path / "t.csv").read_text() == "older"
    errors = {f"t.{ending}.errors.jsonl" for ending in ("jsonl", "csv", "parquet")}
    assert names(tmp_path) == {"in", "t.csv", *errors}
    assert len(lines(tmp_path / "t.csv.errors.jsonl")) == 2


COMMAND = """
from job_fakes import FakeScorer
from piaa.jobs import tag_job
tag_job(FakeScorer(0.05), "in", "{out}", batch_size=3, shard_size=7, all_scores=True)
"""


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_killed_and_resumed_gives_the_same_bytes(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "in", 60, bad=(3, 8, 21, 44, 59))
    monkeypatch.chdir(tmp_path)
    out, errors = Path(f"t.{ending}"), Path(f"t.{ending}.errors.jsonl")
    partial = tmp_path / f"{out}.partial"
    kill_when(COMMAND.format(out=out), (partial / "shard-00002.jsonl").exists, tmp_path)
    assert not out.exists()
    scorer = FakeScorer()
    resumed = tag_job(scorer, "in", out, batch_size=3, shard_size=999, all_scores=True, resume=True)
    assert sum(scorer.batches) < 55 - 14  # not what was done already
    whole = tag_job(FakeScorer(), "in", f"w.{ending}", batch_size=3, shard_size=7, all_scores=True)
    assert out.read_bytes() == Path(f"w.{ending}").read_bytes()
    assert errors.read_bytes() == Path(f"w.{ending}.errors.jsonl").read_bytes()
    assert (resumed.images, resumed.tagged, resumed.failed) == (whole.images, whole.tagged, whole.failed)
    assert names(tmp_path) == {"in", out.name, errors.name, f"w.{ending}", f"w.{ending}.errors.jsonl"}


class Interrupted(Exception):
    pass


class StopsAfter(FakeScorer):
    """Dies in its n-th batch."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def score(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        return super().score(images)


def interrupted(folder: Path, out: Path, batches: int = 4) -> None:
    with pytest.raises(Interrupted):
        tag_job(StopsAfter(batches), folder, out, batch_size=3, shard_size=6)


def test_older_output_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 20), tmp_path / "t.jsonl"
    out.write_text("older")
    interrupted(folder, out)
    assert out.read_text() == "older"
    tag_job(FakeScorer(), folder, out, resume=True)
    assert len(lines(out)) == 20


@pytest.mark.parametrize("change", ["scorer", "all scores"])
def test_resume_refuses_other_settings(tmp_path: Path, change: str) -> None:
    folder, out = make_folder(tmp_path / "in", 20), tmp_path / "t.jsonl"
    interrupted(folder, out)
    scorer, all_scores = FakeScorer(), change == "all scores"
    words = "all scores or labels alone"
    if change == "scorer":
        scorer.fingerprint, words = "g", "the classifier or its model"
    with pytest.raises(InputError, match=f"cannot resume, since these changed .* began: {words}; use"):
        tag_job(scorer, folder, out, resume=True, all_scores=all_scores)
    assert (tmp_path / "t.jsonl.partial" / "shard-00000.jsonl").exists()  # refusing destroys nothing


@pytest.mark.parametrize("change", ["added first", "added last", "replaced", "removed"])
def test_resume_does_again_what_changed_images_touch(tmp_path: Path, change: str) -> None:
    folder, out = make_folder(tmp_path / "in", 20, bad=(5,)), tmp_path / "t.jsonl"
    interrupted(folder, out)  # batches of 3, shards of 6: two of four are done
    new = {"added first": folder / "0" / "0", "added last": folder / "2" / "9", "replaced": folder / "0" / "0009 ü"}
    if change == "removed":
        (folder / "0" / "0000 ü.png").unlink()
    else:
        Image.new("RGB", (6, 6), (200, 9, 9)).save(new[change].with_name(new[change].name + ".png"))
    scorer = FakeScorer()
    summary = tag_job(scorer, folder, out, resume=True)
    whole = tag_job(FakeScorer(), folder, tmp_path / "w.jsonl", batch_size=3, shard_size=6)
    assert out.read_bytes() == (tmp_path / "w.jsonl").read_bytes()
    assert (summary.images, summary.failed) == (whole.images, whole.failed)
    assert any("done again" in notice for notice in summary.notices) == (change != "added last")
    done = {"added first": 0, "removed": 0, "replaced": 6, "added last": 12}[change]
    assert sum(scorer.batches) == whole.tagged - done


def test_leftovers_are_replaced_with_a_notice(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 20), tmp_path / "t.jsonl"
    interrupted(folder, out)
    scorer = FakeScorer()
    summary = tag_job(scorer, folder, out)
    assert sum(scorer.batches) == 20 and "were replaced" in summary.notices[0]
    assert "nothing to resume" in tag_job(FakeScorer(), folder, out, resume=True).notices[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", "{"),
        ("manifest.json", "[]"),
        ("shard-00000.jsonl", '{"covers": 6'),
        ("shard-00000.jsonl", "{}\n"),
    ],
)
def test_damaged_leftovers(tmp_path: Path, name: str, content: str) -> None:
    folder, out = make_folder(tmp_path / "in", 20), tmp_path / "t.jsonl"
    interrupted(folder, out)
    (tmp_path / "t.jsonl.partial" / name).write_text(content)
    with pytest.raises(InputError, match=r"damaged.*without --resume"):
        tag_job(FakeScorer(), folder, out, resume=True)
    assert not out.exists()


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 20, bad=(6, 9, 12)), tmp_path / "t.jsonl"
    with pytest.raises(ImageError, match="0006"):
        tag_job(FakeScorer(), folder, out, strict=True)
    assert not out.exists() and len(lines(tmp_path / "t.jsonl.errors.jsonl")) == 1
    interrupted(folder, out)
    with pytest.raises(ImageError, match="0006"):  # found by the run that is resumed
        tag_job(FakeScorer(), folder, out, strict=True, resume=True)


def test_scores_that_are_not_finite_are_an_error_of_that_image(tmp_path: Path) -> None:
    class Broken(FakeScorer):
        def score(self, images: Tensor) -> Tensor:
            scores = super().score(images)
            scores[1] = torch.nan
            return scores

    folder = make_folder(tmp_path / "in", 6)
    summary = tag_job(Broken(), folder, tmp_path / "t.jsonl", batch_size=3)
    assert [Path(row["path"]).name[:4] for row in lines(tmp_path / "t.jsonl")] == ["0000", "0001", "0004", "0005"]
    assert (summary.tagged, summary.failed) == (4, 2)
    assert {e["stage"] for e in lines(summary.errors_path)} == {"score"}


def test_a_file_that_vanishes_half_way(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 9), tmp_path / "t.jsonl"

    def remove_last(done: int, total: int | None) -> None:
        (folder / "2" / "0008 ü.png").unlink(missing_ok=True)

    summary = tag_job(FakeScorer(), folder, out, batch_size=1, progress=remove_last)
    assert (summary.tagged, summary.failed) == (8, 1)
    assert lines(summary.errors_path)[0]["reason"] == "no such file (moved or removed?)"
    put_back = tag_job(FakeScorer(), folder, out)
    assert put_back.errors_path is None and not (tmp_path / "t.jsonl.errors.jsonl").exists()


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    for out, message in (
        ("t.xlsx", r"use one of \.csv, \.jsonl, \.parquet"),
        ("t.d", "the ending says how to write"),
        ("no/t.csv", "no does not exist"),
        ("d.csv", "a folder"),
    ):
        with pytest.raises(InputError, match=message):
            tag_job(FakeScorer(), tmp_path, tmp_path / out)
    with pytest.raises(InputError, match=r"'a;b' holds a `;`"):
        check_output(tmp_path / "t.csv", ["x", "a;b"])
    assert check_output(tmp_path / "t.jsonl", ["a;b"]) == tmp_path / "t.jsonl"
    assert names(tmp_path) == {"d.csv"}


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = make_folder(tmp_path / "in", 3), tmp_path / "t.jsonl"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="cannot be written: No space left"):
        tag_job(FakeScorer(), folder, out)
    assert not out.exists()
