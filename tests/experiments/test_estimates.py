"""What table 1 costs in the paper's own setting: the arithmetic, and that it is shown before the work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from piaa.bench.flops import count_flops
from piaa.cli.main import app
from piaa.experiments.estimates import Gpu, backbone_flops, read_once, trained
from piaa.experiments.spec import read_spec
from piaa.training.spec import Pace, read_method


def test_a_backbone_is_counted_without_computing_it() -> None:
    """ResNet-50 is published at 4.1 G multiply-adds of an image of 224 pixels; twice the side, four times that."""
    small = backbone_flops("resnet50", 224)
    assert small == pytest.approx(2 * 4.09e9, rel=0.01)
    assert backbone_flops("resnet50", 448) == 4 * small
    timm = pytest.importorskip("timm")
    network, image = timm.create_model("test_resnet", num_classes=0).eval(), torch.zeros(1, 3, 64, 64)
    assert backbone_flops("test_resnet", 64) == count_flops(lambda: network(image))


def test_a_trained_line_is_forward_and_backward_of_each_image_and_epoch() -> None:
    cost = trained("x", "net", (100, 40), 7.0, Pace(epochs=3, rate=1e-5, batch=16))
    assert cost.step == 3 * 7 * 16
    assert cost.steps == 7 * 3  # the seventh step of an epoch has four images
    assert cost.learning == 3 * 7 * 100 * 3
    assert cost.test == 7 * 40


def test_a_line_without_training_reads_each_image_once() -> None:
    cost = read_once("x", "tower", (130, 40), 5.0)
    assert (cost.epochs, cost.steps, cost.step, cost.learning, cost.test) == (1, 3, 320, 650, 200)
    looked = read_once("x", "tower", (0, 40), 5.0, looks=2.5)
    assert (looked.images, looked.epochs, looked.steps, looked.learning, looked.test) == (0, 0, 1, 0, 500)


def test_hours_are_operations_by_what_is_used_of_the_peak() -> None:
    assert Gpu("x", peak=2e12, used=0.5).hours(3.6e15) == pytest.approx(1.0)


def test_the_page_says_what_is_reckoned_for_coco() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproducing.md").read_text(encoding="utf-8")
    hours = {}
    for name in ("ll-r", "gr", "ccd", "cdul", "sst"):
        method = read_method(name)
        cost = trained(name, "", (82_081, 40_137), backbone_flops(method.backbone), method.published)
        hours[name] = f"{Gpu().hours(cost.learning):.1f}"
    assert hours["cdul"] == hours["sst"]
    said = f"{hours['ll-r']}, GR Loss {hours['gr']}, CCD (ResNet-101) {hours['ccd']}, CDUL and SST {hours['cdul']}"
    assert said in page.replace("\n", " ")


def small_voc(root: Path, splits: dict[str, int]) -> None:
    """VOC 2007 with so many images of each split, a dog on each."""
    home = root / "VOCdevkit" / "VOC2007"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (home / folder).mkdir(parents=True)
    for split, count in splits.items():
        names = [f"{split}{number}" for number in range(count)]
        (home / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            Image.new("RGB", (64, 48)).save(home / "JPEGImages" / f"{name}.jpg")
            box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>"
            size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
            dog = f"<object><name>dog</name><difficult>0</difficult>{box}</object>"
            (home / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{dog}</annotation>")


def test_the_plan_of_a_real_data_set_shows_every_line_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_voc(tmp_path / "root", {"trainval": 4, "test": 2})
    monkeypatch.chdir(tmp_path)
    given = ["reproduce", "table1", "--datasets", "VOC07", "--data", "root", "--model", "embedded", "--plan"]
    result = CliRunner().invoke(app, given, env={"COLUMNS": "220"})
    assert result.exit_code == 0, result.output
    rows = {
        cells[0].strip(): [cell.strip() for cell in cells[1:]]
        for cells in (line.strip("│┃ ").split("│") for line in result.output.splitlines() if " px" in line)
    }
    assert set(rows) == {run.row for run in read_spec("table1").runs}
    pace = read_method("ll-r").published
    each = 3 * backbone_flops("resnet50")
    assert rows["LL-R"][:5] == ["resnet50, 448 px", "4", "10", "10", f"{each * pace.batch / 1e9:,.0f}"]
    assert rows["CCD"][0] == "resnet101, 448 px"
    assert rows["PIAA"][:4] == ["embedded, 96 px", "4", "1", "1"]
    assert rows["CLIP"][1:3] == ["0", "0"]
    assert float(rows["LL-R"][5]) == pytest.approx(Gpu().hours(each * 4 * 10), abs=6e-4)
    assert not (tmp_path / "results").exists()
