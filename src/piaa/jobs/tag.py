"""Tag a folder: shard by shard, resumable, the output whole or not there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from piaa.errors import ImageError
from piaa.files import whole_file
from piaa.inputs.items import Batch, Item, batches
from piaa.jobs.common import (
    ErrorLog,
    Progress,
    Record,
    Summary,
    digest_of_items,
    errors_path,
    gather,
)
from piaa.jobs.formats import Row
from piaa.jobs.partial import Partial, open_partial
from piaa.jobs.tables import check_output, write_table

SHARD_SIZE = 512
DIGITS = 6  # of a score in the output


class TagScorer(Protocol):
    """What `tag_job` needs of a scorer; `piaa.engine.Scorer` is one.

    Attributes:
        label_names: C classes.
        fingerprint: changes with anything that changes a score or a decision.
    """

    label_names: list[str]
    fingerprint: str

    def preprocess(self, image: Image.Image, /) -> Tensor:
        """PIL RGB to 3 x H x W."""
        ...

    def score(self, images: Tensor) -> Tensor:
        """N x 3 x H x W to N x C."""
        ...

    def decide(self, scores: Tensor) -> tuple[Any, Any]:
        """Calibrated scores N x C and which labels each image has, N x C bool; arrays or tensors."""
        ...


@dataclass(frozen=True)
class _Run:
    """One call of `tag_job`, so that its steps need not pass everything on."""

    scorer: TagScorer
    items: list[Item]
    partial: Partial
    log: ErrorLog
    batch_size: int
    workers: int
    all_scores: bool
    progress: Progress | None

    @property
    def shards(self) -> list[range]:
        size = int(self.partial.values["shard_size"])
        return [range(at, min(at + size, len(self.items))) for at in range(0, len(self.items), size)]


def tag_job(
    scorer: TagScorer,
    inputs: Any,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    strict: bool = False,
    batch_size: int = 64,
    workers: int = 2,
    all_scores: bool = False,
    progress: Progress | None = None,
    shard_size: int = SHARD_SIZE,
) -> Summary:
    """Score images, decide their labels, and write a row for each (`piaa.jobs.tables` has the layouts).

    Finished shards lie in `OUT.partial/` until the output is assembled and moved to its name; a killed run
    leaves nothing under that name. Images that fail have no row; they are in `OUT.errors.jsonl`.

    Args:
        scorer: see `TagScorer`.
        inputs: see `piaa.inputs.items.iterate`; meant for files, since the list of items is held.
        out: the output, ending in .jsonl, .csv or .parquet.
        resume: go on from `OUT.partial/`; the output has the same bytes as one of an uninterrupted run.
        strict: stop at the first image that fails.
        batch_size: images that go through the model together.
        workers: threads that decode.
        all_scores: write the calibrated score of every class too.
        progress: see `Progress`.
        shard_size: images whose rows are kept together; what a kill can cost. A resumed run keeps its own.

    Raises:
        InputError: inputs or output unusable, or nothing that can be resumed.
        ImageError: if strict.
    """
    begin = time.perf_counter()
    out = check_output(out, scorer.label_names)
    items, skipped = gather(inputs)
    settings = {
        "the classifier or its model": scorer.fingerprint,
        "the images": digest_of_items(items),
        "the number of images": len(items),
        "all scores or labels alone": all_scores,
    }
    partial = open_partial(out, settings, {"shard_size": max(1, shard_size)}, resume)
    done = [name for name in _shard_names("errors", partial, len(items)) if partial.has(_rows_of(name))]
    earlier = [record for name in done for record in partial.read_lines(name)]
    log = ErrorLog(errors_path(out), strict, earlier)
    run = _Run(scorer, items, partial, log, batch_size, workers, all_scores, progress)
    for number, indices in enumerate(run.shards):
        if not partial.has(f"rows-{number:05d}.jsonl"):
            _do_shard(run, number, indices)
        _report(run, indices.stop)
    _assemble(run, out)
    seconds = time.perf_counter() - begin
    where = log.path if log.count else None
    tagged = len(items) - log.count
    return Summary(len(items), tagged, log.count, skipped, seconds, where, tuple(partial.notices))


def _do_shard(run: _Run, number: int, indices: range) -> None:
    """Batches begin anew with each shard, so that they are the same in a resumed run."""
    failed: list[Record] = []

    def fail(error: ImageError, stage: str = "read") -> None:
        run.log.add(error, stage)
        failed.append(run.log.records[-1])

    rows: list[Row] = []
    items = run.items[indices.start : indices.stop]
    for batch in batches(items, run.scorer.preprocess, run.batch_size, run.workers, fail, start=indices.start):
        for index, row in zip(batch.indices, _rows(run, batch), strict=True):
            if row is None:
                fail(ImageError(run.items[index].id, "its scores are not finite"), "score")
            else:
                rows.append(row)
        _report(run, batch.indices[-1] + 1)
    run.partial.write_lines(f"errors-{number:05d}.jsonl", failed)
    run.partial.write_lines(f"rows-{number:05d}.jsonl", rows)


def _rows(run: _Run, batch: Batch) -> Iterator[Row | None]:
    """A row for each image of the batch, or None where the model gave no usable scores."""
    scores = run.scorer.score(batch.images)
    calibrated, mask = (np.asarray(values) for values in run.scorer.decide(scores))
    usable = np.isfinite(np.asarray(scores.detach().cpu().float())).all(1) & np.isfinite(calibrated).all(1)
    for index, name in enumerate(batch.ids):
        values = [round(float(value), DIGITS) for value in calibrated[index]]
        yield _row(run, name, values, mask[index]) if usable[index] else None


def _row(run: _Run, name: str, values: Sequence[float], mask: Any) -> Row:
    names = run.scorer.label_names
    present = [int(c) for c in np.flatnonzero(mask)]
    chosen = sorted(present, key=lambda c: -values[c])  # stable: ties in the order of the classes
    row: Row = {"path": name, "labels": [{"label": names[c], "score": values[c]} for c in chosen]}
    if run.all_scores:
        row["scores"] = dict(zip(names, values, strict=True))
    return row


def _assemble(run: _Run, out: Path) -> None:
    names = _shard_names("rows", run.partial, len(run.items))
    shards = (run.partial.read_lines(name) for name in names)
    columns = run.scorer.label_names if run.all_scores else []
    with whole_file(out) as aside:
        write_table(aside, out.suffix, shards, columns)
    run.partial.remove()


def _shard_names(kind: str, partial: Partial, items: int) -> list[str]:
    return [f"{kind}-{number:05d}.jsonl" for number in range(-(-items // int(partial.values["shard_size"])))]


def _rows_of(errors: str) -> str:
    return errors.replace("errors", "rows", 1)


def _report(run: _Run, done: int) -> None:
    if run.progress:
        run.progress(done, len(run.items))
