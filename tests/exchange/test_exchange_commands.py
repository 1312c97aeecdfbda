"""`piaa export` and `piaa import` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

from exchange_world import CLASSES, ROWS, make_images
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.evaluation.truth import read_truth


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def write_tags(folder: Path) -> Path:
    make_images(folder / "photos")
    rows = [{"path": path, "labels": [{"label": n, "score": s} for n, s in labels.items()]} for path, labels in ROWS]
    rows.append({"path": "gone.jpg", "labels": []})
    (folder / "tags.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "tags.jsonl"


def test_export_counts_and_writes_down_what_failed(tmp_path: Path) -> None:
    tags = write_tags(tmp_path)
    assert "4 of 5 images exported" in run("export", tags, "--to", "xmp", "--images", tmp_path / "photos")
    log = tmp_path / "tags.jsonl.xmp.errors.jsonl"
    assert [json.loads(line)["path"] for line in log.read_text().splitlines()] == ["gone.jpg"]
    assert "=1+1" in (tmp_path / "photos/sub/ünï.tiff.xmp").read_text()
    assert "no format is called 'word'" in run("export", tags, "--to", "word", code=1)
    assert "leave it out" in run("export", tags, "--to", "xmp", "--out", tmp_path / "x", code=1)
    assert "could not be exported" in run("export", tags, "--to", "xmp", "--images", tmp_path / "none", code=1)
    assert "label-studio" in run("export")


def test_corrections_become_truth(tmp_path: Path) -> None:
    tags = write_tags(tmp_path)
    photos = tmp_path / "photos"
    run("export", tags, "--to", "cvat", "--images", photos, "--out", tmp_path / "c.xml")
    said = run("import", tmp_path / "c.xml", "--from", "cvat", "--images", photos, "--out", tmp_path / "truth.jsonl")
    assert "4 images, 6 labels" in said and "not there" not in said
    names = [name.replace("\n", " ") for name in CLASSES]
    truth = read_truth(tmp_path / "truth.jsonl", names)
    assert truth.missing == [] and truth.labels["photos/plain.jpg"] == {0, 5}
    said = run("import", tmp_path / "c.xml", "--from", "cvat", "--out", tmp_path / "truth.jsonl")
    assert "4 of these images are not there" in said
