"""Lines of trained systems: `measure_trained` for table 1, and their learning time over PIAA's for table 5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from few_templates import few_templates  # noqa: F401
from piaa import training
from piaa.datasets import Dataset, open_dataset
from piaa.errors import InputError
from piaa.evaluation.metrics import mean_average_precision
from piaa.evaluation.truth import Truth
from piaa.experiments import learning_times
from piaa.experiments.results import Row
from piaa.experiments.runner import Place, reproduce
from piaa.experiments.spec import Run, read_spec
from piaa.experiments.systems import System, measure_trained
from piaa.experiments.tables import LEARNING, build_table
from piaa.training.run import Plan, scores_of, train
from piaa.training.spec import read_method
from training.training_world import CLASSES, small_material

pytest.importorskip("lightning_fabric")


def job_of(
    known: list[int] | None = None,
    seed: int | None = 3,
    test_labels: torch.Tensor | None = None,
    train_labels: torch.Tensor | None = None,
    named: int = 40,
) -> Any:
    """40 images to learn from and 24 to test on, as a job has them; the truth names so many of the former."""
    (material, truth), (test, labels) = small_material(40), small_material(24, seed=1)
    truth = truth if train_labels is None else train_labels
    labels = labels if test_labels is None else test_labels
    rows = {f"train/{n}": row for n, row in enumerate(truth[:named])} | {f"test/{n}": r for n, r in enumerate(labels)}
    found = Truth(material.names, {name: frozenset(row.nonzero().squeeze(1).tolist()) for name, row in rows.items()})

    def features(part: str, own: Any, seconds: float) -> Any:
        ids = [f"{part}/{n}" for n in range(len(own))]
        return SimpleNamespace(ids=ids, cls=own.cls, patches=own.patches, grid=own.grid, failed=[], seconds=seconds)

    place = known if known is not None else list(range(24))
    return SimpleNamespace(
        unlabelled=features("train", material, 7.0), test=features("test", test, 5.0),
        dataset=Dataset("scenes", material.names, [], [], found, seed=seed), prototypes=material.prototypes,
        known=(place, [f"test/{n}" for n in place]),
    )  # fmt: skip


def test_a_trained_line_is_that_methods_training_on_the_jobs_embeddings() -> None:
    measured = measure_trained(job_of(), "role")
    (material, _), (test, labels) = small_material(40), small_material(24, seed=1)
    plan = Plan(read_method("role").on("scenes"), seed=3)
    alone = scores_of(train(plan, material, None).trained, test)
    torch.testing.assert_close(measured.scores, alone, rtol=1e-5, atol=1e-6)
    assert mean_average_precision(measured.scores, labels) > 0.5  # chance is about a third
    assert measured.learning_seconds > 7.0  # encoding is part of it
    assert measured.test_seconds >= 5.0


def test_scores_are_of_the_images_whose_labels_are_known_in_their_order() -> None:
    every, some = measure_trained(job_of(), "role"), measure_trained(job_of(known=[20, 3, 4]), "role")
    torch.testing.assert_close(some.scores, every.scores[[20, 3, 4]], rtol=0, atol=0)


@pytest.mark.parametrize(("name", "sees"), [("ccd", False), ("bce-ls", True)])
def test_a_line_sees_the_labels_of_its_regime_and_no_test_label(name: str, sees: bool) -> None:
    def scores(**labels: torch.Tensor) -> torch.Tensor:
        found: System = measure_trained(job_of(**labels), name)
        return found.scores

    own = scores()
    other_test = torch.ones(24, CLASSES, dtype=torch.int64)
    torch.testing.assert_close(scores(test_labels=other_test), own, rtol=0, atol=0)
    other_train = 1 - small_material(40)[1]
    assert torch.equal(scores(train_labels=other_train), own) is not sees


def test_the_seed_is_that_of_the_scenes() -> None:
    own, none, other = (measure_trained(job_of(seed=seed), "ll-r").scores for seed in (0, None, 1))
    torch.testing.assert_close(own, none, rtol=0, atol=0)
    assert not torch.equal(own, other)


def test_an_image_without_labels_is_named() -> None:
    with pytest.raises(InputError, match=r"scenes: 2 images have no labels, the first: train/38"):
        measure_trained(job_of(named=38), "bce-ls")


@pytest.mark.usefixtures("few_templates")
def test_learning_times_in_units_of_piaas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = read_spec("table5")
    lines = [run for run in spec.runs if run.method in training.METHODS]
    assert {(run.method, run.change.get("backbone", "")) for run in lines} == {
        ("ccd", "resnet50"), ("cdul", "resnet50"), ("ccd", ""), ("cdul", "")
    }  # fmt: skip
    small = [replace(line, change={"backbone": "test_resnet"} if line.change else {}) for line in lines]
    small = [replace(line, model="embedded", pretrained="", front_end="sclip") for line in small]
    seen: list[tuple[str, str]] = []
    inner = learning_times._trained

    def watched(job: Any, run: Run, items: Any) -> None:
        seen.append((run.method, run.change.get("backbone", "")))
        inner(job, run, items)

    monkeypatch.setattr(learning_times, "_trained", watched)
    dataset = open_dataset("scenes", tmp_path / "scenes", seed=3, unlabelled=4, test=2)
    place = Place(tmp_path / "results", tmp_path / "features", device="cpu")
    short = replace(spec, runs=tuple(small), options={**spec.options, "learning_images": 3})
    rows = reproduce(short, [dataset], place)
    assert sorted(seen) == [("ccd", ""), ("ccd", "test_resnet"), ("cdul", ""), ("cdul", "test_resnet")]
    assert {(row.metric, row.parameter) for row in rows} == {(LEARNING, "images=3")}
    ratio = {row.row: row.value for row in rows}
    assert all(value > 0 for value in ratio.values())
    assert ratio["CCD, ResNet-50 end to end"] > ratio["CCD, a head on stored embeddings"]
    assert reproduce(short, [dataset], place) == []  # what is stored is not measured again


def test_the_table_has_the_papers_learning_times_and_ours() -> None:
    row = Row(
        experiment="table5", row="CCD, ResNet-50 end to end", dataset="scenes", model="embedded", pretrained="",
        front_end="sclip", recipe="", method="ccd", metric=LEARNING, value=123.4, low=None, high=None,
        parameter="images=32", images=2, seconds=1.0, run="a", versions="piaa 0", commit="abc",
    )  # fmt: skip
    table = build_table(read_spec("table5"), [row])
    last = {line[0]: line[-1] for line in table.lines}
    assert table.header[-1] == LEARNING
    assert last["VOC12: CCD, in the paper"] == "216.0"  # 43.2 minutes beside 0.2
    assert last["NUS: CCD, in the paper"] == "396.7"
    assert last["scenes: CCD, ResNet-50 end to end, 32 images, ours"] == "123.4"
