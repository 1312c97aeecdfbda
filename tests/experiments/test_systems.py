"""Table 1 line by line and table 5's ratios, as a researcher runs them, on a few scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from few_templates import few_templates  # noqa: F401
from piaa.cli.main import app
from piaa.errors import InputError
from piaa.evaluation.evaluate import evaluate
from piaa.evaluation.truth import read_truth
from piaa.experiments import systems
from piaa.experiments.job import Job
from piaa.experiments.results import Results, Row
from piaa.experiments.spec import Run, Spec, read_spec
from piaa.experiments.tables import RATIO, build_table
from piaa.recognizer import Recognizer
from piaa.scenes import object_names

pytestmark = pytest.mark.usefixtures("few_templates")


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def rows_of(folder: Path) -> dict[tuple[str, str, str], Row]:
    return {(row.row, row.metric, row.parameter): row for row in Results(folder).read()}


def test_a_finished_line_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    measured: list[str] = []
    inner = systems.system_of

    def watched(name: str) -> systems.SystemRunner:
        measured.append(name)
        if name == "tagclip":
            raise KeyboardInterrupt
        return inner(name)

    monkeypatch.setattr(systems, "system_of", watched)
    lines = ("--rows", "CLIP", "--rows", "SPARC*", "--rows", "TagCLIP", "--images", 4, "--seeds", 1)
    CliRunner().invoke(app, ["reproduce", "table1", *map(str, lines)])  # cut off in the second line
    assert measured == ["clip", "tagclip"] and {row.row for row in Results("results").read()} == {"CLIP"}
    monkeypatch.setattr(systems, "system_of", inner)
    run("reproduce", "table1", *lines)
    found = rows_of(Path("results"))
    assert len(found) == len(Results("results").read()) == 4 * 3  # no line is there twice
    scenes = next((tmp_path / ".piaa" / "scenes").rglob("test.csv")).parent
    truth = read_truth(scenes / "test.csv", object_names())
    for line, method in (("CLIP", "clip"), ("TagCLIP", "tagclip"), ("SPARC", "sparc")):
        own = Recognizer(object_names(), method=method, image_size="trained").fit(scenes / "unlabelled")
        value = evaluate(own.scorer(), scenes / "test", truth).summary(resamples=0)["map"][method]
        assert found[line, "mAP", "seed=7"].value == pytest.approx(value, abs=0.5)  # float16 embeddings


def test_another_room_enters_its_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(systems.SYSTEMS, "mine", lambda job: systems.System(job.labels.double(), 60.0, 30.0))
    spec = Spec("table1", "", "systems", "", (Run("Mine", "mine"),))

    class Fake:
        runs, dataset = spec.runs, type("D", (), {"seed": 3})
        labels = torch.eye(4)

        def row(self, run: Run, metric: str, value: float, *ends: float, parameter: str = "") -> tuple[object, ...]:
            return run.row, metric, value, parameter

    fake: Job = Fake()  # type: ignore[assignment]
    assert systems.systems(fake) == [
        ("Mine", "mAP", 100.0, "seed=3"), ("Mine", "learning minutes", 1.0, "seed=3"),
        ("Mine", "test minutes", 0.5, "seed=3"),
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"no system is called 'yours'.*mine"):
        systems.system_of("yours")


ROW = Row(
    experiment="table1", row="TagCLIP", dataset="scenes", model="embedded", pretrained="", front_end="sclip",
    recipe="default", method="tagclip", metric="mAP", value=70.0, low=69.0, high=71.0, parameter="seed=7", images=500,
    seconds=1.5, run="a", versions="piaa 0", commit="abc",
)  # fmt: skip


def test_seeds_become_one_line_with_an_interval() -> None:
    seeds = [replace(ROW, value=value, low=value - 1, high=value + 1, parameter=f"seed={n}")
             for n, value in enumerate((68.0, 70.0, 72.0))]  # fmt: skip
    minutes = [replace(row, metric="test minutes", value=n / 4, low=None, high=None) for n, row in enumerate(seeds)]
    table = build_table(read_spec("table1"), [*seeds, *minutes])
    cells = dict(zip(table.header, next(line for line in table.lines if line[0] == "TagCLIP"), strict=True))
    # the spread of the seeds, 2, is above their own error: 1.96 * 2 / sqrt(3) = 2.26
    assert cells["scenes ours"] == "70.0 [67.7, 72.3]" and cells["scenes test minutes"] == "0.25"
    assert cells["COCO paper"] == "70.0" and "seeds 0 and 1 and 2" in table.notes[0]


def test_times_of_others_in_units_of_piaas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("reproduce", "table5", "--images", 1, "--rows", "CLIP", "--rows", "TagCLIP")
    found = rows_of(Path("results"))
    assert {key[2] for key in found} == {"classes=15", "classes=30", "classes=60"}
    for (_, metric, _), row in found.items():
        assert metric == RATIO and row.low is not None and row.high is not None
        assert 0 < row.low <= row.value <= row.high
    for classes in {parameter for _, _, parameter in found}:  # it encodes the image and what it looks at once more
        assert found["TagCLIP", RATIO, classes].value > found["CLIP", RATIO, classes].value
    table = build_table(read_spec("table5"), list(found.values()))
    last = {line[0]: line[-2] for line in table.lines}
    assert last["COCO: TagCLIP, in the paper"] == "60.1" and last["scenes: TagCLIP, 60 classes, ours"]
