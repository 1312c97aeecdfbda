"""A classifier file comes back bit for bit, and each way of being unusable gets its own message."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, safe_open, save_file

from piaa.classifier import FORMAT_VERSION, Classifier
from piaa.errors import ClassifierError
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales
from piaa.method.thresholds import Thresholds
from piaa.recognizer import Recognizer
from piaa.scenes import render, sample_scene
from piaa.vocabulary.labels import Label

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def make(classes: int = 3, dim: int = 4, seed: int = 0, dtype: torch.dtype = torch.float32) -> Classifier:
    rng = torch.Generator().manual_seed(seed)
    return Classifier(
        labels=[Label(f"class {c}", ("雪だるま", "ü") if c == 1 else ()) for c in range(classes)],
        learnt=PatchClassifier(
            torch.randn(classes + 1, dim, generator=rng).to(dtype),
            torch.randn(classes + 1, generator=rng).to(dtype),
            torch.randn(classes, dim, generator=rng).to(dtype),
            Scales(0.1, 1 / 3, 2.0, "odds"),
            0.9,
            "mean-top-2",
            Thresholds(torch.rand(classes, generator=rng).double().numpy(), np.ones(classes), "given"),
            curvature=torch.randn(dim, dim, generator=rng).to(dtype),
        ),
        text_scales=Scales(0.2, 1.0, 1e-17),
        statistics={"weights": torch.tensor([0.1, 2], dtype=torch.float64), "retained": torch.arange(6).view(2, 3)},
        settings={"model": "embedded", "pretrained": "x", "model_fingerprint": "abc", "alpha": 0.9},
        report={"images": 12, "fallbacks": {"class 1": "none found"}},
    )  # fmt: skip


def same(a: Classifier, b: Classifier) -> bool:
    tensors, others = a._tensors(), b._tensors()
    return (
        a.labels == b.labels
        and a.learnt.plain() == b.learnt.plain()
        and a.text_scales == b.text_scales
        and a.settings == b.settings
        and a.report == b.report
        and tensors.keys() == others.keys()
        and all(tensors[k].dtype == others[k].dtype and torch.equal(tensors[k], others[k]) for k in tensors)
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 5)),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
    words=st.data(),
)
def test_round_trip(tmp_path: Path, shape: tuple[int, int], dtype: torch.dtype, words: st.DataObject) -> None:
    labels = [Label(n) for n in words.draw(st.lists(NAMES, min_size=shape[0], max_size=shape[0]))]
    changes = {"labels": labels, "settings": words.draw(st.dictionaries(NAMES, JSON, max_size=4))}
    classifier = dataclasses.replace(make(*shape, dtype=dtype), **changes)
    classifier.save(tmp_path / "c.piaa")
    assert same(Classifier.load(tmp_path / "c.piaa"), classifier)
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.piaa"]  # nothing left aside


@pytest.mark.parametrize("start", [b"\x80\x05"])
def test_a_header_whose_length_begins_like_a_pickle(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "c.piaa"
    for padding in range(0, 1200, 4):  # headers are padded to 8 bytes
        classifier = dataclasses.replace(make(), settings={"x": "x" * padding})
        classifier.save(path)
        if path.read_bytes().startswith(start):
            break
    assert path.read_bytes().startswith(start)
    assert same(Classifier.load(path), classifier)


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    make().save(tmp_path / "a")
    Classifier.load(tmp_path / "a").save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_views_and_shared_memory_are_saved(tmp_path: Path) -> None:
    wide = torch.randn(4, 6)
    learnt = dataclasses.replace(make(3, 4).learnt, weight=wide.T[:4], prototypes=wide.T[:3])
    shared = dataclasses.replace(make(3, 4), learnt=learnt)
    shared.save(tmp_path / "c")
    assert same(Classifier.load(tmp_path / "c"), shared)


def test_failed_save_keeps_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "c.piaa"
    make(seed=1).save(path)
    with pytest.raises(ClassifierError, match="JSON"):
        dataclasses.replace(make(), settings={"x": object()}).save(path)
    with pytest.raises(ClassifierError, match="cannot write"):
        make().save(tmp_path / "nowhere" / "c.piaa")
    assert same(Classifier.load(path), make(seed=1)) and len(list(tmp_path.iterdir())) == 1


def rewritten(path: Path, content: dict | str | None = None, **tensors: torch.Tensor | None) -> None:
    """The saved file with some of its content (or all, as text) or tensors changed; None removes a tensor."""
    with safe_open(path, "pt") as opened:
        old = json.loads(opened.metadata()["piaa"])
    changed = {k: v for k, v in {**load_file(path), **tensors}.items() if v is not None}
    text = content if isinstance(content, str) else json.dumps(old | (content or {}))
    save_file(changed, path, {"piaa": text})


DAMAGE: dict[str, Callable[[Path, bytes], object]] = {
    "truncated": lambda path, whole: path.write_bytes(whole[:-20]),
    "header only": lambda path, whole: path.write_bytes(whole[:40]),
    "corrupt header": lambda path, whole: path.write_bytes(whole[:12] + b"\xff\xff\xff" + whole[15:]),
    "empty": lambda path, _: path.write_bytes(b""),
    "text": lambda path, _: path.write_text("a shopping list"),
    "image": lambda path, _: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "pt": lambda path, _: torch.save({"weight": torch.zeros(3)}, path),
    "pickle": lambda path, _: path.write_bytes(pickle.dumps({"weight": 1})),
    "foreign": lambda path, _: save_file({"proj": torch.zeros(3, 4)}, path, {"format": "pt"}),
    "no metadata": lambda path, _: save_file(load_file(path), path),
    "future": lambda path, _: rewritten(path, {"format_version": FORMAT_VERSION + 1, "labels": "not known yet"}),
    "odd version": lambda path, _: rewritten(path, {"format_version": -1}),
    "bad json": lambda path, _: rewritten(path, "{"),
    "bad labels": lambda path, _: rewritten(path, {"labels": [1]}),
    "bad scales": lambda path, _: rewritten(path, {"text_scales": {"inference": 1}}),
    "missing": lambda path, _: rewritten(path, bias=None),
    "missing threshold": lambda path, _: rewritten(path, **{"thresholds.values": None}),
    "shape": lambda path, _: rewritten(path, prototypes=torch.zeros(3, 5)),
    "classes": lambda path, _: rewritten(path, weight=torch.zeros(2, 4)),
    "threshold shape": lambda path, _: rewritten(path, **{"thresholds.values": torch.zeros(7)}),
    "NaN": lambda path, _: rewritten(path, weight=torch.full((4, 4), torch.nan)),
    "infinite threshold": lambda path, _: rewritten(path, **{"thresholds.values": torch.full((3,), torch.inf)}),
    "integers": lambda path, _: rewritten(path, bias=torch.zeros(4, dtype=torch.int64)),
    "no curvature": lambda path, _: rewritten(path, curvature=None),
    "flat curvature": lambda path, _: rewritten(path, curvature=torch.zeros(4)),
    "no row": lambda path, _: rewritten(path, weight=torch.zeros(3, 4), bias=torch.zeros(3)),
    "gone": lambda path, _: path.unlink(),
}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "damaged or cut short"),
        ("header only", "damaged or cut short"),
        ("corrupt header", "damaged or cut short"),
        ("empty", "empty file"),
        ("text", "not a classifier file"),
        ("image", "not a classifier file"),
        ("pt", "pickle or zip"),
        ("pickle", "pickle or zip"),
        ("foreign", "safetensors file of something else"),
        ("no metadata", "safetensors file of something else"),
        ("future", "newer than this piaa reads"),
        ("no curvature", "missing tensors: curvature"),
        ("flat curvature", "curvature is 4, wanted 4 x 4"),
        ("no row", "a curvature, but no row for anything else"),
        ("odd version", "format version is -1"),
        ("bad json", "safetensors file of something else"),
        ("bad labels", "settings cannot be read"),
        ("bad scales", "settings cannot be read"),
        ("missing", "missing tensors: bias"),
        ("missing threshold", "missing tensors: thresholds.values"),
        ("shape", "prototypes is 3 x 5, wanted 3 x 4"),
        ("classes", "3 classes, but weight is 2 x 4"),
        ("threshold shape", "'values' is 7 for 3 classes"),
        ("NaN", "weight holds values that are not finite"),
        ("infinite threshold", "thresholds.values holds values that are not finite"),
        ("integers", "bias holds torch.int64"),
        ("gone", "cannot be read: No such file"),
    ],
)
def test_each_bad_file_has_its_own_error(tmp_path: Path, kind: str, reason: str) -> None:
    path = tmp_path / "c.piaa"
    make().save(path)
    DAMAGE[kind](path, path.read_bytes())
    with pytest.raises(ClassifierError) as caught:
        Classifier.load(path)
    assert reason in str(caught.value) and str(caught.value).startswith(str(path))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_damage_raises_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "c.piaa"
    make().save(path)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(ClassifierError):
        Classifier.load(path)


def test_a_malicious_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "c.piaa"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ClassifierError, match="never loaded"):
        Classifier.load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("letters", range(1, 9))
def test_what_is_loaded_does_not_hang_on_the_file(tmp_path: Path, letters: int) -> None:
    """Where values lie in memory shows in the last bits of products, so it may not follow the header's length."""
    path = tmp_path / "c.piaa"
    whole = dataclasses.replace(make(), settings={"x": "y" * letters})
    whole.save(path)
    loaded = Classifier.load(path)
    path.write_bytes(b"")
    assert same(loaded, whole)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in (loaded.learnt.weight, loaded.learnt.prototypes))


