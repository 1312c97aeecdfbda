"""A researcher's own file: the example in the docs, word for word, through every command."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.errors import InputError
from piaa.evaluation.metrics import METRICS
from piaa.extensions import load_extensions, register_aggregator, register_front_end, register_recipe
from piaa.method.aggregators import AGGREGATORS
from piaa.method.paa import pooled_probabilities
from piaa.method.recipes import RECIPES, Recipe
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder, write_scene_truth
from piaa.vision.front_ends import FRONT_ENDS

DOCS = Path(__file__).parents[2] / "docs" / "extending.md"


def nothing_is_registered() -> None:
    for registry in (FRONT_ENDS, AGGREGATORS, RECIPES, METRICS):
        for name in ("value", "top3", "one-error"):
            registry.pop(name, None)


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    registries = (FRONT_ENDS, AGGREGATORS, RECIPES, METRICS)
    before = [dict(registry) for registry in registries]
    yield
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)
    for name in [name for name in sys.modules if name.startswith("piaa_extension_")]:
        del sys.modules[name]


def piaa(folder: Path, *arguments: str, code: int = 0) -> str:
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(app, list(arguments))
    finally:
        os.chdir(before)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[1])
    write_scene_folder(tmp_path / "photos", 5, "unlabelled", 30)
    write_scene_truth(tmp_path / "truth.csv", "test", write_scene_folder(tmp_path / "test", 5, "test", 20))
    (tmp_path / "labels.txt").write_text("\n".join(object_names()))
    own = ("--front-end", "value", "--recipe", "top3")
    piaa(tmp_path, "--extension", "mine.py", "fit", "photos", "--labels", "labels.txt", "--out", "mine.piaa", *own)
    return tmp_path


def test_the_example_goes_through_every_command(folder: Path) -> None:
    own = ("--extension", "mine.py")
    output = piaa(folder, *own, "eval", "test", "--classifier", "mine.piaa", "--truth", "truth.csv")
    assert "one-error" in output
    piaa(folder, *own, "tag", "test", "--classifier", "mine.piaa", "--out", "tags.jsonl")
    assert len((folder / "tags.jsonl").read_text().splitlines()) == 21  # one about the file
    check = piaa(folder, *own, "models", "--check", "embedded")
    assert "value alone against in a batch" in check
    piaa(folder, *own, "reproduce", "table2", "--recipe", "top3", "--images", "10")
    rows = [row for line in (folder / "results/results.jsonl").read_text().splitlines() for row in json.loads(line)]
    assert {row["metric"] for row in rows} == {"mAP", "one-error"}
    assert {row["recipe"] for row in rows} == {"top3"}
    piaa(folder, "report", "results")
    assert "scenes one-error" in (folder / "results/report/report.md").read_text()
    nothing_is_registered()
    output = piaa(folder, "tag", "test", "--classifier", "mine.piaa", "--out", "no.jsonl", code=1)
    assert "is called 'value'; choose one of: clip, " in output
    assert "(your own: --extension FILE)" in output
    assert "(your own: --extension FILE)" in output
    assert not (folder / "no.jsonl").exists()


def test_the_aggregator_changes_the_scores(folder: Path) -> None:
    """The mean of the best three is below the best one, and not by rounding."""

    generator = torch.Generator().manual_seed(0)
    patches, weight = torch.randn(2, 9, 8, generator=generator), torch.randn(5, 8, generator=generator)
    top3 = pooled_probabilities(patches, weight, torch.zeros(5), 3.0, lambda p: p.topk(3, dim=1).values.mean(dim=1))
    assert ((pooled_probabilities(patches, weight, torch.zeros(5), 3.0) - top3) > 0.01).all()


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
