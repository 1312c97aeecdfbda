"""All layouts of tags, with names that would do harm, read by pandas, polars and DuckDB; what terminals are given."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from job_fakes import FakeScorer
from PIL import Image

from piaa.cli.console import HarmlessLines
from piaa.errors import InputError
from piaa.exchange import read_tags
from piaa.jobs import Layout, tag_job, tag_stream

FOLDERS = [
    "plain", "=1+1", "two\nlines", "a/b", "x=y%2F", "<b>", 'quo"te', "it's", "傘" * 80, "傘" * 79 + "A", "\x1b[2J",
]  # fmt: skip
LATIN = b"\xff\xfelatin\xe9"


class Scorer(FakeScorer):
    """Its classes have names of all kinds; every image has the first label."""

    def __init__(self) -> None:
        super().__init__()
        self.label_names = ["=1+1", "naïve 傘", 'a "b" <i>']

    def decide(self, scores: Any) -> Any:
        calibrated, decided = super().decide(scores)
        decided[:, 0] = True
        return calibrated, decided


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(FOLDERS):
        path = tmp_path / "in" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6), (200, 9, 9)).save(path)
    latin = os.path.join(os.fsencode(tmp_path / "in"), LATIN)
    os.mkdir(latin)
    Image.new("RGB", (6, 6)).save(os.path.join(latin, b"\xe9.png"), "PNG")
    return tmp_path / "in"


def test_the_same_rows_in_every_layout_and_reader(folder: Path, tmp_path: Path) -> None:
    duckdb, polars, pandas = (pytest.importorskip(name) for name in ("duckdb", "polars", "pandas"))
    outs = {name: tmp_path / f"t{name}" for name in (".jsonl", ".csv", ".parquet", "")}
    for out in outs.values():
        tag_job(Scorer(), folder, out, all_scores=True, batch_size=4)
    expected = [row.path for row in read_tags(outs[".jsonl"]).rows]
    assert len(set(expected)) == len(FOLDERS) + 1
    assert any("\\xff\\xfelatin\\xe9" in path for path in expected)
    for out in outs.values():
        table = read_tags(out)
        assert [row.path for row in table.rows] == expected
        assert table.classes == Scorer().label_names
    part = tmp_path / "t" / "part-000-00000.parquet"
    for path in (outs[".parquet"], part):
        assert pandas.read_parquet(path)["path"].tolist() == expected
        assert polars.read_parquet(path)["path"].to_list() == expected
        query = f"select path, labels[1].label, len(labels), scores[1] from '{path}'"
        rows = duckdb.sql(query).fetchall()
        assert [row[0] for row in rows] == expected
        assert {row[1:3] for row in rows} == {("=1+1", 1)}
    lines = duckdb.sql(
        f"select path, labels from read_json('{outs['.jsonl']}', format='newline_delimited') where path is not null"
    ).fetchall()
    assert [row[0] for row in lines] == expected
    assert pandas.read_json(outs[".jsonl"], lines=True).dropna(subset=["path"])["path"].tolist() == expected
    csv = outs[".csv"]  # no path in it begins like a formula, since all are absolute
    assert pandas.read_csv(csv)["path"].tolist() == expected
    assert polars.read_csv(csv)["path"].to_list() == expected
    assert [row[0] for row in duckdb.sql(f"select path from read_csv('{csv}')").fetchall()] == expected


def test_columns_need_no_quoting(folder: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    layout = Layout(all_scores=True, content_hash=True)
    tag_job(Scorer(), folder, tmp_path / "tags", layout=layout, batch_size=4)
    tag_job(Scorer(), folder, tmp_path / "t.parquet", all_scores=True, batch_size=4)
    for path in (tmp_path / "tags" / "part-000-00000.parquet", tmp_path / "t.parquet"):
        names = pq.read_schema(path).names
        assert all(name.isidentifier() and name == name.lower() for name in names)
        rows = duckdb.sql(f"select {', '.join(names)} from '{path}' order by {names[0]}").fetchall()
        assert len(rows) == len(FOLDERS) + 1


def test_a_partition_for_each_folder_whatever_its_name(folder: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    out = tmp_path / "tags"
    tag_job(Scorer(), folder, out, layout=Layout(partition="folder"), batch_size=4)
    places = sorted(path.parent.name for path in out.rglob("*.parquet"))
    assert len(places) == len(FOLDERS) + 1
    assert all(len(place.encode()) < 255 and place.isascii() and place.isprintable() for place in places)
    query = f"select path, folder from read_parquet('{out}/**/*.parquet', hive_partitioning=true)"
    found = {Path(path).parent.name: value for path, value in duckdb.sql(query).fetchall()}
    for name in FOLDERS:
        last = name.rpartition("/")[2]
        assert found[last] == last if len(last) < 79 else found[last].startswith("傘" * 18 + "-")
    assert len(set(found.values())) == len(FOLDERS) + 1
    with pytest.raises(InputError, match="too long for the name of a folder"):
        tag_job(Scorer(), folder, tmp_path / "x", layout=Layout(partition="day=" + "傘" * 60))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_stream_commands_no_terminal_and_fits_its_encoding(encoding: str, tmp_path: Path) -> None:
    names = ["a\x1b[2J", "b\x9b31m", "c\u202etxt", "d\x7f", "e 傘 🐈", "f\nü"]
    (tmp_path / "in").mkdir()
    for name in names:
        Image.new("RGB", (6, 6)).save(tmp_path / "in" / f"{name}.png")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    tag_stream(Scorer(), tmp_path / "in", HarmlessLines(stream), batch_size=2)
    stream.flush()
    text = raw.getvalue().decode(encoding)
    assert all(sign.isprintable() for sign in text.replace("\n", ""))
    rows = [json.loads(line) for line in text.splitlines()][1:]
    assert [Path(row["path"]).stem for row in rows] == names
    assert ("傘" in text) == (encoding == "utf-8")
