"""`piaa download`: weights of a model of random numbers from a hub's stand-in, then without it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save
from stand_in import Repository, StandIn
from typer.testing import CliRunner

from piaa.classifier import Classifier
from piaa.cli.main import app
from piaa.errors import ModelError
from piaa.hub import push
from piaa.hub.download import download
from piaa.vision.models import load_model

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}
NAME = "hf-hub:alice/clip"


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def put_model(hub: StandIn, name: str = "alice/clip") -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    weights = open_clip.CLIP(**CONFIG).state_dict()
    hub.repositories[name] = Repository()
    config = json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}).encode()
    hub.repositories[name].commit({"open_clip_config.json": config, "open_clip_model.safetensors": save(weights)})
    return weights


def test_a_model_is_fetched_and_works_without_the_hub(
    hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    weights = put_model(hub)
    told = run("download", NAME)
    folder = tmp_path / "cache" / "models--alice--clip"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    assert size > 49408 * 16 * 4 and f"{size / 2**20:,.1f} MiB" in told
    assert str(folder) in told and "loads without a network now" in told
    assert not constants.HF_HUB_OFFLINE
    hub.shutdown()
    hub.server_close()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = load_model(NAME, device="cpu")
    assert torch.equal(model.clip.state_dict()["visual.proj"], weights["visual.proj"])


def test_a_classifier_brings_its_model(hub: StandIn, fitted: Path) -> None:
    put_model(hub)
    classifier = Classifier.load(fitted)
    push(replace(classifier, settings={**classifier.settings, "model": NAME, "pretrained": ""}), "alice/tools")
    done = download("hf-hub:alice/tools")
    assert done.places[0][0].read_bytes() and done.model is not None and done.model.name == NAME
    push(classifier, "alice/own")
    assert download("hf-hub:alice/own").model is None  # the embedded model is in the package


def test_what_cannot_be_had_is_said(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    assert "there is no such repository" in run("download", "hf-hub:alice/none", code=1)
    assert "on this machine already" in run("download", "embedded", code=1)
    assert "needs --pretrained: one of its tags (openai" in run("download", "ViT-B-32", code=1)
    assert "no model is called 'ViT-Z'" in run("download", "ViT-Z", code=1)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "Three ways" in run("download", "ViT-B-32", "--pretrained", "laion2b_s34b_b79k", code=1)


class Evil:
    """Unpickled by Python itself, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["hub", "directory", "checkpoint", "hugging-face"])
def test_a_checkpoint_with_code_never_runs_it(hub: StandIn, tmp_path: Path, kind: str) -> None:
    """Every way on which a stranger's PyTorch file can come in."""
    trace = tmp_path / "it-ran"
    torch.save({"state_dict": {"x": torch.zeros(1)}, "evil": Evil(trace)}, tmp_path / "evil.bin")
    pickle.loads(pickle.dumps(Evil(trace)))  # it would work
    assert trace.exists()
    trace.unlink()
    content = (tmp_path / "evil.bin").read_bytes()
    config = json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}).encode()
    folder = tmp_path / "model"
    folder.mkdir()
    name, pretrained = f"local-dir:{folder}", None
    if kind == "hub":
        hub.repositories["eve/clip"] = Repository()
        hub.repositories["eve/clip"].commit({"open_clip_config.json": config, "open_clip_pytorch_model.bin": content})
        name = "hf-hub:eve/clip"
    elif kind == "directory":
        (folder / "open_clip_config.json").write_bytes(config)
        (folder / "open_clip_pytorch_model.bin").write_bytes(content)
    elif kind == "hugging-face":
        (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": {}}))
        (folder / "pytorch_model.bin").write_bytes(content)
    else:
        name, pretrained = "ViT-B-32", str(tmp_path / "evil.bin")
    with pytest.raises(ModelError, match="holds more than weights, or is damaged"):
        load_model(name, pretrained, device="cpu")
    assert hub.asked("GET", "open_clip_pytorch_model.bin") == (kind == "hub")  # it was really read
    assert not trace.exists()
