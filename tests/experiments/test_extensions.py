"""A researcher's own file: the example in the docs, word for word, through every command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from piaa.errors import InputError
from piaa.extensions import load_extensions, register_aggregator, register_front_end, register_recipe
from piaa.recipes import Recipe
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder, write_scene_truth

DOCS = Path(__file__).parents[2] / "docs" / "extending.md"


def piaa(folder: Path, *arguments: str, code: int = 0) -> str:
    """In a process of its own, so that nothing stays registered in this one."""
    command = [sys.executable, "-m", "piaa.cli.main", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("extension")
    (root / "mine.py").write_text(re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[1])
    write_scene_folder(root / "photos", 5, "unlabelled", 30)
    write_scene_truth(root / "truth.csv", "test", write_scene_folder(root / "test", 5, "test", 20))
    (root / "labels.txt").write_text("\n".join(object_names()))
    own = ("--front-end", "value", "--recipe", "top3")
    piaa(root, "--extension", "mine.py", "fit", "photos", "--labels", "labels.txt", "--out", "mine.piaa", *own)
    return root


def test_the_example_goes_through_every_command(folder: Path) -> None:
    own = ("--extension", "mine.py")
    output = piaa(folder, *own, "eval", "test", "--classifier", "mine.piaa", "--truth", "truth.csv")
    assert "one-error" in output
    piaa(folder, *own, "tag", "test", "--classifier", "mine.piaa", "--out", "tags.jsonl")
    assert len((folder / "tags.jsonl").read_text().splitlines()) == 20
    check = piaa(folder, *own, "models", "--check", "embedded")
    assert "value alone against in a batch" in check
    piaa(folder, *own, "reproduce", "table1", "--recipe", "top3", "--images", "10")
    rows = [row for line in (folder / "results/results.jsonl").read_text().splitlines() for row in json.loads(line)]
    assert {row["metric"] for row in rows} == {"mAP", "one-error"}
    assert {row["recipe"] for row in rows} == {"top3"}
    piaa(folder, "report", "results")
    assert "scenes one-error" in (folder / "results/report/report.md").read_text()


def test_the_aggregator_changes_the_scores(folder: Path) -> None:
    """The mean of the best three is below the best one, and not by rounding."""
    import torch

    from piaa.paa import pooled_probabilities

    generator = torch.Generator().manual_seed(0)
    patches, weight = torch.randn(2, 9, 8, generator=generator), torch.randn(5, 8, generator=generator)
    top3 = pooled_probabilities(patches, weight, torch.zeros(5), 3.0, lambda p: p.topk(3, dim=1).values.mean(dim=1))
    assert ((pooled_probabilities(patches, weight, torch.zeros(5), 3.0) - top3) > 0.01).all()


def test_without_the_extension_the_error_names_what_is_missing(folder: Path) -> None:
    output = piaa(folder, "tag", "test", "--classifier", "mine.piaa", "--out", "no.jsonl", code=1)
    assert "is called 'top3'; choose one of: max (your own: --extension FILE)" in output
    assert not (folder / "no.jsonl").exists()


def test_names_that_are_taken_or_odd() -> None:
    with pytest.raises(InputError, match="aggregator called 'max' exists already"):
        register_aggregator("max")(lambda p: p.amax(1))
    with pytest.raises(InputError, match="front-end called 'clip' exists already"):
        register_front_end("CLIP")(lambda tower, trace: trace.before(1))
    with pytest.raises(InputError, match="recipe cannot be called 'my recipe'"):
        register_recipe(Recipe("my recipe"))


def test_files_that_are_not_there_or_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"gone\.py: no such extension"):
        load_extensions([tmp_path / "gone.py"])
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(InputError, match=r"bad\.py: this extension fails: ZeroDivisionError"):
        load_extensions([tmp_path / "bad.py"])
    marker = tmp_path / "ran"
    (tmp_path / "good.py").write_text(f"open({str(marker)!r}, 'a').write('x')")
    monkeypatch.setenv("PIAA_EXTENSIONS", str(tmp_path / "good.py"))
    assert load_extensions() == [str(tmp_path / "good.py")]
    load_extensions()
    assert marker.read_text() == "x"
