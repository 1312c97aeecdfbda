"""Other words in a fit: they have no column, they help, and every way of fitting knows them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from piaa.app.work import Settings, Work, learn_and_tag
from piaa.classifier import Classifier
from piaa.cli.main import app
from piaa.engine import Learner
from piaa.errors import InputError
from piaa.evaluation.metrics import mean_average_precision
from piaa.inputs.items import iterate
from piaa.recognizer import Recognizer
from piaa.scenes import object_names, render, sample_scene
from piaa.scenes.folders import write_scene_folder
from piaa.vision.encoder import Encoded
from piaa.vocabulary.labels import parse_labels

ASKED = [0, 7, 14, 21, 28, 35, 42, 49, 56, 59]


def words(asked: bool) -> list[str]:
    return [name for index, name in enumerate(object_names()) if (index in ASKED) == asked]


def scenes(split: str, count: int) -> tuple[list[Image.Image], torch.Tensor]:
    drawn = [sample_scene(83, split, number) for number in range(count)]
    labels = torch.tensor([[kind in scene.labels for kind in ASKED] for scene in drawn])
    return [render(scene, (96, 96)) for scene in drawn], labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("other")
    write_scene_folder(root / "in", 84, "unlabelled", 24)
    (root / "labels.txt").write_text("\n".join(words(True)))
    (root / "other.txt").write_text("\n".join([*words(False), words(True)[0]]))
    return root


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def encoded() -> tuple[Encoded, Encoded, torch.Tensor]:
    """100 unlabelled scenes, 150 test scenes and their labels, seen once."""
    setup = Recognizer(words(True), image_size="trained").learner().setup
    encode, parts = setup.encoder(), []
    for split, count in (("unlabelled", 100), ("test", 150)):
        pictures, labels = scenes(split, count)
        parts.append(encode(torch.stack([setup.preprocess(picture) for picture in pictures])))
    return parts[0], parts[1], labels


def reached(encoded: tuple[Encoded, Encoded, torch.Tensor], asked: list[int], other: bool) -> float:
    """mAP in percent of some of the ten labels, asked for together."""
    unlabelled, test, labels = encoded
    names = [words(True)[index] for index in asked]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner = Recognizer(names, other_words=words(False) if other else (), image_size="trained").learner()
    assert isinstance(learner, Learner)
    assert bool(learner.vocabulary_notes) == (len(asked) == 1 and not other)
    learner.update_encoded(unlabelled, range(len(unlabelled.cls)))
    scores = learner.finish().learnt.score(test.cls, test.patches)
    assert scores.shape == (150, len(asked))
    return 100 * mean_average_precision(scores, labels[:, asked])


def test_with_few_labels_other_words_keep_look_alikes_away(encoded: tuple[Encoded, Encoded, torch.Tensor]) -> None:
    """Of ten labels on scenes of sixty objects, with the other fifty known and not."""
    shown = encoded[2].any(dim=0).nonzero()[:, 0].tolist()
    assert reached(encoded, shown, True) > reached(encoded, shown, False) + 2


def test_one_label_has_other_words_to_be_told_from(encoded: tuple[Encoded, Encoded, torch.Tensor]) -> None:
    """Three labels, each asked for alone."""
    columns = encoded[2].sum(dim=0).topk(3).indices.tolist()
    alone, told = (sum(reached(encoded, [column], other) for column in columns) / 3 for other in (False, True))
    assert told > alone + 10


def test_the_file_has_the_other_words_and_gives_the_same_scores(tmp_path: Path) -> None:
    images, _ = scenes("unlabelled", 24)
    fitted = Recognizer(words(True), other_words=words(False), image_size="trained").fit(images)
    learnt = fitted.classifier_.learnt
    assert learnt.weight.shape[0] == len(object_names()) + 1
    assert len(fitted.classifier_.report["bank_sizes"]) == len(ASKED)
    fitted.save(tmp_path / "c.piaa")
    again = Recognizer.load(tmp_path / "c.piaa")
    assert np.array_equal(again.decision_function(images[:4]), fitted.decision_function(images[:4]))
    assert [word.name for word in again.other_words] == words(False)
    anew = Recognizer(words(True), other_words=again.other_words, image_size="trained").fit(images)
    assert torch.equal(anew.classifier_.learnt.weight, learnt.weight)


def test_the_command_line_takes_a_file_and_merged_shards_know_it(folder: Path, tmp_path: Path) -> None:
    fit = ("fit", folder / "in", "--labels", folder / "labels.txt", "--other-words", folder / "other.txt")
    size = ("--image-size", "trained", "--save-every", 8)
    run(*fit, *size, "--out", tmp_path / "whole.piaa")
    for shard in (1, 2):
        run(*fit, *size, "--shard", f"{shard}/2", "--out", tmp_path / f"{shard}.evidence")
    run("merge", tmp_path / "1.evidence", tmp_path / "2.evidence", "--out", tmp_path / "merged.piaa")
    whole, merged = (Classifier.load(tmp_path / name) for name in ("whole.piaa", "merged.piaa"))
    assert whole.label_names == words(True)
    assert [name for name, _ in whole.settings["other_words"]] == words(False)
    assert torch.equal(whole.learnt.weight, merged.learnt.weight)
    told = run(
        "explain",
        min((folder / "in").iterdir()),
        "--classifier",
        tmp_path / "whole.piaa",
        "--out",
        tmp_path / "why.png",
    )
    assert "error" not in told.lower()


def test_a_list_is_known_by_name_and_words_for_one_thing_are_left_out(folder: Path, tmp_path: Path) -> None:
    """To the embedded model all words that it never met are one word: one of COCO's is asked for here."""
    (tmp_path / "labels.txt").write_text("anchor\ncat\nhair drier")
    out = tmp_path / "c.piaa"
    fit = ("fit", folder / "in", "--labels", tmp_path / "labels.txt", "--image-size", "trained", "--out", out)
    told = run(*fit, "--other-words", "coco")
    assert "left out of the other words" in told
    assert "these other words keep nothing away" in told
    names = [name for name, _ in Classifier.load(out).settings["other_words"]]
    assert "umbrella" in names
    assert "cat" not in names


def test_the_page_learns_with_other_words(folder: Path) -> None:
    settings = Settings(other_words=tuple(words(False)))
    items = list(iterate(folder / "in"))[:12]
    recognizer, result = learn_and_tag(settings, parse_labels(words(True)), items, Work(), 1)
    assert len(recognizer.classifier_.settings["other_words"]) == len(words(False))
    assert recognizer.classifier_.label_names == words(True)
    assert len(result.items) == 12


def test_what_does_not_go_together_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="knows no other words"):
        Recognizer(["anchor"], other_words=["cat"], method="tagclip").learner()
    told = run("app", folder, "--classifier", folder / "labels.txt", "--other-words", "voc", "--no-browser", code=1)
    assert "leave --other-words out" in told
    fit = ("fit", folder / "in", "--labels", folder / "labels.txt", "--out", tmp_path / "c.piaa")
    assert "cannot read the label file" in run(*fit, "--other-words", "nowhere.txt", code=1)
