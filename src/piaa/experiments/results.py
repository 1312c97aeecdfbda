"""What was measured, as plain rows in one file: JSON lines, appended run by run; Parquet on request."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from piaa.errors import InputError
from piaa.files import claim_folder, parse_json, whole_file, write_text, writing

FILE = "results.jsonl"


@dataclass(frozen=True)
class Row:
    """One measured value.

    Attributes:
        experiment: `table1` and so on.
        row: the line of the table or the curve of the figure that it belongs to.
        dataset: `VOC07`, `scenes`, ...
        model: name, with `pretrained` the weights.
        pretrained: tag, file or `random`.
        front_end: of the patches.
        recipe: name of the recipe; empty for a system that has none.
        method: a name of `piaa.evaluation.evaluate.METHODS`, or of a system of `piaa.experiments.systems`.
        metric: `mAP`, `AP giraffe`, `minutes` and so on.
        value: percent for AP and F1.
        low: of the 95% interval over images; None where there is none.
        high: likewise.
        parameter: what a sweep varies, such as `K=128`; `seed=7` for what is repeated over seeds (ablations, table 1);
            empty otherwise.
        images: that the value is taken over.
        seconds: that the run took, without the encoder where its embeddings were stored.
        run: key of the run; a run whose key is in the file is not run again.
        versions: `piaa 0.1.0, torch ...`.
        commit: of the repository; empty outside one.
    """

    experiment: str
    row: str
    dataset: str
    model: str
    pretrained: str
    front_end: str
    recipe: str
    method: str
    metric: str
    value: float
    low: float | None
    high: float | None
    parameter: str
    images: int
    seconds: float
    run: str
    versions: str
    commit: str


class Results:
    """The rows under a folder.

    Args:
        folder: holds `results.jsonl`; made when the first rows are written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE

    def read(self) -> list[Row]:
        """All rows; a line cut off by a kill at the very end is left out.

        Raises:
            InputError: there is no such file, or a line in the middle is no row.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"{self.path}: no results here; run `piaa reproduce` with --results first") from error
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                rows += [Row(**values) for values in parse_json(line)]
            except (json.JSONDecodeError, TypeError) as error:
                if number == len(lines):
                    break
                raise InputError(f"{self.path}, line {number}: not a line of results ({error})") from error
        return rows

    def finished(self) -> set[str]:
        """Keys of the runs in the file."""
        return {row.run for row in self.read()} if self.path.is_file() else set()

    def append(self, rows: Sequence[Row]) -> None:
        """Add a run's rows, all of them in one line, so that a run is there as a whole or not at all."""
        if not self.path.is_file():
            claim_folder(self.folder, "piaa reproduce")
        with writing(self.path):
            kept = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
            if kept and not kept.endswith("\n"):  # a line that a kill cut off
                kept = kept[: kept.rfind("\n") + 1]
            write_text(self.path, kept + json.dumps([asdict(row) for row in rows]) + "\n")

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """The rows as a Parquet file, written aside and renamed."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = self.read()
        columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(Row)}
        with whole_file(path) as aside:
            pq.write_table(pa.table(columns), aside)


def latest(rows: Iterable[Row]) -> list[Row]:
    """Of rows that measure the same thing in the same place, the last."""
    kept = {(r.experiment, r.row, r.dataset, r.method, r.metric, r.parameter): r for r in rows}
    return list(kept.values())


@cache
def versions() -> str:
    """What the numbers were made with."""
    from importlib.metadata import version

    names = {"piaa": "piaa", "torch": "torch", "open_clip": "open_clip_torch", "torchmetrics": "torchmetrics"}
    return ", ".join(f"{short} {version(name)}" for short, name in names.items())


@cache
def commit() -> str:
    """The commit of the repository that the package lies in, with `+` where files differ; empty outside of one."""
    folder = Path(__file__).parent
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
