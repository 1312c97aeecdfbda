"""Recommended models exist, and the page says what the command says."""

from __future__ import annotations

from pathlib import Path

import open_clip
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.vision.models.recommended import RECOMMENDED

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_each_is_a_model_of_open_clip_with_these_weights_and_stands_on_the_page() -> None:
    result = CliRunner().invoke(app, ["models", "--recommended"])
    assert result.exit_code == 0
    assert "none was measured by this project" in result.output
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for one in RECOMMENDED:
        assert one.pretrained in open_clip.list_pretrained_tags_by_model(one.model)
        assert f"--model {one.model} --pretrained {one.pretrained}" in result.output
        cells = (one.purpose, f"`{one.model}`", f"`{one.pretrained}`", one.published, one.source, one.remark)
        assert f"| {' | '.join(cells)} |" in lines
    rows = [line for line in lines if (line.startswith("| ") and "zero-shot" in line) or "retrieval" in line]
    assert len([row for row in rows if row.startswith("|")]) == len(RECOMMENDED)
