"""`piaa reproduce` and `piaa report` as a researcher runs them, on scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.evaluation import metrics
from piaa.evaluation.evaluate import evaluate
from piaa.evaluation.truth import read_truth
from piaa.experiments.results import Results
from piaa.experiments.spec import read_spec, spec_names
from piaa.recognizer import Recognizer
from piaa.scenes import object_names

MEASURED = [name for name in spec_names() if name != "ablations"]  # those have a test of their own


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything was reproduced, and reported, on 40 scenes."""
    root = tmp_path_factory.mktemp("reproduced")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        slow = {"table1", "table5"}  # test_systems has their lines of TagCLIP, which looks at an image twice
        run("reproduce", *(name for name in MEASURED if name not in slow), "--images", 40)
        run("reproduce", "table5", "--images", 40, "--rows", "PIAA")
        run("reproduce", "table1", "--images", 40, "--seeds", 1, "--rows", "CLIP", "--rows", "SPARC*", "--rows", "PIAA")
        run("report", "results", "--parquet", "rows.parquet")
    return root


def test_every_experiment_left_rows_and_nothing_half_done(place: Path) -> None:
    rows = Results(place / "results").read()
    assert {row.experiment for row in rows} == set(MEASURED)
    assert all(np.isfinite(row.value) for row in rows)
    assert all(row.low <= row.value <= row.high for row in rows if row.low is not None and row.high is not None)
    assert not list(place.rglob("*.partial"))


def test_nothing_is_measured_twice(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    before = (place / "results" / "results.jsonl").read_bytes()
    assert "0 new rows" in run("reproduce", "table2", "figure4", "--images", 40)
    assert (place / "results" / "results.jsonl").read_bytes() == before
    assert "\n4 new rows" in run("reproduce", "table2", "--images", 40, "--results", "again", "--recipe", "published")


def test_the_figures_are_those_of_piaa_eval(place: Path) -> None:
    """From stored float16 embeddings as from image files."""
    scenes = next((place / ".piaa" / "scenes").rglob("test.csv")).parent
    recognizer = Recognizer(object_names(), image_size="trained").fit(scenes / "unlabelled")
    truth = read_truth(scenes / "test.csv", object_names())
    direct = evaluate(recognizer.scorer(), scenes / "test", truth)
    rows = {row.method: row.value for row in Results(place / "results").read() if row.experiment == "table2"}
    for method, value in rows.items():
        assert value == pytest.approx(
            100 * metrics.mean_average_precision(direct.scores[method], direct.labels), abs=0.5
        )


def test_the_sweep_agrees_with_the_table_of_its_recipe(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    fixed = ("--images", "40", "--results", "fixed", "--recipe", "fixed-fusion")
    run("reproduce", "table2", *fixed)
    table = next(row for row in Results(place / "fixed").read() if row.method == "piaa")
    rows = Results(place / "results").read()
    sweep = {row.parameter: row.value for row in rows if row.experiment == "figure4"}
    assert sweep["alpha=0.9"] == pytest.approx(table.value, abs=1e-4)
    assert set(sweep) == {f"K={k}" for k in read_spec("figure4").options["bank_size"]} | {
        f"alpha={a}" for a in read_spec("figure4").options["alpha"]
    }


def test_the_report_has_every_table_and_figure(place: Path) -> None:
    report = place / "results" / "report"
    markdown = (report / "report.md").read_text()
    html, latex = (report / "report.html").read_text(), (report / "report.tex").read_text()
    for name in ("table1", "table2", "table3", "table4", "table5", "table6"):
        assert f"## {name}:" in markdown
        assert f'id="{name}"' in html
        assert rf"\label{{tab:{name}}}" in latex
    for name in ("figure1", "figure4", "figure5", "figure6"):
        assert (report / f"{name}-scenes.png").read_bytes().startswith(b"\x89PNG")
        assert (report / f"{name}-scenes.svg").read_text().lstrip().startswith("<?xml")
        assert f"]({name}-scenes.png)" in markdown
    assert 'src="http' not in html
    line = next(line for line in markdown.splitlines() if line.startswith("| **PVCL+PAA**"))
    value = next(
        row.value for row in Results(place / "results").read() if row.experiment == "table2" and row.method == "piaa"
    )
    assert f"| {value:.1f} [" in line
    assert "| 92.2 | 92.5 | 73.2 | 50.6 |" in line
    assert "SPARC" in markdown


def test_markdown_tables_and_headings_stand_by_themselves(place: Path) -> None:
    lines = (place / "results" / "report" / "report.md").read_text().splitlines()
    assert sum(line.startswith("|---") for line in lines) == 6
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        if line.startswith("|"):  # else the next paragraph is a row of it
            assert after == "" or after.startswith("|")
        if line.startswith("#"):
            assert before == after == ""


def test_kept_maps_fit_their_images(place: Path) -> None:
    with np.load(place / "results" / "figure1-scenes.npz") as stored:
        image, attention, maps = stored["image-0"], stored["attention-0"], stored["maps-0"]
        assert attention.shape == image.shape[:2] == maps.shape[1:]
        assert 0 <= attention.min() < attention.max() <= 1
        assert set(stored["labels-0"]) <= set(object_names())


@pytest.mark.parametrize("table", ["table3", pytest.param("table4", marks=pytest.mark.slow)])
def test_every_line_on_its_true_architecture(table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The eight lines of each table, end to end, with random weights; what they measure is chance."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(2)
    run("reproduce", table, "--pretrained", "random", "--images", 2, "--batch-size", 2)
    spec, rows = read_spec(table), Results(tmp_path / "results").read()
    assert [(row.row, row.model, row.front_end, row.pretrained) for row in rows] == [
        (line.row, line.model, line.front_end, "random") for line in spec.runs
    ]
    assert all(0 <= row.value <= 100 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table9"], "no experiment is called 'table9'"),
        (["table1", "--datasets", "cifar"], "no data set is called 'cifar'"),
        (["table1", "--rows", "nothing"], "no line like nothing"),
        (["table1", "--recipe", "secret"], "no recipe is called 'secret'"),
        (["table1", "--datasets", "VOC07", "--data", "nowhere"], "nowhere"),
    ],
)
def test_what_does_not_exist_is_named(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in " ".join(run("reproduce", *arguments, "--images", 2, code=1).split())


def test_the_plan_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = run("reproduce", "table3", "--images", 4, "--plan")
    assert "GiB" in output
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / ".piaa" / "features").exists()
