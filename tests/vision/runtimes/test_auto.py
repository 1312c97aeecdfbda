"""The choice by trial: the fastest that is right, and asked once."""

import json

import pytest
import torch
from small_model import SIZE

from piaa.errors import ModelError
from piaa.vision.encoder import Encoded, Encoder
from piaa.vision.runtimes import Engine, auto, names


class Stand:
    """In the place of an exported encoder: right or wrong, or failing."""

    wrong: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    def __init__(self, encoder, engine, fingerprint, root):
        if engine.name in self.failing:
            raise ModelError("cannot be opened")
        self.encoder, self.engine = encoder, engine

    def __call__(self, images):
        encoded = self.encoder(images)
        factor = 1.5 if self.engine.name in self.wrong else 1.0
        return Encoded(encoded.cls, encoded.patches * factor, encoded.grid)


@pytest.fixture
def stands(monkeypatch):
    monkeypatch.setattr(auto, "ExportedEncoder", Stand)
    monkeypatch.setattr(names, "find_spec", lambda package: object())
    monkeypatch.setattr(Stand, "wrong", ())
    monkeypatch.setattr(Stand, "failing", ())
    return Stand


def timed(monkeypatch, seconds):
    """Take the clock out of the trial: what each case costs is given."""
    monkeypatch.setattr(auto, "in_turns", lambda cases, repeats: {name: [seconds[name]] * repeats for name in cases})


def test_the_fastest_is_taken_and_remembered(stands, monkeypatch, tower, tmp_path):
    timed(monkeypatch, {"eager": 1.0, "openvino": 0.5, "onnxruntime": 0.7})
    encoder = Encoder(tower, "clip")
    assert auto.choose_engine(encoder, "x", SIZE, tmp_path) == Engine("openvino")
    (verdict,) = tmp_path.iterdir()
    kept = json.loads(verdict.read_text())
    assert kept["rate_to_eager"] == {"eager": 1.0, "openvino": 2.0, "onnxruntime": pytest.approx(1 / 0.7)}
    timed(monkeypatch, {})  # would fail if it measured again
    assert auto.choose_engine(encoder, "x", SIZE, tmp_path) == Engine("openvino")
    verdict.write_text("damaged")
    timed(monkeypatch, {"eager": 1.0, "openvino": 0.5, "onnxruntime": 0.4})
    assert auto.choose_engine(encoder, "x", SIZE, tmp_path) == Engine("onnxruntime")


def test_noise_does_not_leave_eager(stands, monkeypatch, tower, tmp_path):
    timed(monkeypatch, {"eager": 1.0, "openvino": 0.97, "onnxruntime": 1.3})
    assert auto.choose_engine(Encoder(tower, "clip"), "x", SIZE, tmp_path) == Engine("eager")


def test_a_wrong_or_failing_engine_is_left_out_however_fast(stands, monkeypatch, tower, tmp_path):
    timed(monkeypatch, {"eager": 1.0, "openvino": 0.1, "onnxruntime": 0.1})
    monkeypatch.setattr(Stand, "wrong", ("openvino",))
    monkeypatch.setattr(Stand, "failing", ("onnxruntime",))
    with pytest.warns(UserWarning) as said:
        assert auto.choose_engine(Encoder(tower, "clip"), "x", SIZE, tmp_path) == Engine("eager")
    texts = sorted(str(warning.message) for warning in said)
    assert "onnxruntime is left out: cannot be opened" in texts[0]
    assert "openvino is left out: its patches differ from eager's by 5.0e-01" in texts[1]


def test_nothing_installed_is_eager_without_a_trial(monkeypatch, tower, tmp_path):
    monkeypatch.setattr(names, "find_spec", lambda package: None)
    assert auto.choose_engine(Encoder(tower, "clip"), "x", SIZE, tmp_path) == Engine("eager")
    assert list(tmp_path.iterdir()) == []


def test_not_a_number_is_a_difference():
    def encoded(value):
        return Encoded(torch.full((1, 2), value), torch.ones(1, 1, 2), (1, 1))

    assert auto.difference_from(encoded(1.0), encoded(1.0)) == ""
    assert "its cls differ" in auto.difference_from(encoded(1.0), encoded(float("nan")))
