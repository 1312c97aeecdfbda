"""Tables of tags are read back as they were written, in all three layouts, whatever they say about themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piaa.errors import InputError
from piaa.exchange import TagRow, read_tags
from piaa.exchange.common import cell, uncell
from piaa.jobs.tables import write_table

ROWS = [
    {"path": "a.jpg", "labels": [{"label": "x", "score": 0.9}, {"label": "y, z", "score": 0.5}],
     "scores": {"x": 0.9, "y, z": 0.5, "w": 0.1}},
    {"path": "ü \"q\".jpg", "labels": [], "scores": {"x": 0.2, "y, z": 0.3, "w": 0.49}},
]  # fmt: skip


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("all_scores", [True, False])
def test_what_tag_writes_is_read_back(tmp_path: Path, ending: str, all_scores: bool) -> None:
    rows = ROWS if all_scores else [{**row, "scores": {}} for row in ROWS]
    written = [row if all_scores else {"path": row["path"], "labels": row["labels"]} for row in rows]
    if ending != ".jsonl":
        written = rows
    write_table(tmp_path / f"t{ending}", ending, [written[:1], written[1:]], ["x", "y, z", "w"] if all_scores else [])
    table = read_tags(tmp_path / f"t{ending}")
    expected = [TagRow(r["path"], {e["label"]: e["score"] for e in r["labels"]}, r["scores"]) for r in rows]
    assert table.rows == expected
    assert [list(row.labels) for row in table.rows] == [["x", "y, z"], []]
    assert table.classes == (["x", "y, z", "w"] if all_scores else ["x", "y, z"])


def test_word_of_where_the_tags_come_from_is_kept(tmp_path: Path) -> None:
    about = {"piaa": "0.1.0", "classes": ["x", "q"]}
    (tmp_path / "t.jsonl").write_text(json.dumps(about) + '\n{"path": "a", "labels": []}\n')
    (tmp_path / "t.csv").write_text("# " + json.dumps(about) + "\npath,labels,label_scores\na,,\n")
    write_table(tmp_path / "t.parquet", ".parquet", [[{"path": "a", "labels": [], "scores": {}}]], [])
    content = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(content.replace_schema_metadata({"piaa": json.dumps(about)}), tmp_path / "t.parquet")
    for ending in ("jsonl", "csv", "parquet"):
        table = read_tags(tmp_path / f"t.{ending}")
        assert (table.about, table.classes, table.rows) == (about, ["x", "q"], [TagRow("a", {})])


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("t.jsonl", '{"path": "a", "labels": []}\nnot json', "line 2"),
        ("t.jsonl", '{"path": "a", "labels": []}\n{"labels": []}', "line 2: no path"),
        ("t.jsonl", '{"path": "a", "labels": [{"label": "x", "score": NaN}]}', "nan is no score"),
        ("t.jsonl", '{"path": "a", "labels": ["x"]}', "labels must be a list"),
        ("t.csv", "path,labels,label_scores\na,x;y,0.5\n", "2 labels and 1 scores"),
        ("t.csv", "image,tags\na,b\n", "no columns called path and labels"),
        ("t.parquet", "no parquet", "not a table"),
        ("t.txt", "", "ends in"),
        ("t.csv", None, "No such file"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, name: str, content: str | None, part: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=part):
        read_tags(tmp_path / name)


def test_doubt_is_greatest_at_the_threshold() -> None:
    assert TagRow("a", {"x": 0.9}, {"x": 0.9, "y": 0.45}).doubt == pytest.approx(0.9)
    assert TagRow("a", {"x": 1.0}, {"x": 1.0, "y": 0.0}).doubt == 0
    assert TagRow("a", {}).doubt == 0


@given(st.text(alphabet=st.sampled_from("=+-@'\t\ra ")))
def test_cells_are_harmless_and_come_back(text: str) -> None:
    assert uncell(cell(text)) == text
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))
