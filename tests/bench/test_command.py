"""`piaa bench` as a user runs it: on the embedded model, small. No wall time is asserted."""

import json
import math
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from piaa.bench import tagging
from piaa.bench.output import BEGIN, END
from piaa.bench.profile import STEPS
from piaa.bench.work import Work
from piaa.cli.main import app
from piaa.vision.front_ends import FRONT_ENDS

LIGHT = """
import sys
import piaa
import piaa.cli.main
heavy = {"torch", "open_clip", "timm", "torchvision", "pyarrow", "scipy", "matplotlib", "numpy", "PIL"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["bench", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "bench.json"
    run("--quick", "--front-end", "clip", "--front-end", "sc-clip", "--threads", 1, "--count", 4, "--out", out)
    return json.loads(out.read_text())


def positive(spread):
    return 0 < spread["low"] <= spread["median"] <= spread["high"] < math.inf


def test_every_case_is_timed_beside_the_bare_encoder(compared):
    tagging = compared["tagging"]
    ways = [f"{way} {name}" for name in ("clip", "sc-clip") for way in ("tensors", "files", "two models")]
    assert set(tagging["cases"]) == set(tagging["peak_mib"]) == {"bare", *ways}
    assert set(tagging["rate_to_bare"]) == {way for way in ways if not way.startswith("files")}
    assert all(positive(value) for kind in ("cases", "rate_to_bare") for value in tagging[kind].values())
    for kind in ("one_pass_to_two_models", "files_to_tensors"):
        assert set(tagging[kind]) == {"clip", "sc-clip"}
        assert all(positive(value) for value in tagging[kind].values())


def test_the_roofline_is_operations_over_rate(compared):
    roofline = compared["tagging"]["roofline"]
    rate = roofline["matmul_flops_per_second"]
    assert set(roofline["cases"]) == {"bare", "tensors clip", "tensors sc-clip"}
    for case, values in roofline["cases"].items():
        assert values["least_seconds"] == pytest.approx(values["flops_per_image"] / rate)
        median = compared["tagging"]["cases"][case]["median"]
        assert values["share_of_limit"] == pytest.approx(values["least_seconds"] / median)


def test_shares_of_a_fit_are_its_costs_and_sum_to_one(compared):
    fitting = compared["fitting"]
    assert sum(fitting["shares"].values()) == pytest.approx(1)
    each, once = fitting["seconds_per_image"], fitting["seconds_once"]
    costs = {name: fitting["fit_images"] * value["median"] for name, value in each.items()} | once
    assert costs.keys() == fitting["shares"].keys()
    assert set(costs) == {"encoder", "evidence", "sample_memory", "closed_form", "scales_and_thresholds"}
    for name, cost in costs.items():
        assert fitting["shares"][name] == pytest.approx(cost / sum(costs.values()))


def test_closed_form_and_bank_alone(compared):
    assert [(row["classes"], row["dim"]) for row in compared["alone"]] == [(20, 512), (20, 768), (80, 512), (80, 768)]
    for row in compared["alone"]:
        assert row["rows"] == min(row["classes"] * 32, 2000)
        assert row["bank_mib"] == row["rows"] * row["dim"] * 4 / 2**20
        assert all(positive(row[key]) for key in ("offer_seconds", "closed_form_seconds", "learn_seconds"))


def test_the_rest_of_the_report(compared):
    assert all(positive(compared["cold_start"][key]) for key in ("libraries", "tag_one_image", "help", "ratio"))
    assert compared["machine"]["threads"] == 1
    assert compared["settings"]["quick"] is True
    assert compared["settings"]["front_ends"] == ["clip", "sc-clip"]


def test_profile(tmp_path):
    out = tmp_path / "profile.json"
    shown = run("--profile", "--quick", "--threads", 1, "--count", 3, "--out", out)
    assert all(step in shown for step in STEPS)
    rows = json.loads(out.read_text())["front_ends"]
    assert set(rows) == set(FRONT_ENDS)
    for values in rows.values():
        assert set(values["shares"]) == set(STEPS)
        assert sum(values["shares"].values()) == pytest.approx(1)
        assert all(0 < share < 1 for share in values["shares"].values())


def test_models_in_processes_of_their_own(tmp_path):
    out, page = tmp_path / "models.json", tmp_path / "models.md"
    page.write_text(f"# Models\n\n{BEGIN}\n{END}\n")
    small = ("--models", "embedded", "no-such-model", "--batch-size", 2, "--repeats", 1, "--threads", 1)
    shown = run(*small, "--front-end", "itaclip", "--out", out, "--write", page)
    good, bad = json.loads(out.read_text())["models"]
    assert (good["grid"], good["depth"]) == ([12, 12], 12)
    assert good["image_parameters"] < good["parameters"]
    assert set(good["seconds_per_image"]) == {"bare", "itaclip"}
    assert all(positive(value) for value in good["seconds_per_image"].values())
    assert positive(good["rate_to_bare"]["itaclip"])
    memory = good["memory_mib"]
    assert memory["image_weights"] == pytest.approx(4 * good["image_parameters"] / 2**20)
    assert memory["image_weights"] < memory["weights"] < memory["peak"]
    assert memory["weights_share"] == pytest.approx(memory["weights"] / memory["peak"])
    assert bad["name"] == "no-such-model"
    assert "no model is called 'no-such-model'" in bad["error"]
    assert "no-such-model" in shown
    text = page.read_text()
    assert text.startswith(f"# Models\n\n{BEGIN}\n")
    assert "| embedded | 6 (2) | 96 x 96 | 12 x 12 |" in text
    assert "- no-such-model: no model is called" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "--profile"), "one at a time"),
        (("ViT-B-16",), "go with --models"),
        (("--front-end", "maskclip"), "no front-end is called"),
    ],
)
def test_what_makes_no_sense_is_said(arguments, message):
    assert message in " ".join(run(*arguments, code=1).split())


def test_the_command_line_starts_without_anything_heavy():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


def test_progress_of_tagging_ends_at_its_total(tmp_path):
    work = Work(model="embedded", front_ends=("clip",), count=3, batch_size=2, repeats=1)
    seen = []
    tagging.measure_tagging(work, work.load(), tmp_path, lambda done, total: seen.append((done, total)))
    # two batches a repetition: bare, one pass, two models and the product in 1 + 2 turns; tensors and files in 1 + 1
    assert seen == [(done, 16) for done in range(1, 17)]
