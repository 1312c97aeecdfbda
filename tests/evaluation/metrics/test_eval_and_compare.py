"""`piaa eval` and `piaa compare` as a user runs them; tables of scores that come back as written."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from test_metric_registry import FILE
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.errors import InputError
from piaa.evaluation import metrics
from piaa.evaluation.score_tables import ScoreTable, aligned, read_scores, write_scores
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder, write_scene_truth


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "150"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_scene_folder(root / "unlabelled", 5, "unlabelled", 20)
    write_scene_truth(root / "truth.csv", "test", write_scene_folder(root / "test", 5, "test", 16))
    (root / "labels.txt").write_text("\n".join(object_names()))
    run("fit", root / "unlabelled", "--labels", root / "labels.txt", "--out", root / "demo.piaa")
    return root


@pytest.fixture(scope="module")
def measured(world: Path) -> tuple[Path, dict, str]:
    """The first run: its folder, its numbers, what was printed."""
    out = world / "first"
    out.mkdir()
    printed = run(
        "eval", world / "test", "--classifier", world / "demo.piaa", "--truth", world / "truth.csv",
        "--out", out / "n.json", "--scores", out / "run.parquet", "--bootstrap", "60", "--ap-rule", "voc2010",
    )  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == ["n.json", "run.parquet"]
    return out, json.loads((out / "n.json").read_text()), printed


def test_eval_has_intervals_top_three_and_comparisons(measured: tuple[Path, dict, str]) -> None:
    folder, numbers, printed = measured
    table = read_scores(folder / "run.parquet")
    assert list(table.scores) == ["cls", "text_patch", "text_scaled", "paa", "pvcl", "piaa"]
    assert table.label_names == object_names()
    assert table.scores["piaa"].shape == table.labels.shape == (16, len(object_names()))
    assert not any(path.startswith("/") for path in table.paths)  # as the truth file names them
    for method, scores in table.scores.items():
        value = metrics.mean_average_precision(scores, table.labels, "voc2010") * 100
        assert numbers["map"][method] == pytest.approx(value)
        ends = numbers["intervals"][method]
        assert ends["low"] < value < ends["high"]
        assert f"{ends['low']:.1f} to {ends['high']:.1f}" in printed
    top = metrics.f1(metrics.top_k_decisions(table.scores["cls"]), table.labels)
    assert numbers["top3"]["cls"]["of1"] == pytest.approx(top.of1 * 100)
    assert {row["baseline"] for row in numbers["comparisons"]} == {"cls", "text_patch"}
    for row in numbers["comparisons"]:
        assert row["difference"] == pytest.approx(numbers["map"]["piaa"] - numbers["map"][row["baseline"]])
    assert "by voc2010" in printed and "the 3 best of [CLS] softmax" in printed and "PIAA against" in printed
    absent = metrics.classes_without_positives(table.labels, table.label_names)
    assert absent and absent[0] in printed.split("no image has:")[1]


def test_the_users_own_metric_is_in_the_table(world: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FILE.replace("one-error", "cli-one-error"))
    before = dict(metrics.METRICS)
    try:
        printed = run(
            "--extension", tmp_path / "own.py",
            "eval", world / "test", "--classifier", world / "demo.piaa", "--truth", world / "truth.csv",
            "--bootstrap", "0", "--out", tmp_path / "n.json",
        )  # fmt: skip
    finally:
        metrics.METRICS.clear()
        metrics.METRICS.update(before)
    found = json.loads((tmp_path / "n.json").read_text())
    assert set(found["metrics"]["cli-one-error"]) == set(found["map"])
    assert all(0 <= value <= 1 for value in found["metrics"]["cli-one-error"].values())
    assert "cli-one-error" in printed and "PIAA against" not in printed
    assert found["intervals"] == {} and found["rule"] == "torchmetrics"


def test_compare_two_runs(measured: tuple[Path, dict, str], tmp_path: Path) -> None:
    first = measured[0] / "run.parquet"
    table = read_scores(first)
    better = {name: scores + 1.5 * table.labels for name, scores in table.scores.items()}
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0)).tolist()
    second = replace(table, scores=better, decided=table.labels.bool()).rows(order, list(range(len(object_names()))))
    write_scores(tmp_path / "second.parquet", second)
    printed = run("compare", first, tmp_path / "second.parquet", "--bootstrap", "500", "--out", tmp_path / "c.json")
    found = json.loads((tmp_path / "c.json").read_text())
    rows = {(row["metric"], row["method"]): row for row in found["methods"]}
    assert found["images"] == 16 and len(rows) == 8
    piaa = rows["mAP", "piaa"]
    assert piaa["baseline"] == pytest.approx(100 * metrics.mean_average_precision(table.scores["piaa"], table.labels))
    assert piaa["value"] == pytest.approx(100)
    assert piaa["p_value"] < 0.01 and piaa["low"] > 0
    assert rows["OF1", "decided"]["value"] == 100
    assert found["losses"] == 0 and found["wins"] > 5 and found["sign_p"] < 0.05
    there = len(object_names()) - len(metrics.classes_without_positives(table.labels, object_names()))
    assert len(found["classes"]) == there
    positives = table.labels.sum(dim=0).tolist()
    for row in found["classes"]:
        assert row["positives"] == positives[object_names().index(row["class"])]
        assert math.isnan(row["p_value"]) == (row["positives"] < 5)
    assert f"better in {found['wins']} classes, worse in 0" in printed and "Second - first, 16 images" in printed
    same = run("compare", first, first, "--method", "piaa", "--bootstrap", "50")
    assert "better in 0 classes, worse in 0: sign test p = 1.000, Wilcoxon p = 1.000" in same
    other = run(
        "compare", first, first, "--method", "piaa", "--against", "cls", "--metric", "OF1@3", "--bootstrap", "9"
    )
    assert "piaa - cls" in other and "decided" not in other


def test_errors_come_before_the_work(world: Path, measured: tuple[Path, dict, str], tmp_path: Path) -> None:
    arguments = ["eval", world / "test", "--classifier", world / "demo.piaa", "--truth", world / "truth.csv"]
    assert "choose one of: torchmetrics" in run(*arguments, "--ap-rule", "coco", code=1)
    assert ".parquet" in run(*arguments, "--scores", tmp_path / "x.npz", code=1)
    assert "does not exist" in run(*arguments, "--out", tmp_path / "no" / "x.json", code=1)
    assert "2 resamples" in run(*arguments, "--bootstrap", "1", code=1)
    first = measured[0] / "run.parquet"
    assert "no such file" in run("compare", first, tmp_path / "gone.parquet", code=1)
    assert "no method 'clip'" in run("compare", first, first, "--method", "clip", code=1)
    assert "--method" in run("compare", first, first, "--against", "cls", code=1)
    assert "no metric is called 'F2'" in run("compare", first, first, "--metric", "F2", code=1)
    assert list(tmp_path.iterdir()) == []


TABLE = ScoreTable(
    ["b/ö.png", "a.png", "c.png"],
    ["cat", "雪だるま"],
    torch.tensor([[1, 0], [0, -1], [1, 1]]),
    {"piaa": torch.rand(3, 2), "cls": torch.rand(3, 2, dtype=torch.float64)},
    torch.tensor([[True, False], [False, False], [True, True]]),
)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    for table in (TABLE, replace(TABLE, decided=None)):
        write_scores(tmp_path / "t.parquet", table)
        again = read_scores(tmp_path / "t.parquet")
        assert (again.paths, again.label_names) == (table.paths, table.label_names)
        assert torch.equal(again.labels, table.labels)
        assert again.scores.keys() == table.scores.keys()
        assert all(torch.equal(again.scores[name], table.scores[name]) for name in table.scores)
        assert (again.decided is None) == (table.decided is None)
        assert table.decided is None or torch.equal(again.decided, table.decided)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_runs_are_aligned_by_image_and_class() -> None:
    other = TABLE.rows([2, 0], [1, 0])
    first, second, notes = aligned(TABLE, other)
    assert first.paths == second.paths == ["b/ö.png", "c.png"]
    assert second.label_names == ["cat", "雪だるま"]
    assert torch.equal(first.scores["piaa"], second.scores["piaa"])
    assert notes == ["1 images are in the first run alone and were left out"]
    changed = replace(TABLE, labels=torch.tensor([[1, 0], [0, -1], [0, 1]]))
    with pytest.raises(InputError, match=r"1 images have another truth in the other run, c\.png"):
        aligned(TABLE, changed)
    with pytest.raises(InputError, match="only one has cat, dog"):
        aligned(TABLE, replace(TABLE, label_names=["dog", "雪だるま"]))
    with pytest.raises(InputError, match="no image in common"):
        aligned(TABLE, replace(TABLE, paths=["x", "y", "z"]))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("hello")
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "plain.parquet")
    about = {"piaa": json.dumps({"version": 9, "classes": []})}
    pq.write_table(pa.table({"path": ["a"]}).replace_schema_metadata(about), tmp_path / "newer.parquet")
    for name, reason in (("text", "not a table of scores"), ("plain", "not a table"), ("newer", "format 9")):
        with pytest.raises(InputError, match=reason):
            read_scores(tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match="twice"):
        write_scores(tmp_path / "x.parquet", replace(TABLE, paths=["a", "a", "b"]))
