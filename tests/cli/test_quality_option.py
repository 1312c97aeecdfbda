"""`--quality` as it is typed: what creates takes it, what reads a classifier honours it or says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from piaa.app.work import Settings, Work, learn_and_tag
from piaa.classifier import Classifier
from piaa.cli.main import app
from piaa.errors import InputError
from piaa.experiments.runner import Place
from piaa.inputs.items import iterate
from piaa.recognizer import Recognizer
from piaa.scenes.folders import write_scene_folder
from piaa.serve.reload import Loader
from piaa.vocabulary.labels import parse_labels

WORDS = ["anchor", "umbrella", "cow"]


def said(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten scenes; `standard.piaa` by default, `small.piaa` of the size of `fast` without its engine."""
    root = tmp_path_factory.mktemp("quality")
    write_scene_folder(root / "in", 5, "unlabelled", 10)
    (root / "labels.txt").write_text("\n".join(WORDS))
    fit = ("fit", root / "in", "--labels", root / "labels.txt")
    said(*fit, "--out", root / "standard.piaa")
    said(*fit, "--out", root / "small.piaa", "--image-size", "trained")
    return root


def test_the_quality_of_the_fit_changes_nothing(world: Path, tmp_path: Path) -> None:
    tag = ("tag", world / "in", "--classifier", world / "standard.piaa", "--out")
    said(*tag, tmp_path / "plain.jsonl")
    said(*tag, tmp_path / "named.jsonl", "--quality", "standard")
    assert (tmp_path / "named.jsonl").read_bytes() == (tmp_path / "plain.jsonl").read_bytes()


def test_a_quality_of_other_sizes_is_refused_with_what_the_fit_was(world: Path, tmp_path: Path) -> None:
    given = ("--classifier", world / "standard.piaa", "--out")
    text = said("tag", world / "in", *given, tmp_path / "t.jsonl", "--quality", "best", code=1)
    assert "made with 128 x 128 pixels, that of quality standard" in text and "anew with --quality best" in text
    assert not (tmp_path / "t.jsonl").exists()
    image = next((world / "in").iterdir())
    assert "quality fast sees 96 x 96" in said(
        "explain", image, *given, tmp_path / "t.png", "--quality", "fast", code=1
    )
    (world / "truth.csv").write_text(f"path,labels\n{image},cow\n")
    truth = ("--classifier", world / "standard.piaa", "--truth", world / "truth.csv")
    assert "that of quality standard" in said("eval", world / "in", *truth, "--quality", "best", code=1)
    assert "no quality is called 'finest'" in said(
        "tag", world / "in", *given, tmp_path / "t.jsonl", "--quality", "finest", code=1
    )
    with pytest.raises(InputError, match="that of quality standard"):
        Loader({"quality": "best"}, {})("x", world / "standard.piaa")  # what `serve` loads with


def test_fast_changes_the_engine_alone_where_the_size_is_the_same(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piaa.qualities._installed", lambda engine: False)  # no engine of 8 bits: the eager one
    plain, fast = (Recognizer.load(world / "small.piaa", quality=name) for name in (None, "fast"))
    assert fast.scorer().fingerprint == plain.scorer().fingerprint
    monkeypatch.setattr("piaa.qualities._installed", lambda engine: engine == "openvino:int8")
    seen: list[str] = []
    monkeypatch.setattr("piaa.fitted.setup_of", lambda *_, engine, **__: seen.append(engine) or pytest.skip())
    with pytest.raises(pytest.skip.Exception):
        Recognizer.load(world / "small.piaa", quality="fast")
    assert seen == ["openvino:int8"]


def test_what_learns_takes_it(world: Path, tmp_path: Path) -> None:
    given = ("--labels", world / "labels.txt", "--quality", "best")
    said("fit", world / "in", *given, "--out", tmp_path / "best.piaa")
    assert Classifier.load(tmp_path / "best.piaa").settings["views"] == views_of_quality("best")
    said("check", world / "in", *given, "--out", tmp_path / "check.json")
    assert json.loads((tmp_path / "check.json").read_text())["found"]
    settings = Settings(quality="best")
    recognizer, _ = learn_and_tag(settings, parse_labels(WORDS), list(iterate(world / "in"))[:4], Work(), 1)
    assert recognizer.classifier_.settings["views"] == views_of_quality("best")


def views_of_quality(name: str) -> str:
    from piaa.qualities import get_quality

    return get_quality(name).views


def test_an_index_remembers_it(world: Path, tmp_path: Path) -> None:
    search = ("search", world / "in", "a cow", "--index", tmp_path / "i.safetensors")
    assert "10 images encoded" in said(*search, "--quality", "best")
    assert "encoded" not in said(*search)
    assert "that of quality best" in said(*search, "--quality", "standard", code=1)
    table = ("search", world / "tags.csv", "cow", "--quality", "best")
    assert "are for images" in said(*table, code=1)


def test_stored_embeddings_are_of_one_size(tmp_path: Path) -> None:
    train = ("train", "--method", "cdul", "--dataset", "scenes", "--out", tmp_path / "head.safetensors")
    assert "stored of one" in said(*train, "--quality", "best", code=1)
    assert "stored of one" in said("reproduce", "table1", "--quality", "best", code=1)
    assert Place(tmp_path, tmp_path, quality="standard").runs_by == "eager"
    assert Place(tmp_path, tmp_path).runs_by == "eager"
