"""`piaa datasets` and `piaa datasets check` as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import coco_json, nus_tree, picture, voc_tree
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.datasets import DATASETS, class_names


def run(*arguments: object, code: int = 0, env: dict[str, str | None] | None = None) -> str:
    env = {"COLUMNS": "400", "PIAA_DATA_DIR": None, **(env or {})}
    result = CliRunner().invoke(app, ["datasets", *map(str, arguments)], env=env)
    assert result.exit_code == code, result.output
    return result.output


def row(text: str, title: str) -> list[str]:
    line = next(line for line in text.splitlines() if f" {title} " in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_list_of_data_sets() -> None:
    text = run()
    assert all(f" {name} " in text for name in DATASETS)
    assert row(text, "coco2014")[:5] == ["coco2014", "MS-COCO 2014", "80", "82,081", "40,137"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    cow = [("cow", False, (1, 1, 9, 9))]
    home = voc_tree(tmp_path, 2007, {"trainval": {"000005": cow}, "test": {"000001": cow, "000002": cow}})
    (home / "JPEGImages" / "000002.jpg").unlink()
    nus = nus_tree(tmp_path / "nuswide", class_names("nus-wide"), {"a/1_1": [0]}, {"b/2_2": [1], "b/3_3": [1]}, True)
    picture(nus / "Flickr" / "a" / "1_1.jpg")
    (nus / "NUS-WIDE-urls.txt").write_text("C:\\ImageData\\Flickr\\b\\2_2.jpg 2 http://l http://m null null\n")
    return tmp_path


def test_check_counts_and_says_what_is_missing(root: Path) -> None:
    text = run("check", root)
    assert row(text, "PASCAL VOC 2007") == ["PASCAL VOC 2007", "learn from", "1", "5,011", "1", ""]
    assert row(text, "PASCAL VOC 2012")[1] == row(text, "MS-COCO 2014")[1] == "not found"
    assert row(text, "NUS-WIDE") == ["NUS-WIDE", "learn from", "1", "150,000", "1", ""]
    assert f"test: 1 images are missing, such as {root}/VOCdevkit/VOC2007/JPEGImages/000002.jpg" in text
    assert "test: 2 images are listed, not 4,952 (the paper)" in text
    assert "of 2 missing images 1 have an address in NUS-WIDE-urls.txt, 1 have none (1 are not in it)" in text
    assert "train2014.zip: train2014/, about 13 GB" in text and "VOCtrainval_11-May-2012.tar" in text
    assert "VOCtest_06-Nov-2007.tar" not in text  # its content is there
    assert run("check", env={"PIAA_DATA_DIR": str(root)}) == text


def test_check_against_published_lists(root: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "voc07train.txt").write_text("000005 9\n")
    (lists / "voc07val.txt").write_text("000001 9 14\n000003 1\n")
    (lists / "nuswideval.txt").write_text("b/2_2 1\n")
    text = run("check", root, "--lists", lists)
    assert row(text, "PASCAL VOC 2007")[5] == "all 1 agree"
    told = "0 agree, 1 differ (such as 000001), 1 not in the list (such as 000002), 1 not read (such as 000003)"
    assert told in text
    assert "the published test list; the images to learn from are all others" in text
    assert "all 1 agree" in text.split("NUS-WIDE ")[1]


def test_check_says_whole_only_of_what_is_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    assert "\nwhole\n" not in run("check", root)
    monkeypatch.setitem(DATASETS, "voc2007", replace(DATASETS["voc2007"], counts=(1, 2)))
    assert "\nwhole\n" not in run("check", root)
    picture(root / "VOCdevkit" / "VOC2007" / "JPEGImages" / "000002.jpg")
    assert run("check", root).count("\nwhole\n") == 1


def test_check_goes_on_after_a_broken_data_set(root: Path) -> None:
    pytest.importorskip("pycocotools")
    (root / "VOCdevkit" / "VOC2007" / "Annotations" / "000001.xml").write_text("<annotation>")
    coco_json(root / "annotations" / "instances_train2014.json", class_names("coco"), {"a.jpg": [(0, (0, 0, 1, 1), 0)]})
    coco_json(root / "annotations" / "instances_val2014.json", class_names("coco"), {"b.jpg": [(0, (0, 0, 1, 1), 0)]})
    text = run("check", root)
    assert row(text, "PASCAL VOC 2007")[1] == "not read" and "problem: " in text and "broken XML" in text
    assert row(text, "MS-COCO 2014") == ["MS-COCO 2014", "learn from", "1", "82,081", "0", ""]


def test_check_of_nothing(tmp_path: Path) -> None:
    assert "not found" in run("check", tmp_path, code=1)
    assert "no such folder" in run("check", tmp_path / "nowhere", code=1)
    assert "set PIAA_DATA_DIR" in run("check", code=1)
