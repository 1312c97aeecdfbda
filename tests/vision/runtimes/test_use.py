"""Engines as a user names them: on the command line and in `Recognizer`, with the embedded model."""

import json

import pytest
import torch
from typer.testing import CliRunner

from piaa.classifier import Classifier
from piaa.cli.main import app
from piaa.engine import Setup
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder
from piaa.vision.encoder import Encoder
from piaa.vision.models import load_model
from piaa.vision.runtimes.auto import relative_difference


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIAA_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model():
    return load_model(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scene_folder(folder / "unlabelled", 5, "unlabelled", 24)
    (folder / "labels.txt").write_text("\n".join(object_names()))
    return folder


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_only_a_reduced_precision_names_the_engine_in_the_settings(model):
    def described(engine):
        return Setup(model, "clip", model.preprocess(), engine=engine).describe()

    assert described("openvino") == described("auto") == described("compile") == described("eager")
    assert "engine" not in described("eager")
    assert described("openvino:bf16") == described("eager") | {"engine": "openvino:bf16"}


def test_openvino_gives_the_embedded_models_embeddings_of_scenes(model, scenes):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    from piaa.inputs.items import batches, iterate

    setup = Setup(model, "sc-clip", model.preprocess(), 16, "openvino")
    (batch,) = batches(iterate(scenes / "unlabelled"), setup.preprocess, 32, 1, print)
    found, expected = setup.encoder()(batch.images), Encoder(model.tower, "sc-clip")(batch.images)
    assert relative_difference(found.cls, expected.cls) < 1e-5
    assert relative_difference(found.patches, expected.patches) < 1e-3
    worst = max(relative_difference(a, b) for a, b in zip(found.patches, expected.patches, strict=True))
    assert worst < 1e-2


def test_fit_and_tag_with_an_engine_agree_with_eager(scenes, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    fitted = {}
    for engine in ("eager", "openvino"):
        out = tmp_path / f"{engine}.piaa"
        run("fit", scenes / "unlabelled", "--labels", scenes / "labels.txt", "--out", out, "--engine", engine)
        fitted[engine] = Classifier.load(out)
    assert fitted["eager"].settings == fitted["openvino"].settings
    assert torch.allclose(fitted["eager"].learnt.weight, fitted["openvino"].learnt.weight, rtol=1e-2, atol=1e-2)
    rows = {}
    for engine in ("eager", "openvino"):
        out = tmp_path / f"{engine}.jsonl"
        arguments = ("--classifier", tmp_path / "eager.piaa", "--out", out, "--engine", engine)
        run("tag", scenes / "unlabelled", *arguments)
        rows[engine] = [json.loads(line) for line in out.read_text().splitlines()[1:]]
    assert [row["path"] for row in rows["eager"]] == [row["path"] for row in rows["openvino"]]
    same = [
        {label["label"] for label in a["labels"]} == {label["label"] for label in b["labels"]}
        for a, b in zip(rows["eager"], rows["openvino"], strict=True)
    ]
    assert sum(same) >= len(same) - 1  # a score may lie on its threshold within rounding


def test_an_engine_that_does_not_exist_is_refused_before_anything_is_read(scenes, tmp_path):
    text = run(
        "fit", scenes / "unlabelled", "--labels", scenes / "labels.txt", "--out", tmp_path / "x.piaa",
        "--engine", "tensorrt", code=1,
    )  # fmt: skip
    assert "no engine is called 'tensorrt'" in " ".join(text.split())
    with pytest.raises(Exception, match="no engine is called"):
        Recognizer(["anchor"], engine="openvino:fp8").learner()
