"""The command line as a user runs it, on image files, with the embedded model."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.errors import ClassifierError, InputError
from piaa.inputs.items import iterate
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder, write_scene_truth


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_scene_folder(root / "unlabelled" / "nested", 5, "unlabelled", 40)
    write_scene_truth(root / "truth.csv", "test", write_scene_folder(root / "test", 5, "test", 24))
    (root / "labels.txt").write_text("\n".join(object_names()))
    run("fit", root / "unlabelled", "--labels", root / "labels.txt", "--out", root / "demo.piaa")
    return root


def test_fit_leaves_the_classifier_alone(world: Path) -> None:
    assert sorted(path.name for path in world.iterdir()) == [
        "demo.piaa", "labels.txt", "test", "truth.csv", "unlabelled",
    ]  # fmt: skip
    report = Recognizer.load(world / "demo.piaa").classifier_.report
    assert report["images"] == 40
    assert report["patches"] == 40 * 256
    assert sum(report["bank_sizes"]) <= 40 * 256


def test_two_fits_of_one_folder_give_the_same_bytes(world: Path, tmp_path: Path) -> None:
    for process in range(2):  # processes of their own: the order of metadata keys changed from one to the next
        command = [sys.executable, "-m", "piaa.cli.main", "fit", world / "unlabelled", "--labels"]
        subprocess.run([*command, world / "labels.txt", "--out", tmp_path / f"{process}.piaa"], check=True)
    assert (tmp_path / "0.piaa").read_bytes() == (tmp_path / "1.piaa").read_bytes()


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_tag_writes_one_row_an_image_in_order(world: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"tags.{ending}"
    run("tag", world / "test", "--classifier", world / "demo.piaa", "--out", out)
    names = [item.id for item in iterate(world / "test")]
    expected = Recognizer.load(world / "demo.piaa").predict(world / "test")
    if ending == "jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()[1:]]
        found = [({entry["label"] for entry in row["labels"]}, row["path"]) for row in rows]
        assert all(entry["score"] >= 0.5 - 1e-6 for row in rows for entry in row["labels"])
    elif ending == "csv":
        with out.open(newline="") as file:
            found = [(set(filter(None, row["labels"].split(";"))), row["path"]) for row in csv.DictReader(file)]
    else:
        rows = pq.read_table(out).to_pylist()
        found = [({entry["label"] for entry in row["labels"]}, row["path"]) for row in rows]
    assert [path for _, path in found] == names
    assert [labels for labels, _ in found] == expected
    assert any(expected)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_bad_images_are_written_down_and_the_rest_goes_on(world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(next((world / "test").glob("*.jpg")).read_bytes())
    (folder / "b.jpg").write_text("this is no picture")
    (folder / "c.png").write_bytes(b"")
    (folder / "z.png").write_bytes(next((world / "test").glob("*.png")).read_bytes())
    out = tmp_path / "tags.jsonl"
    run("tag", folder, "--classifier", world / "demo.piaa", "--out", out, code=3)
    assert [Path(json.loads(line)["path"]).name for line in out.read_text().splitlines()[1:]] == ["a.jpg", "z.png"]
    errors = [json.loads(line) for line in (tmp_path / "tags.jsonl.errors.jsonl").read_text().splitlines()]
    assert [Path(row["path"]).name for row in errors] == ["b.jpg", "c.png"]
    assert "empty" in errors[1]["reason"]
    strict = tmp_path / "strict.jsonl"
    message = run("tag", folder, "--classifier", world / "demo.piaa", "--out", strict, "--strict", code=1)
    assert "b.jpg" in message
    assert not strict.exists()


def test_eval_and_explain(world: Path, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    run("eval", world / "test", "--classifier", world / "demo.piaa", "--truth", world / "truth.csv", "--out", numbers)
    written = json.loads(numbers.read_text())
    assert set(written["map"]) == {"cls", "text_patch", "text_scaled", "paa", "pvcl", "piaa"}
    assert written["images"] == 24
    photo = next((world / "test").glob("*.jpg"))
    run("explain", photo, "--classifier", world / "demo.piaa", "--out", tmp_path / "heat.png")
    picture = np.asarray(Image.open(tmp_path / "heat.png").convert("RGB"))
    assert picture.std() > 10


def test_demo_writes_its_numbers_and_its_report(tmp_path: Path) -> None:
    run("demo", "--seed", "4", "--out", tmp_path, "--unlabelled", "30", "--test", "16")
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    for key in ("cls_map", "text_patch_map", "pvcl_map", "piaa_map", "cf1", "of1"):
        assert 0 <= numbers[key] <= 100
    assert set(numbers["seconds"]) == {"draw", "fit", "tag", "evaluate"}
    page = (tmp_path / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("data:image/") >= 10


def test_the_answer_does_not_depend_on_the_batch(world: Path) -> None:
    one = Recognizer.load(world / "demo.piaa", batch_size=1).decision_function(world / "test")
    many = Recognizer.load(world / "demo.piaa", batch_size=24, workers=1).decision_function(world / "test")
    probed = Recognizer.load(world / "demo.piaa").decision_function(world / "test")
    assert np.abs(one - many).max() < 1e-5
    assert np.abs(one - probed).max() < 1e-5
    assert one.min() >= 0 and one.max() <= 1 and one.std() > 0.05


def test_all_kinds_of_inputs_agree(world: Path) -> None:
    recognizer = Recognizer.load(world / "demo.piaa")
    paths = sorted((world / "test").glob("*.png"))
    pictures = [Image.open(path).convert("RGB") for path in paths]
    by_path = recognizer.predict_proba(paths)
    assert np.array_equal(by_path, recognizer.predict_proba(pictures))
    assert np.array_equal(by_path, recognizer.predict_proba([np.asarray(picture) for picture in pictures]))
    tensors = [torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1) for picture in pictures]
    assert np.array_equal(by_path, recognizer.predict_proba(tensors))


def test_save_and_load_give_the_same_answers(world: Path, tmp_path: Path) -> None:
    recognizer = Recognizer(["cat", "sun: star", "anchor"], batch_size=8).fit(world / "unlabelled")
    recognizer.save(tmp_path / "x.piaa")
    again = Recognizer.load(tmp_path / "x.piaa", batch_size=8)
    assert np.array_equal(recognizer.predict_proba(world / "test"), again.predict_proba(world / "test"))
    assert again.classifier_.labels[1].synonyms == ("star",)


def test_thresholds_can_be_overridden(world: Path, tmp_path: Path) -> None:
    recognizer = Recognizer.load(world / "demo.piaa")
    before = recognizer.predict_proba(world / "test")
    common = int((before >= 0.5).sum(axis=0).argmax())
    name, highest = object_names()[common], before[:, common].max()
    assert highest >= 0.5
    recognizer.set_thresholds({name: (1 + highest) / 2})
    after = recognizer.predict(world / "test")
    assert not any(name in labels for labels in after)
    recognizer.save(tmp_path / "stricter.piaa")
    assert Recognizer.load(tmp_path / "stricter.piaa").predict(world / "test") == after
    with pytest.raises(InputError, match="no class is called 'unicorn'"):
        recognizer.set_thresholds({"unicorn": 0.5})


def test_an_unreadable_image_is_a_row_of_nan_and_a_warning(world: Path, tmp_path: Path) -> None:
    recognizer = Recognizer.load(world / "demo.piaa")
    with pytest.warns(UserWarning, match="1 images could not be"):
        result = recognizer.predict_proba([tmp_path / "gone.jpg", next((world / "test").glob("*.jpg"))])
    assert np.isnan(result[0]).all()
    assert np.isfinite(result[1]).all()
    assert recognizer.errors_[0][0].endswith("gone.jpg")


def test_errors_are_one_message(world: Path, tmp_path: Path) -> None:
    labels = tmp_path / "twice.txt"
    labels.write_text("cat\ndog\nCat\n")
    assert "line 3" in run("fit", world / "unlabelled", "--labels", labels, "--out", tmp_path / "x.piaa", code=1)
    assert "no such" in run(
        "tag", tmp_path / "nowhere", "--classifier", world / "demo.piaa", "--out", tmp_path / "x.jsonl", code=1
    )
    assert ".parquet" in run(
        "tag", world / "test", "--classifier", world / "demo.piaa", "--out", tmp_path / "x.xlsx", code=1
    )
    with pytest.raises(InputError, match="not fitted"):
        Recognizer(["cat"]).predict(world / "test")
    with pytest.raises(ClassifierError):
        Recognizer.load(labels)


def test_a_fit_cut_short_goes_on_with_resume(world: Path, tmp_path: Path) -> None:
    from piaa.jobs import fit_job

    class Killed(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 24:
            raise Killed

    out = tmp_path / "x.piaa"
    options = {"batch_size": 8, "checkpoint_every": 8}
    recognizer = Recognizer(["cat", "sun", "anchor"], batch_size=8)
    with pytest.raises(Killed):
        fit_job(recognizer.learner(), world / "unlabelled", out=out, progress=stop, **options)
    assert not out.exists()
    offered: list[int] = []

    def watch(done: int, total: int) -> None:
        offered.append(done)

    learner = recognizer.learner()
    summary = fit_job(learner, world / "unlabelled", out=out, resume=True, progress=watch, **options)
    assert offered[0] == 24  # 16 were in the last checkpoint
    assert summary.tagged == 40
    whole = recognizer.learner()
    fit_job(whole, world / "unlabelled", out=tmp_path / "y.piaa", **options)
    resumed, straight = learner.state_dict(), whole.state_dict()
    assert resumed.keys() == straight.keys()
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
    with pytest.raises(Killed):
        fit_job(recognizer.learner(), world / "unlabelled", out=out, progress=stop, **options)
    other = Recognizer(["cat", "sun"], batch_size=8).learner()
    with pytest.raises(InputError, match="labels"):
        fit_job(other, world / "unlabelled", out=out, resume=True, **options)


def test_the_command_line_starts_without_heavy_imports() -> None:
    import subprocess
    import sys

    code = "import sys, piaa.cli.main; print([m for m in ('torch', 'open_clip', 'pyarrow') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_package_offers_the_recognizer() -> None:
    import piaa

    assert piaa.Recognizer is Recognizer
    with pytest.raises(AttributeError, match="nothing"):
        piaa.nothing  # noqa: B018
