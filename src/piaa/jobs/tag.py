"""Tagging many files: shards as it goes, one whole file at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from piaa.errors import InputError
from piaa.inputs import batches, iterate
from piaa.jobs.errorlog import ErrorLog
from piaa.jobs.summary import Progress, Summary, silent
from piaa.jobs.workdir import WorkDir, digest_of
from piaa.jobs.writers import Row, write_rows, writer_for


class ImageScorer(Protocol):
    """What `tag_job` drives: `piaa.engine.Scorer`."""

    preprocess: Callable[[Image.Image], Tensor]
    fingerprint: str
    label_names: list[str]

    def score(self, images: Tensor) -> Tensor:
        """N x 3 x H x W to N x C."""
        ...

    def decide(self, scores: Tensor) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Calibrated N x C, and which labels."""
        ...


def tag_job(
    scorer: ImageScorer,
    inputs: Any,
    out: str | Path,
    *,
    resume: bool = False,
    strict: bool = False,
    batch_size: int = 64,
    workers: int = 2,
    shard_size: int = 1024,
    all_scores: bool = False,
    progress: Progress = silent,
) -> Summary:
    """Tag all inputs and write one row an image, in order, to `.jsonl`, `.csv` or `.parquet`.

    A killed run leaves nothing under the final name; resumed, it gives the same file as an uninterrupted one.

    Raises:
        InputError: no inputs, an unknown ending, a run to resume that was another, or, if strict, a bad image.
    """
    begin, out = time.monotonic(), Path(out)
    writer_for(out)
    items = list(iterate(inputs))
    if not items:
        raise InputError(f"no image files found in {inputs}")
    job = {
        "classifier": scorer.fingerprint,
        "list of images": digest_of(items),
        "batch or shard size": [batch_size, shard_size],
        "choice of scores": all_scores,
    }
    work = WorkDir(out, job, resume=resume)
    start, failed = _progress_so_far(work)
    log = ErrorLog(out.with_name(out.name + ".errors.jsonl"), "tag", strict=strict, keep=failed)
    step = max(1, shard_size // batch_size) * batch_size
    for low in range(start, len(items), step):
        rows: list[Row] = []
        for batch in batches(items[low : low + step], scorer.preprocess, batch_size, workers, log, low):
            rows.extend(_rows(scorer, batch.ids, batch.images, all_scores))
            progress(batch.indices[-1] + 1, len(items))
        high = min(low + step, len(items))
        body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        work.write(f"{high:012d}.{log.count}.rows", body.encode())
    progress(len(items), len(items))
    write_rows(out, _read(work.pieces(".rows")))
    work.remove()
    errors = log.path if log.count else None
    return Summary(len(items), len(items) - log.count, log.count, start, time.monotonic() - begin, errors)


def _progress_so_far(work: WorkDir) -> tuple[int, int]:
    """Items dealt with and errors written by the finished shards."""
    pieces = work.pieces(".rows")
    if not pieces:
        return 0, 0
    high, failed, _ = pieces[-1].name.split(".")
    return int(high), int(failed)


def _rows(scorer: ImageScorer, ids: Sequence[str], images: Tensor, all_scores: bool) -> Iterator[Row]:
    calibrated, decided = scorer.decide(scorer.score(images))
    for name, scores, mask in zip(ids, calibrated, decided, strict=True):
        order = sorted(np.flatnonzero(mask), key=lambda c: (-scores[c], c))
        row: Row = {
            "path": name,
            "labels": [{"label": scorer.label_names[c], "score": round(float(scores[c]), 6)} for c in order],
        }
        if all_scores:
            row["scores"] = {
                label: round(float(score), 6) for label, score in zip(scorer.label_names, scores, strict=True)
            }
        yield row


def _read(shards: list[Path]) -> Iterator[Row]:
    for shard in shards:
        for line in shard.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
