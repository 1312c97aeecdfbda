"""Every layout gives the same truth, what is written comes back, and each fault names its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from piaa.errors import InputError, LabelError
from piaa.evaluation.truth import read_truth, write_truth

NAMES = ["anchor", "grön, ljus", "雪だるま"]
LAYOUTS = {
    "list.csv": 'path,labels\na.png,anchor; 雪だるま\nb/c d.png,"grön, ljus"\ne.png,\n',
    "excel.csv": '\ufeffpath,labels\r\na.png,anchor;雪だるま\r\nb/c d.png,"grön, ljus"\r\ne.png,\r\n',
    "ticks.csv": 'path,雪だるま,"grön, ljus",anchor\na.png,1,0,1\nb/c d.png,0,1,0\ne.png,0,0,0\n',
    "lines.jsonl": '{"path": "a.png", "labels": ["anchor", "雪だるま"]}\n\n'
    '{"path": "b/c d.png", "labels": ["grön, ljus"], "sizes": {}}\n{"path": "e.png", "labels": []}',
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(LAYOUTS[name], encoding="utf-8", newline="")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c d.png").write_bytes(b"")
    truth = read_truth(path, NAMES)
    assert truth.labels == {"a.png": {0, 2}, "b/c d.png": {1}, "e.png": set()}
    assert list(truth.labels) == ["a.png", "b/c d.png", "e.png"] and truth.sizes == {}
    assert truth.targets(["e.png", "a.png"]).tolist() == [[0, 0, 0], [1, 0, 1]]
    assert truth.missing == ["a.png", "e.png"]


def test_sizes_and_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text('path,labels,sizes\na.png,anchor,"{""anchor"": 0.25}"\nb.png,anchor,\n')
    (tmp_path / "t.jsonl").write_text(
        '{"path": "a.png", "labels": ["anchor"], "sizes": {"anchor": 0.25}}\n{"path":"b.png","labels":["anchor"]}'
    )
    for name in ("t.csv", "t.jsonl"):
        truth = read_truth(tmp_path / name, NAMES)
        assert truth.sizes == {"a.png": {0: 0.25}}
        matrix = truth.size_matrix(["b.png", "a.png"])
        assert matrix[1, 0] == 0.25 and np.isnan(matrix).sum() == 5
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for spelling in ("a.png", "./a.png", tmp_path / "a.png", "link/a.png"):
        assert truth.find(spelling) == "a.png"
    assert truth.find("c.png") is None and truth.find("other/a.png") is None


PATHS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1).filter(
    lambda text: text.strip() and text not in (".", "..")
)
ROWS = st.dictionaries(
    PATHS, st.dictionaries(st.sampled_from(NAMES), st.none() | st.floats(0, 1)), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_what_is_written_comes_back(tmp_path: Path, content: dict[str, dict[str, float | None]]) -> None:
    rows = [
        {"path": path, "labels": list(held), "sizes": {k: v for k, v in held.items() if v is not None}}
        for path, held in content.items()
    ]
    write_truth(tmp_path / "truth.csv", rows)
    truth = read_truth(tmp_path / "truth.csv", NAMES)
    index = {name: number for number, name in enumerate(NAMES)}
    assert truth.labels == {path: {index[name] for name in held} for path, held in content.items()}
    expected = {row["path"]: {index[k]: v for k, v in row["sizes"].items()} for row in rows if row["sizes"]}
    assert truth.sizes == expected
    assert [entry.name for entry in tmp_path.iterdir()] == ["truth.csv"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("t.csv", "path,labels\na.png,anchor\nb.png,ship\n", "line 3: no class is called 'ship'"),
        ("t.csv", "path,labels\na.png,anchor\n./a.png,\n", "line 3: './a.png' is listed twice; first at"),
        ("t.csv", "file,labels\na.png,anchor\n", "line 1: no column is called path"),
        ("t.csv", "path,labels,labels\na.png,anchor,\n", "line 1: column 'labels' is there twice"),
        ("t.csv", "path,ship,anchor\na.png,1,0\n", "no class is called 'ship'"),
        ("t.csv", "path\na.png\n", "neither a column labels"),
        ("t.csv", "path,anchor\na.png,yes\n", "line 2: 'yes' for class 'anchor'; must be 0 or 1"),
        ("t.csv", "path,labels\na.png,anchor,x\n", "line 2: not 2 values"),
        ("t.csv", "path,labels\na.png\n", "line 2: not 2 values"),
        ("t.csv", "path,labels\n,anchor\n", "line 2: no path"),
        ("t.csv", "path,labels\n", "no image in it"),
        ("t.csv", "", "no column is called path"),
        ("t.csv", 'path,labels\na.png,"anchor\n', "not readable as CSV"),
        ("t.csv", "path,labels,sizes\na.png,anchor,{\n", "line 2: not readable as JSON"),
        ("t.csv", 'path,labels,sizes\na.png,anchor,"{""anchor"": 2}"\n', "size 2 of 'anchor'"),
        ("t.csv", 'path,labels,sizes\na.png,,"{""anchor"": 0.2}"\n', "not among its labels"),
        ("t.jsonl", '{"path": "a.png", "labels": []}\n[]\n', "line 2: must be an object"),
        ("t.jsonl", '{"path": "a.png", "labels": "anchor"}', "line 1: labels must be a list"),
        ("t.jsonl", '{"path": "a.png", "labels": [1]}', "line 1: labels must be a list"),
        ("t.jsonl", '{"path": "a.png", "labels": [], "sizes": [1]}', "line 1: sizes must be an object"),
        ("t.jsonl", '{"path": "a.png", "labels": ["anchor"], "sizes": {"anchor": NaN}}', "size nan of"),
        ("t.jsonl", '{"path": 3, "labels": []}', "line 1: no path"),
        ("t.jsonl", "{", "line 1: not readable as JSON"),
        ("t.txt", "x", "ends in .csv, .jsonl or .parquet"),
        ("t.csv", None, "No such file"),
        ("t.csv", b"path,labels\n\xff\xfe,\n", "not UTF-8"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, name: str, text: str | bytes | None, reason: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LabelError) as caught:
        read_truth(path, NAMES)
    assert reason in str(caught.value) and str(caught.value).startswith(str(path))


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for label in ("a;b", " a"):
        with pytest.raises(LabelError, match="separates labels"):
            write_truth(tmp_path / "t.csv", [{"path": "x", "labels": [label]}])
    with pytest.raises(InputError, match="cannot be written"):
        write_truth(tmp_path / "no" / "t.csv", [])
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_too_long_for_the_disk_is_missing(tmp_path):
    """It was an OSError out of `Path.is_file`."""
    path = tmp_path / "truth.csv"
    path.write_text(f"path,labels\n{'x' * 300},a\n")
    assert read_truth(path, ["a"]).missing == ["x" * 300]