def test_check_model() -> None:
    classifier = make()
    classifier.check_model("abc", 4)
    with pytest.raises(ClassifierError, match=r"other model weights: fingerprint abc.*has xyz.*embedded x"):
        classifier.check_model("xyz", 4)
    with pytest.raises(ClassifierError, match="width 4, the model gives 512"):
        classifier.check_model("abc", 512)


def test_a_file_of_version_1_still_scores_as_it_did() -> None:
    """Written by the package before version 2: three classes from 24 drawn scenes; the numbers are its own."""
    recognizer = Recognizer.load(Path(__file__).parent / "data" / "classifier-v1.piaa")
    scenes = [render(sample_scene(5, "unlabelled", number), (96, 96)) for number in range(2)]
    scores = [[0.917595624923706, 0.9444918036460876, 0.8677814602851868],
              [0.8348369598388672, 0.7577831745147705, 0.8971357941627502]]  # fmt: skip
    calibrated = [0.0018893424672959964, 0.675748256133847, 0.07660585454216459]
    np.testing.assert_allclose(recognizer.decision_function(scenes), scores, rtol=1e-5)
    np.testing.assert_allclose(recognizer.predict_proba(scenes)[0], calibrated, rtol=1e-3)
    assert recognizer.classifier_.labels[1] == Label("umbrella", ("parasol",))
    assert recognizer.classifier_.text_scales.fusion == "odds"
    assert recognizer.thresholds_.rule == "mixture"
