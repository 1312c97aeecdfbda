"""Faults that a new user met, each kind as a test: the command line in a process of its own, as it is typed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from piaa.cli.fit import MOST_NAMED
from piaa.cli.main import COMMANDS, app
from piaa.scenes import render, sample_scene
from piaa.scenes.folders import write_scene_folder

PIAA = [sys.executable, "-m", "piaa"]


def piaa(*arguments: object, code: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own, at 80 columns."""
    environment = {**os.environ, "COLUMNS": "80", "HF_HUB_OFFLINE": "1"}
    command = [*PIAA, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done  # type: ignore[no-any-return]


def inside(*arguments: object, code: int = 0) -> str:
    """In this process, which is quicker."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faults")
    write_scene_folder(root / "photos", 5, "unlabelled", 16)
    (root / "labels.txt").write_text("anchor\numbrella\nsnowman\ncat\n")
    inside("fit", root / "photos", "--labels", root / "labels.txt", "--out", root / "c.piaa")
    return root


@pytest.mark.parametrize(
    "command",
    [
        ("demo", "--unlabelled", 2, "--test", 2, "--out"),
        ("reproduce", "table1", "--images", 2, "--results"),
        ("explain", "{photos}", "--classifier", "{classifier}", "--out"),
    ],
    ids=lambda command: command[0],
)
def test_a_users_folder_is_refused_and_left_alone(world: Path, tmp_path: Path, command: Sequence[object]) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "labels.txt").write_text("my own words")
    Image.new("RGB", (32, 32)).save(mine / "photo.jpg")
    known = {"{photos}": world / "photos", "{classifier}": world / "c.piaa"}
    os.chdir(tmp_path)
    output = inside(*(known.get(str(word), word) for word in command), mine, code=1)
    assert "did not write (labels.txt, photo.jpg)" in one_line(output)
    assert (mine / "labels.txt").read_text() == "my own words"
    assert sorted(path.name for path in mine.iterdir()) == ["labels.txt", "photo.jpg"]


def test_a_demo_in_its_own_folder_forgets_the_larger_one_before(tmp_path: Path) -> None:
    for images in (6, 3):
        inside("demo", "--unlabelled", images, "--test", images, "--out", tmp_path / "d")
    assert len(list((tmp_path / "d" / "test").iterdir())) == 3
    mine = tmp_path / "d" / "test" / "holiday.jpg"
    Image.new("RGB", (32, 32)).save(mine)
    output = inside("demo", "--unlabelled", 3, "--test", 3, "--out", tmp_path / "d", code=1)
    assert "holds 'holiday.jpg', which was not drawn here" in one_line(output) and mine.is_file()
    assert len(list((tmp_path / "d" / "test").iterdir())) == 4
    assert json.loads((tmp_path / "d" / "metrics.json").read_text())["images"] == {"unlabelled": 3, "test": 3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cat, dog, house", "several classes, write each on a line"),
        ("cat,", "commas and no colon"),
        ("['cat', 'dog']", "looks like a list as a program prints it"),
        ('["cat", "dog"]', "looks like a list as a program prints it"),
        ('[\n"cat",\n"dog"\n]', "line 1: .*looks like a list"),
        ("cat\n'dog',\n", "line 2: .*looks like a list"),
    ],
)
def test_label_files_that_mean_a_list(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "l.txt").write_text(text)
    output = inside("fit", tmp_path, "--labels", tmp_path / "l.txt", "--out", tmp_path / "x.piaa", code=1)
    assert re.search(reason, one_line(output)), output


def test_a_folder_without_a_model_is_told_apart_from_no_folder(world: Path, tmp_path: Path) -> None:
    fit = ("fit", world / "photos", "--labels", world / "labels.txt", "--out", tmp_path / "x.piaa", "--model")
    assert "this folder holds no model" in one_line(inside(*fit, world / "photos", code=1))
    assert "no file or directory" in one_line(inside(*fit, tmp_path / "nowhere", code=1))


def test_names_of_the_hub_are_looked_for_there(world: Path, tmp_path: Path) -> None:
    fit = ("fit", world / "photos", "--labels", world / "labels.txt", "--out", tmp_path / "x.piaa", "--model")
    message = one_line(piaa(*fit, "hf-hub:timm/ViT-B-16-SigLIP2", code=1).stderr)
    assert "not in the cache of this machine, and the hub cannot be reached" in message
    assert "write hf-hub:ORGANISATION/NAME" in one_line(inside(*fit, "hf-hub:nothing", code=1))


def test_random_weights_are_said_to_mean_nothing(world: Path, tmp_path: Path) -> None:
    random = ("--model", "ViT-S-32-alt", "--pretrained", "random", "--image-size", "trained")
    output = inside("fit", world / "photos", "--labels", world / "labels.txt", "--out", tmp_path / "x.piaa", *random)
    assert "weights of ViT-S-32-alt are random" in one_line(output)
    tagged = inside("tag", world / "photos", "--classifier", tmp_path / "x.piaa", "--out", tmp_path / "t.csv")
    assert "labels and scores mean nothing" in one_line(tagged)


def test_explain_draws_each_image_of_a_folder(world: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        render(sample_scene(5, "test", number), (96, 96)).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    explain = ("explain", tmp_path / "in", "--classifier", world / "c.piaa", "--out")
    assert "so --out must be a folder" in one_line(inside(*explain, tmp_path / "heat.png", code=1))
    output = inside(*explain, tmp_path / "heat", code=3)
    assert "explained 3 images" in output and "not read: " in output
    names = sorted(path.name for path in (tmp_path / "heat").glob("*.png"))
    assert names == ["0001-0.png", "0002-1.png", "0003-2.png"]
    with Image.open(tmp_path / "heat" / names[0]) as sheet:
        assert sheet.width > 600
    inside("explain", tmp_path / "in" / "1.png", "--classifier", world / "c.piaa", "--out", tmp_path / "one.jpg")
    with Image.open(tmp_path / "one.jpg") as sheet:
        assert sheet.format == "JPEG"
    one = ("explain", tmp_path / "in" / "1.png", "--classifier", world / "c.piaa", "--out", tmp_path / "one.txt")
    assert "the ending says how to draw" in one_line(inside(*one, code=1))


def test_models_never_cuts_a_name(tmp_path: Path) -> None:
    import open_clip

    lines = piaa("models").stdout.splitlines()
    assert "…" not in "".join(lines)
    tags = open_clip.list_pretrained_tags_by_model("ViT-L-14")
    after = lines[next(number for number, line in enumerate(lines) if line.startswith("ViT-L-14 ")) + 1]
    assert after.strip() == f"--pretrained: {', '.join(tags)}"


def test_a_check_is_told_in_words() -> None:
    output = inside("models", "--check", "embedded")
    assert "Check(" not in output
    assert re.search(r"passed  \[CLS\] against encode_image: relative error \d", output)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("command", [("models",), ("datasets",), ("--help",), ("fit", "--help")])
def test_a_full_disk_behind_standard_output_is_one_line(command: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PIAA, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == ["error: standard output cannot be written: No space left on device"]


def test_a_closed_pipe_is_no_error_to_tell_of() -> None:
    process = subprocess.Popen([*PIAA, "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


def test_common_options_stand_anywhere(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from piaa.extensions import register_recipe\n"
        "from piaa.method.recipes import Recipe\n"
        "register_recipe(Recipe('anywhere-1'))\n"
    )
    fit = ("fit", tmp_path, "--labels", "l", "--out", "o", "--recipe", "anywhere-1")
    for line in (("--extension", tmp_path / "mine.py", *fit), (*fit, f"--extension={tmp_path / 'mine.py'}")):
        assert "l: cannot read the label file" in one_line(piaa(*line, code=1).stderr)
    missing = piaa(*fit, "--extension", tmp_path / "none.py", code=1)
    assert "none.py: no such extension" in one_line(missing.stderr)
    assert "--quiet and --verbose contradict" in one_line(piaa("models", "-q", "-v", code=1).stderr)


def test_quiet_says_nothing_and_verbose_more(world: Path, tmp_path: Path) -> None:
    fit = ("fit", world / "photos", "--labels", world / "labels.txt", "--out", tmp_path / "x.piaa")
    quiet = piaa(*fit, "--quiet")
    assert quiet.stdout + quiet.stderr == ""
    tag = ("tag", world / "photos", "--classifier", tmp_path / "x.piaa", "--out", tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl.partial").mkdir()
    assert "leftovers" in piaa(*tag, "--verbose").stderr
    assert piaa("-q", *fit[:-2], "--out", tmp_path / "no" / "x", code=1).stderr.startswith("error: ")


@pytest.mark.parametrize("name", ["", *COMMANDS, "datasets"])
def test_every_command_has_a_short_help(name: str) -> None:
    output = inside(*([name] if name else []), "-h")
    assert "Usage" in output
    assert name in ("", "datasets") or "--extension" in output


def test_a_fit_of_many_classes_says_it_in_a_few_lines(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (64, 64), (9 * number, 40, 90)).save(tmp_path / f"{number}.png")
    (tmp_path / "labels.txt").write_text("\n".join(f"thing number {number}" for number in range(1000)))
    fit = ("fit", tmp_path, "--labels", tmp_path / "labels.txt", "--out", tmp_path / "x.piaa")
    output = inside(*fit)
    assert len(output.splitlines()) < 12
    assert f"and {1000 - MOST_NAMED} more" in one_line(output)
    assert len(piaa(*fit, "--verbose").stderr.splitlines()) > 1000


def test_outputs_have_the_mode_that_the_umask_says(world: Path) -> None:
    usual = 0o666 & ~_umask()
    assert (world / "c.piaa").stat().st_mode & 0o777 == usual


def _umask() -> int:
    before = os.umask(0o022)
    os.umask(before)
    return before


def test_names_with_brackets_are_shown_as_they_are(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "[red]tags.jsonl"
    assert str(out) in one_line(
        inside("tag", world / "photos", "--classifier", world / "c.piaa", "--out", out)
    ).replace(" ", "")


def test_advice_names_what_works_in_a_checkout() -> None:
    source = Path(__file__).parents[2] / "src" / "piaa"
    assert not [path for path in source.rglob("*.py") if "pip install 'piaa" in path.read_text(encoding="utf-8")]
