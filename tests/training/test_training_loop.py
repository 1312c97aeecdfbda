"""Every method takes a step that helps; a killed run goes on to the same numbers; no test label is ever read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_world import small_material

from piaa.errors import ClassifierError, InputError
from piaa.evaluation.metrics import mean_average_precision
from piaa.training import METHODS
from piaa.training.heads import FEATURES
from piaa.training.loop import Place
from piaa.training.run import Plan, scores_of, train
from piaa.training.spec import Pace, read_method
from piaa.training.teachers import learn_piaa, together
from piaa.training.trained import TrainedHead

pytest.importorskip("lightning_fabric")
PACE = Pace(epochs=4, rate=0.02, batch=16)
GRAPH_PACE = Pace(epochs=12, rate=0.005, batch=16)
"""Of a network with a graph, which is far more than linear classifiers."""


def plan(name: str, **changes: Any) -> Plan:
    method = read_method(name)
    return Plan(method, pace=GRAPH_PACE if method.network else PACE, **changes)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_learns(name: str) -> None:
    """Chance is about 33% here; a few epochs on 96 images lift every method well above."""
    (material, truth), (test, labels) = small_material(), small_material(seed=1)
    outcome = train(plan(name), material, truth)
    value = mean_average_precision(scores_of(outcome.trained, test), labels)
    assert value > (0.5 if read_method(name).network else 0.6)  # a graph network has 58 labels to learn all from
    assert outcome.regime == read_method(name).regime
    assert all(torch.isfinite(tensor).all() for tensor in outcome.run.labels.values())


@pytest.mark.parametrize("name", ["ll-cp", "role", "cdul", "sst", "sarb", "g2netpl"])
def test_a_killed_run_ends_as_one_that_was_not(name: str, tmp_path: Path) -> None:
    material, truth = small_material(48)
    whole = train(plan(name), material, truth)

    class Killed(Exception):
        pass

    def kill(done: int, total: int | None) -> None:
        if done == 2:
            raise Killed

    place = Place(checkpoint=tmp_path / "run.ckpt", resume=True)
    with pytest.raises(Killed):
        train(plan(name), material, truth, place, progress=kill)
    assert place.checkpoint is not None
    assert place.checkpoint.is_file()
    resumed = train(plan(name), material, truth, place)
    weights = resumed.run.network.state_dict()
    for key, tensor in whole.run.network.state_dict().items():
        torch.testing.assert_close(weights[key], tensor, rtol=0, atol=0, msg=key)
    assert resumed.run.losses == whole.run.losses
    for key, tensor in whole.run.labels.items():
        torch.testing.assert_close(resumed.run.labels[key], tensor, rtol=0, atol=0)
    assert not place.checkpoint.exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    material, truth = small_material(32)
    place = Place(checkpoint=tmp_path / "run.ckpt", resume=True)

    def kill(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan("bce-ls"), material, truth, place, progress=kill)
    with pytest.raises(InputError, match="another run"):
        train(plan("bce-ls", seed=1), material, truth, place)
    (tmp_path / "run.ckpt").write_bytes(b"not safetensors")
    with pytest.raises(InputError, match="damaged checkpoint"):
        train(plan("bce-ls"), material, truth, place)


def test_training_without_labels_needs_no_truth_and_ignores_it() -> None:
    material, truth = small_material(48)
    blind = train(plan("cdul"), material, None)
    shown = train(plan("cdul"), material, 1 - truth)
    assert torch.equal(blind.run.network.head.weight, shown.run.network.head.weight)
    with pytest.raises(InputError, match="needs true labels"):
        train(plan("bce-ls"), material, None)


@pytest.mark.parametrize("name", ["cdul", "ccd", "distil"])
def test_labels_that_a_method_would_not_look_at_are_refused(name: str) -> None:
    material, truth = small_material(16)
    with pytest.raises(InputError, match="would look at no label"):
        train(plan(name, regime="full"), material, truth)


@pytest.mark.parametrize("name", [name for name in METHODS if read_method(name).regime != "none"])
def test_every_other_method_looks_at_the_labels_it_sees(name: str) -> None:
    material, truth = small_material(48)
    first, second = (train(plan(name), material, labels).run.losses for labels in (truth, truth.flip(0)))
    assert first != second


def test_hidden_labels_change_nothing() -> None:
    """Two truths that agree on the seen labels alone give the same head."""
    material, truth = small_material(48)
    seen = train(plan("ll-r"), material, truth).observed == 1
    fewer = torch.where(seen, truth, 0)  # the drawn positive is then the only one, so it is drawn again
    first, second = train(plan("ll-r"), material, truth), train(plan("ll-r"), material, fewer)
    assert torch.equal(first.observed, second.observed)
    assert torch.equal(first.run.network.head.weight, second.run.network.head.weight)


def test_test_labels_are_read_only_where_the_published_habit_is_asked_for() -> None:
    (material, truth), test = small_material(48), small_material(48, seed=1)
    last = train(plan("bce-ls"), material, truth, test=test)
    other = train(plan("bce-ls"), material, truth, test=(test[0], 1 - test[1]))
    assert torch.equal(last.run.network.head.weight, other.run.network.head.weight)
    assert (last.run.epoch, last.run.judged) == (PACE.epochs, [])
    chosen = train(plan("bce-ls", choose="test-map"), material, truth, test=test)
    assert len(chosen.run.judged) == PACE.epochs
    assert chosen.run.epoch == chosen.run.judged.index(max(chosen.run.judged)) + 1
    assert chosen.trained.settings["choose"] == "test-map"
    with pytest.raises(InputError, match="test-map needs"):
        train(plan("bce-ls", choose="test-map"), material, truth)


def test_piaa_as_teacher_gives_its_own_labels() -> None:
    material, truth = small_material()
    for name in ("role", "gr", "cdul", "ccd", "distil"):
        method = read_method(name)
        outcome = train(Plan(method, regime="none", pseudo_labels="piaa", pace=PACE), material, None)
        assert outcome.teacher == "piaa"
        right = float((truth[outcome.observed == 1]).float().mean())
        assert right > 0.9
        assert (outcome.observed == 1).any(dim=1).all()


def test_thresholds_of_teacher_and_student_are_learnt_and_kept(tmp_path: Path) -> None:
    material, truth = small_material()
    trained = train(plan("gr", regime="none", pseudo_labels="piaa"), material, None).trained
    assert trained.thresholds is not None
    trained.save(tmp_path / "head")
    again = TrainedHead.load(tmp_path / "head").thresholds
    assert again is not None
    assert again.values.tolist() == trained.thresholds.values.tolist()
    both = together(learn_piaa(material).score(*material.rows(slice(0, 96))), scores_of(trained, material))
    right = torch.from_numpy(again.decide(both.numpy())) == truth.bool()
    assert float(right.double().mean()) > 0.95
    assert train(plan("gr"), material, truth).trained.thresholds is None


@pytest.mark.parametrize("head", FEATURES)
def test_a_trained_head_comes_back_whole_and_knows_no_batch(head: str, tmp_path: Path) -> None:
    (material, truth), (test, _) = small_material(48), small_material(20, seed=1)
    trained = train(plan("bce-ls", head=head), material, truth).trained
    trained.save(tmp_path / "head.safetensors")
    again = TrainedHead.load(tmp_path / "head.safetensors")
    assert (again.names, again.settings, again.features) == (trained.names, trained.settings, head)
    scores = scores_of(trained, test)
    torch.testing.assert_close(scores_of(again, test), scores, rtol=0, atol=0)
    alone = torch.cat([again.score(*test.rows([row])) for row in range(len(test))])
    torch.testing.assert_close(alone, scores)
    (tmp_path / "other.safetensors").write_bytes(b"")
    with pytest.raises(ClassifierError):
        TrainedHead.load(tmp_path / "other.safetensors")


def test_mixed_precision_trains_the_same_in_the_main() -> None:
    material, truth = small_material(48)
    exact = train(plan("gr"), material, truth).run
    mixed = train(plan("gr"), material, truth, Place(precision="bf16-mixed")).run
    assert mixed.network.head.weight.dtype == torch.float32
    assert not torch.equal(mixed.network.head.weight, exact.network.head.weight)
    assert mixed.losses == pytest.approx(exact.losses, rel=0.05)


def test_features_in_memory_and_computed_anew_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    material, truth = small_material(32)
    kept = train(plan("bce-ls"), material, truth)
    monkeypatch.setattr("piaa.training.material.MOST_BYTES", 0)
    anew = train(plan("bce-ls"), material, truth)
    torch.testing.assert_close(anew.run.network.head.weight, kept.run.network.head.weight, rtol=1e-2, atol=1e-3)


def test_names_that_do_not_exist_are_answered_with_those_that_do() -> None:
    material, truth = small_material(16)
    for changes, listed in (
        ({"regime": "half"}, "partial"),
        ({"head": "deep"}, "class-wise"),
        ({"choose": "luck"}, "test-map"),
    ):
        with pytest.raises(InputError, match=listed):
            train(plan("bce-ls", **changes), material, truth)
    with pytest.raises(InputError, match="piaa"):
        train(plan("cdul", pseudo_labels="oracle"), material, None)
    with pytest.raises(InputError, match="asks no teacher"):
        train(plan("ll-r", pseudo_labels="piaa"), material, truth)
    for part in ("loss", "update"):
        with pytest.raises(InputError, match="choose one of"):
            train(replace(plan("bce-ls"), method=replace(read_method("bce-ls"), **{part: "x"})), material, truth)
    with pytest.raises(InputError, match="bce-ls"):
        read_method("best")
