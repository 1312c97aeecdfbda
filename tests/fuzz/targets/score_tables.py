"""Tables that `piaa eval --scores` writes and `piaa compare` reads."""

from __future__ import annotations

from pathlib import Path

import torch

from piaa.evaluation.score_tables import ScoreTable, aligned, read_scores, write_scores

from ..harness import Seed, Target


def seeds(folder: Path) -> list[Seed]:
    labels = torch.tensor([[1, 0], [0, -1]])
    table = ScoreTable(["a.jpg", "b.jpg"], ["cat", "dog"], labels, {"piaa": torch.rand(2, 2)}, labels > 0)
    write_scores(folder / "seed.parquet", table)
    return [Seed((folder / "seed.parquet").read_bytes())]


def read(data: bytes, suffix: str, folder: Path) -> None:
    path = folder / "scores.parquet"
    path.write_bytes(data)
    table = read_scores(path)
    aligned(table, read_scores(folder / "seed.parquet"))


TARGET = Target("score-tables", seeds, read)
