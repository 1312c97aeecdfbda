"""Methods beside PIAA: one face, no image depending on another, and the commands as a user runs them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from few_templates import few_templates  # noqa: F401
from piaa.baselines import METHODS, TagClip, get_method, method_from_dict
from piaa.baselines.sample import RowSample
from piaa.baselines.tagclip import TagClipSettings
from piaa.cli.main import app
from piaa.errors import ClassifierError, InputError
from piaa.evaluation.evaluate import evaluate
from piaa.evaluation.truth import read_truth
from piaa.extensions import register_method
from piaa.methods import MethodScorer
from piaa.recognizer import Recognizer
from piaa.scenes import object_names, render, sample_scene
from piaa.scenes.folders import write_scene_folder, write_scene_truth
from piaa.setups import setup_of

pytestmark = pytest.mark.usefixtures("few_templates")
NAMES = [*object_names()[:5], "key"]


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("methods")
    write_scene_folder(root / "unlabelled", 5, "unlabelled", 12)
    write_scene_truth(root / "truth.csv", "test", write_scene_folder(root / "test", 5, "test", 6))
    (root / "labels.txt").write_text("\n".join(object_names()))
    return root


@pytest.fixture(scope="module")
def images() -> Tensor:
    setup = setup_of(
        ("embedded", None), front_end="clip", image_size="trained", resize=None, device="cpu", precision="auto",
        engine="eager", batch_size=0,
    )  # fmt: skip
    return torch.stack([setup.preprocess(render(sample_scene(5, "test", n), (96, 96))) for n in range(4)])


def fitted(method: str | TagClip, **options: object) -> Recognizer:
    scenes = [render(sample_scene(5, "unlabelled", n), (96, 96)) for n in range(5)]
    return Recognizer(NAMES, method=method, image_size="trained", **options).fit(scenes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scorers(few_templates: None) -> dict[str, MethodScorer]:  # noqa: F811
    return {name: fitted(name).scorer() for name in METHODS}  # type: ignore[misc]


@pytest.mark.parametrize("name", METHODS)
def test_no_image_depends_on_its_batch(name: str, scorers: dict[str, MethodScorer], images: Tensor) -> None:
    scorer = scorers[name]
    whole, back = scorer.observe(images), scorer.observe(images.flip(0))
    torch.testing.assert_close(back.flip(0), whole, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(scorer.observe(images[2:3])[0], whole[2], atol=1e-5, rtol=1e-4)
    assert float(whole.std(dim=0).max()) > 1e-3  # the images do differ
    if scorer.method.transductive:
        pair = scorer.score_set(whole[:2])
        assert not torch.allclose(pair, scorer.score_set(whole)[:2], atol=1e-3)  # as its table says
        with pytest.raises(InputError, match="piaa fit --method sparc"):
            scorer.score(images)
    else:
        scores = scorer.score(images)
        assert scores.shape == (4, len(NAMES)) and 0 <= float(scores.min()) <= float(scores.max()) <= 1
        torch.testing.assert_close(scorer.score(images[1:2])[0], scores[1], atol=1e-5, rtol=1e-4)


def test_tagclip_together_gives_what_one_by_one_gives(scorers: dict[str, MethodScorer], images: Tensor) -> None:
    published = METHODS["tagclip-published"]
    assert isinstance(published, TagClip) and published.images_together == published.settings.together == 1
    stops = replace(METHODS["tagclip"], settings=TagClipSettings(empty_box="stop"))
    together = fitted(stops).scorer().score(images)  # type: ignore[arg-type]
    torch.testing.assert_close(together, scorers["tagclip-published"].score(images), atol=1e-5, rtol=1e-4)


def test_the_parts_of_piaa_that_have_a_name_score_alike(world: Path) -> None:
    """`clip` and `sclip` are the lines `cls` and `text_patch` of every evaluation of PIAA with that front-end."""
    truth = read_truth(world / "truth.csv", object_names())
    piaa = Recognizer(object_names(), front_end="sclip").fit(world / "unlabelled").scorer()
    parts = evaluate(piaa, world / "test", truth).scores
    for name, part in (("clip", "cls"), ("sclip", "text_patch"), ("text-patches", "text_patch")):
        front_end = "sclip" if name == "text-patches" else None
        own = Recognizer(object_names(), method=name, front_end=front_end).fit(world / "unlabelled")
        torch.testing.assert_close(evaluate(own.scorer(), world / "test", truth).scores[name], parts[part])


@pytest.mark.parametrize("name", ["clip", "sc-clip", "tagclip", "sparc"])
def test_fit_tag_eval_and_explain(name: str, world: Path, tmp_path: Path) -> None:
    file, tags = tmp_path / "own.piaa", tmp_path / "tags.jsonl"
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(NAMES))
    run("fit", world / "unlabelled", "--labels", labels, "--out", file, "--method", name, "--image-size", "trained")
    run("tag", world / "test", "--classifier", file, "--out", tags, "--all-scores")
    _, *rows = [json.loads(line) for line in tags.read_text().splitlines()]
    assert len(rows) == 6 and all(set(row["scores"]) == set(NAMES) for row in rows)
    again = Recognizer.load(file)
    assert again.method == get_method(name)
    np.testing.assert_allclose(
        again.predict_proba(world / "test"), [[row["scores"][n] for n in NAMES] for row in rows], atol=2e-6
    )
    assert [sorted(entry["label"] for entry in row["labels"]) for row in rows] == [
        sorted(chosen) for chosen in again.predict(world / "test")
    ]
    numbers = tmp_path / "numbers.json"
    (tmp_path / "truth.jsonl").write_text(
        "\n".join(json.dumps({"path": Path(row["path"]).name, "labels": [NAMES[0]]}) for row in rows[:3])
        + "".join("\n" + json.dumps({"path": Path(row["path"]).name, "labels": []}) for row in rows[3:])
    )
    truth = tmp_path / "truth.jsonl"
    run("eval", world / "test", "--classifier", file, "--truth", truth, "--out", numbers, "--bootstrap", 10)
    measured = json.loads(numbers.read_text())
    assert list(measured["map"]) == [name] and 0 < measured["map"][name] <= 100
    photo = next((world / "test").glob("*.jpg"))
    blind = bool(again.scorer().method.without_maps)  # type: ignore[union-attr]
    said = run("explain", photo, "--classifier", file, "--out", tmp_path / "heat.png", code=int(blind))
    assert (tmp_path / "heat.png").is_file() is not blind
    assert ("looks at [CLS] alone" in said) is blind


def test_sparc_as_published_is_sparc_learnt_from_the_same_images(world: Path) -> None:
    truth = read_truth(world / "truth.csv", object_names())
    templates = "a photo of a {}"
    own = Recognizer(object_names(), method="sparc", templates=templates).fit(world / "test")
    published = Recognizer(object_names(), method="sparc-published", templates=templates).fit(world / "unlabelled")
    found = [evaluate(r.scorer(), world / "test", truth).scores for r in (own, published)]
    torch.testing.assert_close(found[0]["sparc"], found[1]["sparc-published"], atol=1e-4, rtol=1e-4)


def test_sparc_says_what_it_cannot_learn_from() -> None:
    same = [render(sample_scene(5, "test", 0), (96, 96))] * 3
    with pytest.raises(InputError, match="give more images that differ"):
        Recognizer(NAMES, method="sparc").fit(same)
    with pytest.raises(InputError, match="2 images and 2 classes"):
        Recognizer(NAMES, method="sparc").fit(same[:1])


def test_constants_come_back_from_the_file(tmp_path: Path) -> None:
    changed = TagClip("tagclip", "TagCLIP", "clip", TagClipSettings(recheck=0.25, together=3), images_together=2)
    fitted(changed, templates="a {}").save(tmp_path / "x.piaa")
    again = Recognizer.load(tmp_path / "x.piaa")
    assert again.method == changed and again.classifier_.settings["templates"] == ["a {}"]
    assert "recipe" not in again.classifier_.settings
    for method in METHODS.values():
        assert method_from_dict(json.loads(json.dumps(method.plain()))) == method
    with pytest.raises(ClassifierError, match="made by the method 'newer'"):
        method_from_dict({"name": "newer"})


def test_what_is_remembered_depends_on_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piaa.baselines.sample.MOST_IMAGES", 40)
    rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    one, two = RowSample(), RowSample()
    one.update(rows, range(100))
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    for part in order.split(7):
        two.update(rows[part], part.tolist())
        resumed = RowSample()
        resumed.load_state_dict(two.state_dict())
        two = resumed
    assert torch.equal(one.rows, two.rows) and one.rows.shape == (40, 3) and one.images == two.images == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "tagklip"], "no method is called 'tagklip'; choose one of: piaa, clip"),
        (["--method", "clip", "--recipe", "fixed-fusion"], "--method clip has no recipe"),
        (["--method", "tagclip", "--engine", "onnxruntime"], "tagclip takes the image tower apart"),
        (["--method", "sclip", "--front-end", "clip"], "--method sclip uses the front-end sclip, not clip"),
        (["--method", "clip", "--compound-prompts", "x.txt"], "--compound-prompts are for --method sparc"),
        (["--method", "sparc", "--compound-prompts", "x.txt"], "x.txt: cannot read the compound prompts"),
    ],
)
def test_what_cannot_be_is_said(options: list[str], message: str, world: Path, tmp_path: Path) -> None:
    fit = ("fit", world / "unlabelled", "--labels", world / "labels.txt", "--out", tmp_path / "x.piaa")
    assert message in run(*fit, *options, code=1)


def test_a_method_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piaa.baselines.METHODS", dict(METHODS))
    mine = register_method(replace(METHODS["clip"], name="mine", row="Mine"))
    assert get_method("mine") is mine and "mine" not in METHODS
    for taken in ("mine", "piaa"):
        with pytest.raises(InputError, match=f"a method called '{taken}' exists already"):
            register_method(replace(mine, name=taken))
