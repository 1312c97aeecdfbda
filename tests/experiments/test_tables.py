"""Specifications, rows and tables: the paper's figure beside ours, and the difference right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from piaa.errors import InputError
from piaa.evaluation.evaluate import METHODS
from piaa.experiments.job import recipe_for
from piaa.experiments.kinds import KINDS
from piaa.experiments.paper import best_of_figure4, paper_figures
from piaa.experiments.results import Results, Row, latest
from piaa.experiments.spec import read_spec, spec_names
from piaa.experiments.systems import is_system
from piaa.experiments.tables import build_table
from piaa.method.recipes import RECIPES
from piaa.vision.front_ends import FRONT_ENDS

ROW = Row(
    experiment="table3", row="SC-CLIP+PIAA", dataset="VOC07", model="ViT-B-16", pretrained="openai",
    front_end="sc-clip", recipe="default", method="piaa", metric="mAP", value=91.25, low=90.5, high=92.0,
    parameter="", images=4952, seconds=1.5, run="a", versions="piaa 0", commit="abc",
)  # fmt: skip


def test_every_specification_can_be_read() -> None:
    assert spec_names() == [
        "table1", "table2", "table3", "table4", "table5", "table6", "ablations",
        "figure1", "figure4", "figure5", "figure6",
    ]  # fmt: skip
    for name in spec_names():
        spec = read_spec(name)
        assert spec.kind in KINDS
        for run in spec.runs:
            assert is_system(run.method) if spec.kind in ("systems", "timing") else run.method in METHODS
            assert run.front_end in FRONT_ENDS
            assert recipe_for(run.recipe, "COCO").name in RECIPES
    with pytest.raises(InputError, match=r"no experiment is called 'table9'.*table1"):
        read_spec("table9")


@pytest.mark.parametrize("name", ["table2", "table3", "table4"])
def test_the_lines_are_the_papers(name: str) -> None:
    spec = read_spec(name)
    assert [run.row for run in spec.runs] == list(paper_figures(spec.paper))


def test_the_papers_figures() -> None:
    assert paper_figures("table1_map")["PIAA"] == {"VOC12": 92.2, "VOC07": 92.5, "COCO": 73.2, "NUS": 50.6}
    assert paper_figures("table1_map")["SPARC"]["VOC12"] is None
    assert paper_figures("table5_minutes")["COCO"]["PIAA test"] == 1.1
    assert best_of_figure4() == {"K": 512, "alpha": 0.9}


def test_lines_are_chosen_and_changed() -> None:
    spec = read_spec("table4")
    assert [run.model for run in spec.only(["EVA-02*L/14*"]).runs] == ["EVA02-L-14", "EVA02-L-14"]
    with pytest.raises(InputError, match=r"table4 has no line like nothing; it has: CLIP ViT-B/16"):
        spec.only(["nothing"])
    one_model = spec.changed(model="embedded", pretrained="", recipe=None)
    assert [(run.row, run.method) for run in one_model.runs] == [
        ("CLIP ViT-B/16", "text_patch"), ("CLIP ViT-B/16+PIAA", "piaa"),
    ]  # fmt: skip
    assert spec.changed(model=None, pretrained=None, recipe=None) == spec


def test_the_published_recipe_is_the_data_sets_own() -> None:
    assert recipe_for("published", "NUS").name == "published-nus"
    assert recipe_for("published", "scenes").name == "published-voc"
    assert recipe_for("default", "NUS").name == "default"


def test_ours_beside_the_papers_and_the_difference() -> None:
    scenes = replace(ROW, dataset="scenes", value=40.0, low=None, high=None, images=2000, model="embedded")
    table = build_table(read_spec("table3"), [ROW, scenes])
    assert table.header == (
        "mAP, %", "VOC12 paper", "VOC07 paper", "VOC07 ours", "VOC07 difference", "COCO paper", "NUS paper",
        "scenes ours",
    )  # fmt: skip
    cells = {line[0]: line[1:] for line in table.lines}
    assert cells["SC-CLIP+PIAA"] == ("92.2", "92.5", "91.2 [90.5, 92.0]", "-1.2", "73.2", "50.6", "40.0")
    assert cells["CLIP"] == ("78.3", "78.6", "", "", "49.2", "34.8", "")
    assert [name for name, ours in zip(cells, table.ours, strict=True) if ours] == ["SC-CLIP+PIAA"]
    assert "4952 test images with ViT-B-16 openai" in table.notes[0]
    assert "embedded benchmark" in table.notes[1]


def test_another_metric_gets_a_column() -> None:
    table = build_table(read_spec("table3"), [ROW, replace(ROW, metric="one-error", value=12.0, low=None, high=None)])
    assert table.header[-1] == "VOC07 one-error"
    assert next(line for line in table.lines if line[0] == "SC-CLIP+PIAA")[-1] == "12.0"


def test_the_table_of_sizes_and_of_minutes() -> None:
    giraffe = replace(ROW, experiment="table6", row="CLS", dataset="COCO", metric="AP giraffe", parameter="large")
    small = replace(giraffe, dataset="scenes", metric="mAP by size", parameter="small", value=3.0)
    cells = {line[0]: line[1:] for line in build_table(read_spec("table6"), [giraffe, small]).lines}
    assert cells["COCO giraffe"] == ("99.3", "95.5", "99.4", "91.2", "", "")
    assert cells["scenes small objects"] == ("", "", "", "3.0", "", "")
    minutes = replace(ROW, experiment="table5", metric="test minutes", value=7.126)
    table = build_table(read_spec("table5"), [minutes])
    assert dict(zip(table.header, table.lines[1], strict=True))["test minutes, ours"] == "7.13"


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    results = Results(tmp_path / "deep")
    results.append([ROW, replace(ROW, row="CLIP", low=None, high=None)])
    results.append([replace(ROW, run="b", value=50.0)])
    assert results.read() == [ROW, replace(ROW, row="CLIP", low=None, high=None), replace(ROW, run="b", value=50.0)]
    assert results.finished() == {"a", "b"}
    assert [row.value for row in latest(results.read()) if row.row == ROW.row] == [50.0]
    results.to_parquet(tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [Row(**values) for values in table] == results.read()


def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.append([ROW])
    with results.path.open("a") as stream:
        stream.write('[{"experiment": "table3", "ro')
    assert results.read() == [ROW]
    results.append([replace(ROW, run="b")])
    assert results.finished() == {"a", "b"}
    lines = results.path.read_text().splitlines()
    results.path.write_text("\n".join(["nonsense", *lines]) + "\n")
    with pytest.raises(InputError, match=r"results\.jsonl, line 1: not a line of results"):
        results.read()
    with pytest.raises(InputError, match="run `piaa reproduce`"):
        Results(tmp_path / "nowhere").read()
