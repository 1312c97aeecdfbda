"""`piaa train` as a user runs it: on drawn scenes, on folders of one's own, and when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.evaluation import metrics
from piaa.evaluation.score_tables import ScoreTable, read_scores
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder, write_scene_truth
from piaa.training import METHODS
from piaa.training.backbones import TrainedNetwork
from piaa.training.trained import TrainedHead

pytest.importorskip("lightning_fabric")


def invoke(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "180"})
    assert result.exit_code == code, result.output
    return result.output


def run(*arguments: str | Path, code: int = 0) -> str:
    return invoke("train", *arguments, code=code)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("training")
    for split, count in (("unlabelled", 20), ("test", 16)):
        write_scene_truth(root / f"{split}.csv", split, write_scene_folder(root / split, 5, split, count))
    (root / "labels.txt").write_text("\n".join(object_names()))
    (root / "unlabelled" / "broken.png").write_bytes(b"no image")
    return root


def given(world: Path) -> list[str | Path]:
    return [
        "--images", world / "unlabelled", "--labels", world / "labels.txt", "--truth", world / "unlabelled.csv",
        "--test-images", world / "test", "--test-truth", world / "test.csv", "--features", world / "features",
        "--epochs", "2", "--recipe-for", "scenes",
    ]  # fmt: skip


def test_train_measures_and_writes_what_it_says(world: Path) -> None:
    out, report, drawn = world / "gr.head", world / "gr.json", world / "drawn.jsonl"
    arguments = [*given(world), "--method", "gr", "--out", out, "--report", report, "--drawn-labels", drawn]
    printed = run(*arguments)
    numbers = json.loads(report.read_text())
    assert f"{numbers['map']:.1f}" in printed
    assert "1 training images cannot be read" in printed
    assert (numbers["train_images"], numbers["test_images"], len(numbers["losses"])) == (20, 16, 2)
    assert numbers["low"] <= numbers["map"] <= numbers["high"]
    head = TrainedHead.load(out)
    assert head.settings["method"] == "gr"
    assert head.settings["model"] == "embedded"
    lines = [json.loads(line) for line in drawn.read_text().splitlines()]
    assert lines[0]["regime"] == "single-positive"
    assert all(len(line["present"]) == 1 for line in lines[1:])
    assert not out.with_name(out.name + ".partial").exists()
    again = run(*arguments)  # the stored labels are read again, and everything comes out the same
    assert f"{numbers['map']:.1f}" in again
    assert json.loads(report.read_text())["losses"] == numbers["losses"]
    assert "were drawn for other images" in run(*arguments, "--seed", "8", code=1)


def test_piaa_as_teacher_is_measured_beside_its_student(world: Path) -> None:
    report = world / "t.json"
    arguments = ["--method", "gr", "--regime", "none", "--pseudo-labels", "piaa", "--out", world / "t.head"]
    printed = run(*given(world), *arguments, "--report", report)
    numbers = json.loads(report.read_text())
    assert f"{numbers['piaa']['map']:.1f}" in printed
    assert f"{numbers['together']['map']:.1f}" in printed
    assert numbers["piaa"]["map"] > 30  # chance is about 8


def test_a_taught_head_tags_together_with_piaa(world: Path) -> None:
    common = ["--labels", world / "labels.txt", "--image-size", "trained"]
    invoke("fit", world / "unlabelled", *common, "--out", world / "p.piaa", code=3)
    taught = ["--images", world / "unlabelled", "--features", world / "features", "--epochs", "2", "--regime", "none"]
    run(*taught, *common, "--method", "gr", "--pseudo-labels", "piaa", "--out", world / "p.head")
    tag = ["tag", world / "test", "--classifier", world / "p.piaa", "--all-scores"]
    invoke(*tag, "--out", world / "alone.jsonl")
    invoke(*tag, "--out", world / "both.jsonl", "--head", world / "p.head")
    alone, both = (
        [json.loads(line) for line in (world / f"{name}.jsonl").read_text().splitlines()[1:]]
        for name in ("alone", "both")
    )
    assert [row["path"] for row in both] == [row["path"] for row in alone]
    assert both != alone
    judge = ["eval", world / "test", "--classifier", world / "p.piaa", "--truth", world / "test.csv"]
    printed = invoke(
        *judge, "--head", world / "p.head", "--out", world / "both.json", "--bootstrap", "20",
        "--scores", world / "both.parquet",
    )  # fmt: skip
    assert "PIAA and the head against" in printed
    found = json.loads((world / "both.json").read_text())
    invoke(*judge, "--out", world / "alone.json", "--bootstrap", "0")
    plain = json.loads((world / "alone.json").read_text())
    table = read_scores(world / "both.parquet")
    assert decided_by(table) == [{entry["label"] for entry in row["labels"]} for row in both]
    own = 100 * metrics.mean_average_precision(table.scores["together"], table.labels)
    assert found["map"]["together"] == pytest.approx(own, abs=1e-6)
    assert found["map"]["piaa"] == plain["map"]["piaa"]
    assert {row["baseline"] for row in found["comparisons"]} == {"cls", "text_patch", "piaa"}
    assert found["f1"]["learnt thresholds"] != plain["f1"]["learnt thresholds"]
    assert "--threshold is for PIAA alone" in invoke(
        *tag, "--out", world / "x.jsonl", "--head", world / "p.head", "--threshold", "star=0.3", code=1
    )
    run(*taught, *common, "--method", "gr", "--pseudo-labels", "clip", "--out", world / "q.head")
    printed = invoke(*tag, "--out", world / "x.jsonl", "--head", world / "q.head", code=1)
    assert "not taught by PIAA" in " ".join(printed.split())
    invoke("fit", world / "unlabelled", "--labels", world / "labels.txt", "--out", world / "large.piaa", code=3)
    other = ["tag", world / "test", "--classifier", world / "large.piaa", "--out", world / "x.jsonl"]
    assert "image_size" in invoke(*other, "--head", world / "p.head", code=1)
    for_large = ["--labels", world / "labels.txt", "--method", "gr", "--pseudo-labels", "piaa"]
    run(*taught, *for_large, "--classifier", world / "large.piaa", "--out", world / "l.head")
    invoke(*other, "--head", world / "l.head")  # one option, and they belong together
    large = ["eval", world / "test", "--classifier", world / "large.piaa", "--truth", world / "test.csv"]
    assert "image_size" in invoke(*large, "--head", world / "p.head", code=1)


def test_a_head_for_a_classifier_that_takes_none_is_refused(world: Path) -> None:
    fit = ["fit", world / "unlabelled", "--labels", world / "labels.txt"]
    given = [
        "--images", world / "unlabelled", "--labels", world / "labels.txt", "--features", world / "features",
        "--method", "gr", "--regime", "none", "--pseudo-labels", "piaa", "--out", world / "x.head",
    ]  # fmt: skip
    invoke(*fit, "--quality", "best", "--out", world / "two.piaa", code=3)
    assert "several sizes" in " ".join(run(*given, "--classifier", world / "two.piaa", code=1).split())
    invoke(*fit, "--method", "clip", "--out", world / "clip.piaa", code=3)
    assert "of the method clip" in " ".join(run(*given, "--classifier", world / "clip.piaa", code=1).split())


def decided_by(table: ScoreTable) -> list[set[str]]:
    return [{name for name, yes in zip(table.label_names, row, strict=True) if yes} for row in table.decided.tolist()]


@pytest.mark.parametrize("command", [["explain", "x.jpg", "--classifier", "x.piaa", "--out", "x.png"], ["serve", "x"]])
def test_where_no_head_goes_it_is_said(command: list[str]) -> None:
    assert "goes with 'piaa tag' and 'piaa eval'" in " ".join(invoke(*command, "--head", "x.head", code=1).split())


def test_the_published_habit_is_marked(world: Path) -> None:
    printed = run(*given(world), "--method", "bce-ls", "--out", world / "b.head", "--choose-epoch", "test-map")
    assert "chosen by its mAP on the test labels" in printed


def test_no_label_is_needed_where_a_teacher_gives_them(world: Path) -> None:
    arguments = [
        "--images", world / "unlabelled", "--labels", world / "labels.txt", "--features", world / "features",
        "--epochs", "1", "--method", "cdul", "--pseudo-labels", "piaa", "--out", world / "c.head",
    ]  # fmt: skip
    assert "no test images" in run(*arguments)
    assert TrainedHead.load(world / "c.head").settings["teacher"] == "piaa"


def test_a_backbone_is_trained_end_to_end(world: Path) -> None:
    out, report = world / "n.safetensors", world / "n.json"
    onnx, whole = world / "n.onnx", world / "n8.onnx"
    printed = run(
        *given(world)[:-4], "--epochs", "2", "--method", "distil", "--backbone", "test_resnet", "--backbone-size", "32",
        "--backbone-weights", "random", "--out", out, "--report", report, "--rate", "0.004", "--export", onnx,
        "--export-int8", whole,
    )  # fmt: skip
    network = TrainedNetwork.load(out)
    assert network.thresholds is not None
    assert whole.stat().st_size < 0.4 * onnx.stat().st_size
    assert (network.backbone, network.settings["teacher"], network.settings["weights"]) == (
        "test_resnet",
        "piaa",
        "random",
    )
    numbers = json.loads(report.read_text())
    assert f"{numbers['map']:.1f}" in printed
    assert f"{numbers['piaa']['map']:.1f}" in printed  # the teacher beside it
    assert "together" not in numbers
    assert "began with random weights" in printed


def test_classes_are_found_by_vectors_of_ones_own(world: Path) -> None:
    words = {word for name in object_names() for word in name.split()}
    lines = [f"{word} {len(word)} {ord(word[0]) / 100} 1" for word in sorted(words)]
    (world / "vectors.txt").write_text("\n".join(lines))
    given_words = ["--class-embeddings", world / "vectors.txt", "--out", world / "s.head"]
    run(*given(world), "--method", "sarb", *given_words)
    head = TrainedHead.load(world / "s.head").head
    assert head.network.sizes["words"] == 3
    assert "for sst and sarb" in run(*given(world), "--method", "asl", *given_words, code=1)


def test_ccd_is_trained_end_to_end_on_crops_that_are_encoded_anew(world: Path) -> None:
    out, report = world / "ccd.safetensors", world / "ccd.json"
    run(
        *given(world)[:-4], "--epochs", "3", "--method", "ccd", "--backbone", "test_resnet", "--backbone-size", "32",
        "--backbone-weights", "random", "--out", out, "--report", report,
    )  # fmt: skip
    network = TrainedNetwork.load(out)
    assert (network.settings["regions"], network.settings["regime"], network.network.lift) == ("encoded", "none", 0.8)
    assert len(json.loads(report.read_text())["losses"]) == 3


def test_tiles_are_encoded_anew_for_a_head_that_asks_for_it(world: Path) -> None:
    out = world / "tiles.head"
    run(*given(world)[:-4], "--epochs", "1", "--method", "cdul", "--regions", "encoded", "--out", out)
    assert TrainedHead.load(out).settings["regions"] == "encoded"
    assert list((world / "features").glob("tiles-*.npy"))


def test_the_list_names_every_method() -> None:
    assert set(METHODS) <= set(run("--list").replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a method and a file"),
        (["--method", "best", "--out", "x"], "choose one of"),
        (["--method", "gr", "--out", "x"], "give --images and --labels, or a --dataset"),
        (["--method", "gr", "--out", "x", "--export", "x.onnx"], "name one with --backbone"),
        (["--method", "gr", "--out", "x", "--backbone", "test_resnet", "--export-int8", "x.onnx"], "name both"),
        (["--method", "gr", "--out", "x", "--backbone", "resnet5000"], "cannot be had"),
        (["--method", "ccd", "--out", "x", "--regions", "pixels"], "choose one of: patches, encoded"),
        (["--method", "gr", "--out", "no/such/x"], "does not exist"),
        (["--method", "sst", "--out", "x", "--class-embeddings", "none.txt"], "there is no such file"),
        (["--method", "gr", "--out", "x", "--dataset", "imagenet"], "no data set is called"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in " ".join(run(*arguments, code=1).split())


def test_truth_that_a_regime_needs_is_asked_for(world: Path) -> None:
    arguments = ["--images", world / "unlabelled", "--labels", world / "labels.txt", "--features", world / "features"]
    assert "needs true labels" in run(*arguments, "--method", "bce-ls", "--out", world / "x.head", code=1)
