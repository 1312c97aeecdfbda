"""Classifiers to a hub and back, through huggingface_hub, against a stand-in on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stand_in import TOKEN, Repository, StandIn, serving
from typer.testing import CliRunner

from piaa.classifier import Classifier
from piaa.cli.main import app
from piaa.errors import ClassifierError
from piaa.evaluation.summary import summarise
from piaa.hub import parse_hub_name, pull, push
from piaa.hub.card import base_model, model_card, plain
from piaa.recognizer import Recognizer
from piaa.vocabulary.labels import Label, read_labels

NAME = "hf-hub:alice/tools"


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_what_is_pulled_is_what_was_pushed(hub: StandIn, fitted: Path, tmp_path: Path) -> None:
    recognizer = Recognizer.load(fitted, device="cpu")
    done = recognizer.push_to_hub(NAME, private=True)
    files = hub.repositories["alice/tools"].files("main")
    assert sorted(files) == ["README.md", "classifier.safetensors", "labels.txt"]
    assert files["classifier.safetensors"] == fitted.read_bytes()
    assert hub.repositories["alice/tools"].private
    assert done.commit in hub.repositories["alice/tools"].commits and done.notes == ()
    (tmp_path / "labels.txt").write_bytes(files["labels.txt"])
    assert read_labels(tmp_path / "labels.txt") == recognizer.classifier_.labels
    again = Recognizer.from_hub(NAME, device="cpu")
    photos = fitted.with_name("photos")
    assert again.predict(photos) == recognizer.predict(photos)
    assert (again.decision_function(photos) == recognizer.decision_function(photos)).all()


def test_a_file_is_downloaded_once_and_again_when_it_changes(hub: StandIn, fitted: Path) -> None:
    first = push(Classifier.load(fitted), NAME)
    assert pull(NAME).read_bytes() == fitted.read_bytes()
    assert pull(NAME).read_bytes() == fitted.read_bytes()
    assert hub.asked("GET", "/classifier.safetensors") == 1
    changed = replace(Classifier.load(fitted), report={"images": 1})
    second = push(changed, NAME)
    assert second.commit != first.commit
    assert Classifier.load(pull(NAME)).report == {"images": 1}
    assert pull(f"{NAME}@{first.commit}").read_bytes() == fitted.read_bytes()
    assert pull(NAME, revision=first.commit).read_bytes() == fitted.read_bytes()
    hub.shutdown()
    hub.server_close()
    assert Classifier.load(pull(NAME)).report == {"images": 1}  # no network: the one in the cache


def test_offline_the_cache_is_used_and_nothing_is_sent(
    hub: StandIn, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    push(Classifier.load(fitted), NAME)
    pull(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    before = len(hub.requests)
    assert pull(NAME).read_bytes() == fitted.read_bytes()
    with pytest.raises(ClassifierError, match=r"alice/other: not in the cache of this machine.*HF_HUB_OFFLINE"):
        pull("hf-hub:alice/other")
    with pytest.raises(ClassifierError, match="cannot be reached"):
        push(Classifier.load(fitted), NAME)
    assert len(hub.requests) == before


def test_errors_are_plain(hub: StandIn, fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier.load(fitted)
    with pytest.raises(ClassifierError, match="hf-hub:alice/none: there is no such repository"):
        pull("hf-hub:alice/none")
    hub.repositories["alice/weights"] = Repository()
    hub.repositories["alice/weights"].commit({"README.md": b"x"})
    with pytest.raises(ClassifierError, match=r"holds no classifier\.safetensors"):
        pull("hf-hub:alice/weights")
    with pytest.raises(ClassifierError, match="no such revision"):
        pull("hf-hub:alice/weights@v9")
    hub.repositories["alice/gated"] = Repository(gated=True)
    with pytest.raises(ClassifierError, match="accept the terms"):
        pull("hf-hub:alice/gated")
    with pytest.raises(ClassifierError, match="hf-hub:bob/tools: no permission"):
        push(classifier, "bob/tools")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ClassifierError, match=r"hf auth login"):
        push(classifier, NAME)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.broken = 400
    with pytest.raises(ClassifierError, match="the hub refuses"):
        push(classifier, NAME)
    with pytest.raises(ClassifierError, match="can be named; leave out @v1"):
        push(classifier, f"{NAME}@v1")
    for bad in ("hf-hub:alice", "hf-hub:a/b/c", "hf-hub:../x", "hf-hub:a/..", "hf-hub:a/b@../c", "hf-hub:a b/c"):
        with pytest.raises(ClassifierError, match="no name on the hub"):
            parse_hub_name(bad)


def test_strangers_files_are_refused(hub: StandIn, fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    hub.repositories["eve/a"] = Repository()
    hub.repositories["eve/a"].commit({"classifier.safetensors": pickle.dumps({"weight": 1})})

    with pytest.raises(ClassifierError, match="pickle"):
        Recognizer.from_hub("hf-hub:eve/a")
    monkeypatch.setattr("piaa.hub.fetch.MOST_BYTES", 10)
    with pytest.raises(ClassifierError, match="more than the 10"):
        pull("hf-hub:eve/a")
    assert hub.asked("GET", "/classifier.safetensors") == 1


def test_the_card_says_what_is_known_and_no_name_gets_out_of_its_place(fitted: Path) -> None:
    from huggingface_hub import ModelCard

    classifier = Classifier.load(fitted)
    evil = Label("<script>|`x` [a](b)\\")
    labels = [evil, *classifier.labels[1:]]
    report = {**classifier.report, "fallbacks": {evil.name: "r"}, "images": 1234}
    torch.manual_seed(0)
    truth = (torch.rand(24, 5) < 0.4).float()
    scores = {name: torch.rand(24, 5) for name in ("piaa", "cls", "text_patch")}
    numbers = summarise(scores, truth, torch.full((24, 5), float("nan")), scores["piaa"] > 0.5, resamples=20)
    low, high = (numbers["intervals"]["piaa"][end] for end in ("low", "high"))
    text = model_card(replace(classifier, labels=labels, report=report), "alice/tools", license="mit", numbers=numbers)
    card = ModelCard(text)
    assert card.data.to_dict() == {
        "library_name": "piaa", "license": "mit", "pipeline_tag": "image-classification",
        "tags": ["piaa", "multi-label", "clip", "training-free"],
    }  # fmt: skip
    assert f"mAP {numbers['map']['piaa']:.1f}%" in text and f"(95% interval {low:.1f} to {high:.1f})" in text
    assert "24 images" in text and "1,234 unlabelled" in text
    without = model_card(classifier, "alice/tools", numbers={**numbers, "intervals": {}})
    assert f"mAP {numbers['map']['piaa']:.1f}%, average precision by" in without
    assert "<script>" not in text and plain(evil.name) in text
    assert classifier.settings["model_fingerprint"] in text
    assert "Not measured" in model_card(classifier, "alice/tools")
    with pytest.raises(ClassifierError, match="no numbers"):
        model_card(classifier, "alice/tools", numbers={"x": 1})
    assert base_model("hf-hub:timm/ViT-B-16-SigLIP2", "") == "timm/ViT-B-16-SigLIP2"
    assert base_model("ViT-B-32", "laion2b_s34b_b79k") == "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    assert base_model("embedded", "") is None


def test_commands_take_a_name_for_a_file(hub: StandIn, fitted: Path, tmp_path: Path) -> None:
    said = run("push", fitted, NAME)
    assert f"-> {NAME} (commit {hub.repositories['alice/tools'].newest('main')})" in said
    picture = next(fitted.with_name("photos").iterdir())
    run("explain", picture, "--classifier", NAME, "--out", tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000
    (tmp_path / "truth.csv").write_text(f"path,labels\n{picture.name},star;anchor\n")
    said = run("eval", picture.parent, "--classifier", NAME, "--truth", tmp_path / "truth.csv", "--bootstrap", 0)
    assert "11 images are not in the truth file" in said
    assert "these are no numbers" in run("push", fitted, NAME, "--numbers", numbers_file(tmp_path, "{}"), code=1)
    assert "no numbers of 'piaa eval --out'" in run("push", fitted, NAME, "--numbers", tmp_path / "none", code=1)
    assert "no such repository" in run("eval", picture, "--classifier", "hf-hub:alice/none", "--truth", "x", code=1)


def numbers_file(folder: Path, text: str) -> Path:
    (folder / "numbers.json").write_text(text)
    return folder / "numbers.json"


def test_places_on_this_machine_do_not_leave_it(hub: StandIn, fitted: Path) -> None:
    classifier = Classifier.load(fitted)
    settings = {**classifier.settings, "model": "local-dir:/home/alice/secret/clip-b", "pretrained": ""}
    done = push(replace(classifier, settings=settings), NAME)
    assert "clip-b" in done.notes[0] and "--model" in done.notes[0]
    for content in hub.repositories["alice/tools"].files("main").values():
        assert b"/home/alice" not in content
    assert Classifier.load(pull(NAME)).settings["model"] == "clip-b"


def test_the_commands_in_a_process_of_their_own(fitted: Path, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE as a user sets them."""
    code = """
import sys
from typer.testing import CliRunner
from piaa.cli.main import app
for line in sys.stdin.read().splitlines():
    result = CliRunner().invoke(app, line.split("\\t"))
    print(result.exit_code, " ".join(result.output.split()))
"""
    photos, tags = fitted.with_name("photos"), tmp_path / "tags.jsonl"

    def lines(commands: list[list[object]], **environment: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            input="\n".join("\t".join(map(str, each)) for each in commands),
            env={**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", **environment},
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        return done.stdout.splitlines()

    with serving() as server:
        found = lines(
            [["push", fitted, NAME, "--license", "mit"],
             ["tag", photos, "--classifier", NAME, "--out", tags]],
            HF_ENDPOINT=server.address, HF_TOKEN=TOKEN,
        )  # fmt: skip
        assert [each[0] for each in found] == ["0", "0"], found
        assert "tagged 12 images" in found[1]
        address = server.address
    rows = tags.read_text()
    found = lines(
        [["tag", photos, "--classifier", NAME, "--out", tags],
         ["tag", photos, "--classifier", "hf-hub:alice/none", "--out", tags]],
        HF_ENDPOINT=address, HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert [each[0] for each in found] == ["0", "1"], found
    assert tags.read_text() == rows and json.loads(rows.splitlines()[1])["path"]
    assert "not in the cache of this machine" in found[1]
