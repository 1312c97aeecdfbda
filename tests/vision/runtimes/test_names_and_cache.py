"""Names, what is missing, and the folder of exported graphs."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from small_model import SIZE, small_visual
from torch import nn

from piaa.errors import InputError, ModelError
from piaa.vision.encoder import Encoder
from piaa.vision.front_ends import FRONT_ENDS
from piaa.vision.models import model_fingerprint
from piaa.vision.runtimes import Engine, cache, exported, names, parse_engine
from piaa.vision.runtimes.build import build_encoder
from piaa.vision.towers import build_tower


def test_every_name_means_itself():
    for name in names.engine_names():
        assert str(parse_engine(name)) == name
    assert parse_engine("OpenVINO:fp32") == Engine("openvino")
    assert [name for name in names.engine_names() if not parse_engine(name).exact] == [
        "openvino:bf16", "openvino:int8", "onnxruntime:int8",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["tensorrt", "eager:int8", "openvino:fp8", "auto:bf16", "", ":"])
def test_what_does_not_exist_is_answered_with_what_does(text):
    with pytest.raises(ModelError, match="openvino:bf16"):
        parse_engine(text)


def test_a_missing_package_is_named_with_what_to_do(monkeypatch, tower):
    monkeypatch.setattr(names, "find_spec", lambda package: None if package == "onnxscript" else object())
    with pytest.raises(
        ModelError, match=r"onnxscript, not installed here; in a checkout: pip install -e '.\[engines\]'"
    ):
        build_encoder(Encoder(tower), "openvino", "x", SIZE)
    assert build_encoder(encoder := Encoder(tower), "eager", "x", SIZE) is encoder


def test_names_need_nothing_heavy():
    code = "import sys; from piaa.vision.runtimes import parse_engine; parse_engine('auto'); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_second_process_does_not_export_again(built, tower, fingerprint, graphs, images, monkeypatch):
    first = built("onnxruntime", "clip")(images)

    def never(*arguments):
        raise AssertionError("exported again")

    monkeypatch.setattr(exported, "export_onnx", never)
    again = build_encoder(Encoder(tower, "clip"), "onnxruntime", fingerprint, SIZE, graphs)(images)
    assert torch.equal(again.patches, first.patches)
    build_encoder(Encoder(tower, "clip"), "openvino", fingerprint, SIZE, graphs)(images)  # shares the graph


def test_a_graph_is_named_by_everything_that_is_in_it(tower, fingerprint):
    def name(tower=tower, front_end="clip", fingerprint=fingerprint, size=SIZE):
        return cache.name_of(cache.describe_graph(Encoder(tower, front_end), fingerprint, size))

    other_activation = build_tower(small_visual(act_layer=nn.GELU))
    assert model_fingerprint(other_activation.visual) == fingerprint  # the weights alone do not tell
    own = replace(FRONT_ENDS["clip"], patches=FRONT_ENDS["sclip"].patches)
    others = [
        name(front_end="sclip"), name(front_end=own), name(fingerprint="0"), name(size=(96, 64)),
        name(tower=other_activation),
    ]  # fmt: skip
    assert name() == name(tower=build_tower(small_visual()))
    assert len({name(), *others}) == 6


def test_a_failed_export_leaves_nothing(tmp_path):
    def fails(folder):
        (folder / cache.GRAPH).write_bytes(b"half")
        raise ModelError("no")

    with pytest.raises(ModelError):
        cache.graph_folder({"a": 1}, fails, tmp_path / "engines")
    assert list((tmp_path / "engines").iterdir()) == []
    made = cache.graph_folder({"a": 1}, lambda folder: (folder / cache.GRAPH).write_bytes(b"x"), tmp_path / "engines")
    assert sorted(path.name for path in made.iterdir()) == [cache.ABOUT, cache.GRAPH]


def test_another_process_may_be_faster(tmp_path):
    def make(folder):
        rival = tmp_path / cache.name_of({"a": 1})
        rival.mkdir()
        (rival / cache.GRAPH).write_bytes(b"theirs")
        (folder / cache.GRAPH).write_bytes(b"ours")

    assert (cache.graph_folder({"a": 1}, make, tmp_path) / cache.GRAPH).read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="PIAA_CACHE_DIR"):
        cache.graph_folder({"a": 1}, lambda folder: None, tmp_path / "file" / "engines")


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("PIAA_CACHE_DIR", str(tmp_path / "here"))
    assert cache.engines_dir() == tmp_path / "here" / "engines"
    monkeypatch.delenv("PIAA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert cache.engines_dir() == tmp_path / "there" / "piaa" / "engines"


def test_a_damaged_graph_is_named_with_what_to_do(tower, tmp_path, images):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path / cache.name_of(cache.describe_graph(Encoder(tower, "clip"), "x", SIZE))
    folder.mkdir()
    (folder / cache.GRAPH).write_bytes(b"no graph")
    encode = build_encoder(Encoder(tower, "clip"), "onnxruntime", "x", SIZE, tmp_path)
    with pytest.raises(ModelError, match="delete the folder"):
        encode(images)
