"""A folder of Parquet parts: what is in it, that other programs read it, and that nothing of it is lost or doubled."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from job_fakes import FakeScorer, make_folder
from PIL import Image
from torch import Tensor

from piaa.errors import InputError
from piaa.exchange import read_tags
from piaa.jobs import Layout, Stop, tag_job
from piaa.vision.encoder import Encoded

OPTIONS = {"batch_size": 2, "shard_size": 1}  # 16 images a part


class Showing(FakeScorer):
    """Shows embeddings, too."""

    def encode(self, images: Tensor) -> Encoded:
        return Encoded(images.mean(dim=(2, 3)), images.flatten(2).transpose(1, 2), (6, 6))

    def score_encoded(self, encoded: Encoded) -> Tensor:
        return encoded.cls


def manifest(folder: Path) -> dict:
    return json.loads((folder / "_manifest.json").read_text())


def rows(folder: Path) -> list[dict]:
    return [row for part in manifest(folder)["parts"] for row in pq.read_table(folder / part["path"]).to_pylist()]


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def test_parts_hold_what_a_file_holds_and_more(tmp_path: Path) -> None:
    folder, layout = make_folder(tmp_path / "in", 40, bad=(4,)), Layout(all_scores=True, embeddings=True)
    summary = tag_job(Showing(), folder, tmp_path / "tags", layout=layout, **OPTIONS)
    assert (summary.images, summary.tagged, summary.failed) == (40, 39, 1)
    tag_job(Showing(), folder, tmp_path / "t.jsonl", all_scores=True, **OPTIONS)
    single, parts = read_tags(tmp_path / "t.jsonl"), read_tags(tmp_path / "tags")
    assert parts.rows and parts.classes == single.classes and parts.about == single.about
    for one, two in zip(single.rows, parts.rows, strict=True):
        assert one.path == two.path
        assert two.scores == pytest.approx(one.scores, abs=2e-3)  # the fakes' batches differ
    found = manifest(tmp_path / "tags")
    assert [part["path"] for part in found["parts"]] == [f"part-000-{number:05d}.parquet" for number in range(3)]
    assert found["counts"] == {"rows": 40, "failed": 1, "gone": 0, "tagged": 39}
    assert found["versions"]["torch"] == torch.__version__ and found["versions"].keys() > {"piaa", "python", "pillow"}
    for part in found["parts"]:
        assert hashlib.sha256((tmp_path / "tags" / part["path"]).read_bytes()).hexdigest() == part["sha256"]
    listed = rows(tmp_path / "tags")
    (failed,) = [row for row in listed if row["error"]]
    assert failed["error"] == "an empty file (0 bytes)" and failed["labels"] == [] and failed["embedding"] is None
    assert (listed[0]["width"], listed[0]["height"]) == (6, 6)
    assert listed[0]["bytes"] == os.stat(listed[0]["path"]).st_size
    assert round(listed[0]["modified"].timestamp(), 3) == round(os.stat(listed[0]["path"]).st_mtime, 3)
    assert listed[0]["embedding"] == pytest.approx(list(listed[0]["scores"]), abs=1e-6)
    assert not any(row["gone"] for row in listed)


def test_pandas_polars_and_duckdb_read_them(tmp_path: Path) -> None:
    duckdb, polars, pandas = (pytest.importorskip(name) for name in ("duckdb", "polars", "pandas"))
    folder, out = make_folder(tmp_path / "in", 20, bad=(4,)), tmp_path / "tags"
    tag_job(Showing(), folder, out, layout=Layout(True, partition="folder"), **OPTIONS)
    tag_job(FakeScorer(), folder, tmp_path / "t.csv", **OPTIONS)
    expected = {(row.path, name) for row in read_tags(out).rows for name in row.labels}
    assert len(expected) > 10
    query = f"""
        select path, entry.label, folder from (
            select path, unnest(labels) as entry, folder from read_parquet('{out}/**/*.parquet', hive_partitioning=true)
            where error is null and not gone)
    """
    answer = duckdb.sql(query).fetchall()
    assert {row[:2] for row in answer} == expected
    assert all(Path(path).parent.name == str(place) for path, _, place in answer)
    assert duckdb.sql(f"select count(*) from '{out}/**/*.parquet' where len(scores) = 3").fetchall() == [(19,)]
    frame = polars.read_parquet(f"{out}/**/*.parquet").filter(polars.col("error").is_null()).explode("labels")
    frame = frame.filter(polars.col("labels").is_not_null()).unnest("labels")
    assert set(zip(frame["path"], frame["label"], strict=True)) == expected
    table = pandas.read_parquet(out / manifest(out)["parts"][0]["path"])
    pairs = zip(table["path"], table["labels"], strict=True)
    assert {(path, each["label"]) for path, labels in pairs for each in labels} < expected
    assert list(pandas.read_csv(tmp_path / "t.csv").columns) == ["path", "labels", "label_scores"]


def test_a_fixed_partition_and_what_is_none(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 3)
    tag_job(FakeScorer(), folder, tmp_path / "tags", layout=Layout(partition="day=2026-01-31 x"), **OPTIONS)
    assert list(everything(tmp_path / "tags")) == ["day=2026-01-31%20x/part-000-00000.parquet"]
    for value in ("day", "1x=2", "=2", "day="):
        with pytest.raises(InputError, match="--partition"):
            tag_job(FakeScorer(), folder, tmp_path / "other", layout=Layout(partition=value))
    for layout in (Layout(partition="folder"), Layout(embeddings=True), Layout(content_hash=True)):
        with pytest.raises(InputError, match="need a folder of Parquet parts"):
            tag_job(Showing(), folder, tmp_path / "t.jsonl", layout=layout)
    with pytest.raises(InputError, match=r"are of \.csv"):
        tag_job(FakeScorer(), folder, tmp_path / "t.jsonl", layout=Layout(bom=True))
    with pytest.raises(InputError, match="embeddings need a scorer"):
        tag_job(FakeScorer(), folder, tmp_path / "other", layout=Layout(embeddings=True))


def test_a_csv_for_other_spreadsheets_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "=1+1"
    make_folder(folder, 5)
    os.chdir(tmp_path)
    tag_job(FakeScorer(), folder.relative_to(tmp_path), "t.csv", layout=Layout(True, separator=";", bom=True))
    tag_job(FakeScorer(), folder.relative_to(tmp_path), "t.jsonl", all_scores=True)
    text = Path("t.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbfpath;labels;label_scores;")
    with open("t.csv", encoding="utf-8-sig", newline="") as stream:
        assert next(iter(csv.DictReader(stream, delimiter=";")))["path"].startswith("'=1+1")
    assert read_tags("t.csv").rows == read_tags("t.jsonl").rows


@pytest.mark.parametrize("at", [3, 17, 30])
def test_a_stopped_run_of_parts_ends_in_the_same_bytes(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    folder, stop = make_folder(tmp_path / "in", 40, bad=(0, 4, 9)), Stop()
    options = {"batch_size": 2, "shard_size": 5}
    with pytest.raises(Exception, match="stopped by"):
        tag_job(FakeScorer(), folder, tmp_path / "a", stop=stop,
                progress=lambda seen, total: stop.ask() if seen >= at else None, **options)  # fmt: skip
    assert not (tmp_path / "a").exists()
    tag_job(FakeScorer(), folder, tmp_path / "a", resume=True)
    tag_job(FakeScorer(), folder, tmp_path / "b", **options)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".partial", ".lock")]


def test_a_commit_cut_off_between_its_moves_is_ended_by_the_next_run(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 4), tmp_path / "tags"
    tag_job(FakeScorer(), folder, out, **OPTIONS)
    (tmp_path / "tags.partial").mkdir()
    out.rename(tmp_path / "tags.partial" / "new")
    summary = tag_job(FakeScorer(), folder, out, update=True)
    assert "cut off" in summary.notices[0] and (summary.kept, summary.tagged) == (4, 0)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 4), tmp_path / "mine"
    out.mkdir()
    (out / "photo.jpg").write_text("x")
    with pytest.raises(InputError, match=r"holds what 'piaa tag' did not write \(photo.jpg\)"):
        tag_job(FakeScorer(), folder, out)
    (out / "photo.jpg").rename(out / ".DS_Store")
    tag_job(FakeScorer(), folder, out)
    tag_job(FakeScorer(), folder, out)
    (out / "_manifest.json").write_text(json.dumps({**manifest(out), "format_version": 2}))
    with pytest.raises(InputError, match="newer piaa"):
        tag_job(FakeScorer(), folder, out)


@pytest.mark.parametrize("content_hash", [False, True])
def test_an_update_tags_what_is_new_or_changed_and_marks_what_is_gone(tmp_path: Path, content_hash: bool) -> None:
    folder, out = make_folder(tmp_path / "in", 40, bad=(4,)), tmp_path / "tags"
    layout = Layout(True, content_hash=content_hash)
    tag_job(FakeScorer(), folder, out, layout=layout, **OPTIONS)
    before = {row["path"]: row for row in rows(out)}
    untouched = everything(out)["part-000-00002.parquet"]
    Image.new("RGB", (6, 6), (255, 0, 0)).save(folder / "0" / "new.png")
    Image.new("RGB", (6, 6), (0, 255, 0)).save(folder / "0" / "0000 ü.png")
    (folder / "0" / "0003 ü.png").unlink()
    os.utime(folder / "0" / "0006 ü.png", (1, 1))
    scorer = FakeScorer()
    summary = tag_job(scorer, folder, out, layout=layout, update=True, **OPTIONS)
    touched = 1 - content_hash
    assert sum(scorer.batches) == 2 + touched
    assert (summary.tagged, summary.failed, summary.kept, summary.gone) == (2 + touched, 0, 38 - touched, 1)
    after = {row["path"]: row for row in rows(out)}
    assert len(after) == len(rows(out)) == 41  # one row an image
    assert [Path(path).name for path, row in after.items() if row["gone"]] == ["0003 ü.png"]
    changed = {path for path in after if after[path] != before.get(path)}
    names = {Path(path).name for path in changed}
    assert names == {"new.png", "0000 ü.png", "0003 ü.png", *(["0006 ü.png"] if touched else [])}
    assert after[str(folder / "0" / "0000 ü.png")]["labels"][0]["label"] == "grön, ljus"
    assert everything(out)["part-000-00002.parquet"] == untouched
    assert manifest(out)["generation"] == 1 and len(read_tags(out).rows) == 39
    again = tag_job(scorer, folder, out, layout=layout, update=True, **OPTIONS)
    assert (again.tagged, again.kept, again.gone) == (0, 40, 0) and sum(scorer.batches) == 2 + touched
    Image.new("RGB", (6, 6), (0, 0, 255)).save(folder / "0" / "0003 ü.png")  # back
    assert tag_job(scorer, folder, out, layout=layout, update=True).tagged == 1
    assert not any(row["gone"] for row in rows(out)) and len(rows(out)) == 41


def test_an_update_that_is_stopped_goes_on_and_what_cannot_be_updated(tmp_path: Path) -> None:
    folder, out, stop = make_folder(tmp_path / "in", 12), tmp_path / "tags", Stop()
    first = tag_job(FakeScorer(), folder, out, update=True, **OPTIONS)
    assert "nothing to update" in first.notices[0] and first.tagged == 12
    for number in range(6):
        Image.new("RGB", (6, 6), (40 * number, 0, 0)).save(folder / "1" / f"new {number}.png")
    with pytest.raises(Exception, match="stopped by"):
        tag_job(FakeScorer(), folder, out, update=True, stop=stop, progress=lambda *_: stop.ask(), **OPTIONS)
    assert len(rows(out)) == 12
    scorer = FakeScorer()
    summary = tag_job(scorer, folder, out, update=True, resume=True)
    assert (summary.tagged, summary.kept, sum(scorer.batches)) == (6, 12, 5) and len(rows(out)) == 18
    with pytest.raises(InputError, match="another classifier"):
        tag_job(FakeScorer(fingerprint="g"), folder, out, update=True)
    with pytest.raises(InputError, match="other options"):
        tag_job(FakeScorer(), folder, out, update=True, layout=Layout(True))
    with pytest.raises(InputError, match="--update needs a folder"):
        tag_job(FakeScorer(), folder, tmp_path / "t.jsonl", update=True)


def test_a_disk_that_is_too_small_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    folder, scorer = make_folder(tmp_path / "in", 12), FakeScorer()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(InputError, match="MiB are needed for 12 images and 0 MiB"):
        tag_job(scorer, folder, tmp_path / "t.jsonl")
    assert scorer.batches == [] and torch.is_tensor(scorer.preprocess(Image.new("RGB", (6, 6))))
