"""A researcher's own metric, from a file of ten lines: entered, refused, measured, and harmless when it fails."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from piaa.errors import InputError
from piaa.evaluation import metrics
from piaa.evaluation.summary import summarise
from piaa.extensions import load_extensions

FILE = """from piaa.evaluation.metrics import register_metric

@register_metric("one-error")
def one_error(scores, labels):
    best = scores.argmax(dim=1, keepdim=True)
    return 1 - (labels.gather(1, best) > 0).float().mean()
"""


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = dict(metrics.METRICS)
    yield
    metrics.METRICS.clear()
    metrics.METRICS.update(before)


def test_a_metric_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    assert metrics.registered_metrics() == {}
    load_extensions([file])
    load_extensions([file])  # and not registered twice
    assert list(metrics.registered_metrics()) == ["one-error"]
    labels = torch.tensor([[1, 0], [0, 1], [1, 0], [0, 1]])
    scores = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    interval = metrics.bootstrap_interval("one-error", scores, labels, resamples=400)
    assert interval.value == 0.25
    assert interval.high - interval.low > 0.5  # four images tell little
    right = metrics.compare(labels.float(), scores, labels, "one-error", resamples=50)
    assert (right.value, right.baseline, right.difference) == (0, 0.25, -0.25)


def test_names_and_duplicates() -> None:
    @metrics.register_metric("mine")
    def mine(scores: torch.Tensor, labels: torch.Tensor) -> float:
        return 0.5

    for name in ("mine", "Mine", "MAP", "mAP-voc2007"):
        with pytest.raises(InputError, match="is there already, from"):
            metrics.register_metric(name)
    for name in ("", " x", "a b", "-x", "x" * 41, "ünder", 3):
        with pytest.raises(InputError, match="cannot name a metric"):
            metrics.register_metric(name)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no function"):
        metrics.register_metric("number")(3)  # type: ignore[arg-type]
    assert metrics.METRICS["mine"] is mine is metrics.metric_named("mine")
    assert list(metrics.registered_metrics()) == ["mine"]


def test_files_that_cannot_be_loaded(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name\n")
    for _ in range(2):
        with pytest.raises(InputError, match=r"broken\.py: this extension fails: ModuleNotFoundError"):
            load_extensions([broken])
    with pytest.raises(InputError, match="no such extension"):
        load_extensions([tmp_path / "gone.py"])
    clash = tmp_path / "clash.py"
    clash.write_text(FILE.replace("one-error", "mAP"))
    with pytest.raises(InputError, match=r"clash\.py.*'mAP' is there already"):
        load_extensions([clash])


def test_a_summary_has_them_and_survives_one_that_fails() -> None:
    metrics.register_metric("count")(lambda scores, labels: labels.sum())
    metrics.register_metric("broken")(lambda scores, labels: 1 / 0)
    labels = torch.tensor([[1, 0], [0, 1], [1, 1]])
    scores = {"cls": torch.rand(3, 2), "text_patch": torch.rand(3, 2), "piaa": labels / 2}
    sizes = torch.full((3, 2), torch.nan)
    found = summarise(scores, labels, sizes, labels.bool(), rule="voc2007", resamples=20)
    assert found["metrics"]["count"] == {"cls": 4, "text_patch": 4, "piaa": 4}
    assert all(math.isnan(value) for value in found["metrics"]["broken"].values())
    assert len(found["notes"]) == 3 and "ZeroDivisionError" in found["notes"][0]
    assert found["map"]["piaa"] == 100
    assert found["intervals"]["piaa"] == {"low": 100, "high": 100, "level": 0.95}
    assert [row["baseline"] for row in found["comparisons"]] == ["cls", "text_patch"]
    assert found["comparisons"][0]["difference"] == pytest.approx(100 - found["map"]["cls"])
    assert found["f1"]["learnt thresholds"]["of1"] == 100
    plain = summarise(scores, labels, sizes, labels.bool(), resamples=0)
    assert (plain["intervals"], plain["comparisons"], plain["f1_intervals"]) == ({}, [], {})
