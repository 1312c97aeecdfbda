"""Tag a collection: shard by shard, resumable, the output whole or not there."""

from __future__ import annotations

import os
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
from piaa.jobs.common import ErrorLog, Progress, Record, Summary, errors_path
from piaa.jobs.formats import Row
from piaa.jobs.limits import ErrorLimit
from piaa.jobs.lock import locked
from piaa.jobs.partial import Partial, open_partial
from piaa.jobs.run import Listener, Rules, Run
from piaa.jobs.shards import all_rows, check_shard_size, is_error, read_head, read_records, write_shard
from piaa.jobs.signals import Stop
from piaa.jobs.source import Source, open_items
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
class _Tagging:
    """One call of `tag_job`, so that its steps need not pass everything on."""

    scorer: TagScorer
    run: Run
    partial: Partial
    batch_size: int
    workers: int
    all_scores: bool


def tag_job(
    scorer: TagScorer,
    inputs: Any,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    strict: bool = False,
    max_errors: ErrorLimit | None = None,
    batch_size: int = 64,
    workers: int = 2,
    all_scores: bool = False,
    progress: Progress | None = None,
    listen: Listener | None = None,
    stop: Stop | None = None,
    shard_size: int = SHARD_SIZE,
) -> Summary:
    """Score images, decide their labels, and write a row for each (`piaa.jobs.tables` has the layouts).

    Finished shards lie in `OUT.partial/` until the output is assembled and moved to its name; a killed run
    leaves nothing under that name. Images that fail have no row; they are in `OUT.errors.jsonl`.

    Args:
        scorer: see `TagScorer`.
        inputs: see `piaa.inputs.items.iterate`; drawn shard by shard, never held as a whole.
        out: the output, ending in .jsonl, .csv or .parquet.
        resume: go on from `OUT.partial/`; the output has the same bytes as one of an uninterrupted run. Shards
            whose images changed are done again.
        strict: stop at the first image that fails.
        max_errors: stop once more than these failed.
        batch_size: images that go through the model together; a resumed run keeps its own.
        workers: threads that decode.
        all_scores: write the calibrated score of every class too.
        progress: see `Progress`.
        listen: see `piaa.jobs.run.Listener`.
        stop: a wish to stop; the batch in hand is finished and kept.
        shard_size: images whose rows are kept together; what a kill can cost. A resumed run keeps its own.

    Raises:
        InputError: inputs or output unusable, another run at work on the output, nothing that can be resumed, too
            many errors, or not one image that could be tagged; the output is as it was before.
        ImageError: if strict.
        InterruptedRun: if it was asked to stop.
    """
    out = check_output(out, scorer.label_names)
    rules = Rules(strict, max_errors, progress, listen, stop)
    with locked(out) as lock:
        source = open_items(inputs)
        settings = {"the classifier or its model": scorer.fingerprint, "all scores or labels alone": all_scores}
        values = {"shard_size": max(1, shard_size), "batch_size": batch_size}
        partial = open_partial(out, settings, values, resume)
        run = Run("tag", out, rules, lock, ErrorLog(errors_path(out), strict), source.total)
        tagging = _Tagging(scorer, run, partial, int(partial.values["batch_size"]), workers, all_scores)
        run.tell("started", total=source.total, resumed=resume)
        numbers = _do_shards(tagging, source, check_shard_size(partial.values))
        _finish(tagging, numbers)
        notices = (*lock.notices, *partial.notices)
    return summary_of(run, source, notices)


def summary_of(run: Run, source: Source, notices: Sequence[str]) -> Summary:
    """What became of a run, told to the listener too."""
    run.tell("finished", **run.counts())
    where = run.log.path if run.log.count else None
    skipped = dict(source.skipped)
    done = run.own - run.log.count
    return Summary(
        run.own,
        done,
        run.log.count,
        sum(skipped.values()),
        run.seconds,
        where,
        tuple(notices),
        skipped_endings=skipped,
    )


def _do_shards(tagging: _Tagging, source: Source, size: int) -> list[int]:
    """All shards, those that are done already too; their numbers."""
    run, start, number = tagging.run, 0, 0
    while items := source.take(size):
        run.own += len(items)
        _do_shard(tagging, number, start, items)
        start, number = start + len(items), number + 1
        run.tell("shard", number=number, **run.counts())
        if run.step(start) and (run.total is None or start < run.total):
            raise run.stopped()
    return list(range(number))


def _do_shard(tagging: _Tagging, number: int, start: int, items: list[Item]) -> None:
    """Batches begin anew where a run was stopped between them, so that they are the same in a resumed run."""
    run, scorer = tagging.run, tagging.scorer
    consumed, records = _kept(tagging, number, items)
    if consumed == len(items):
        return
    found: list[tuple[int, Record]] = list(enumerate(records))  # by position in the shard; kept ones come first
    seek = consumed

    def fail(error: ImageError) -> None:
        nonlocal seek
        record = run.fail(error)
        seek = next((at for at in range(seek, len(items)) if items[at].id == error.path), seek)
        found.append((seek, record))
        seek += 1

    todo, first = items[consumed:], start + consumed
    for batch in batches(todo, scorer.preprocess, tagging.batch_size, tagging.workers, fail, start=first):
        for index, row in zip(batch.indices, _rows(tagging, batch), strict=True):
            at = index - start
            failed = ImageError(items[at].id, "its scores are not finite")
            found.append((at, run.fail(failed, "score") if row is None else row))
        covers = batch.indices[-1] + 1 - start
        if run.step(start + covers) and covers < len(items):
            write_shard(tagging.partial, number, items, covers, _in_order(found))
            raise run.stopped()
    write_shard(tagging.partial, number, items, len(items), _in_order(found))


def _in_order(found: list[tuple[int, Record]]) -> list[Record]:
    return [record for _, record in sorted(found, key=lambda pair: pair[0])]


def _kept(tagging: _Tagging, number: int, items: list[Item]) -> tuple[int, list[Record]]:
    """How many items of the shard an earlier run dealt with, and, where that is not all of them, their records."""
    head = read_head(tagging.partial, number)
    if head is None:
        return 0, []
    if not head.fits(items):
        tagging.partial.notice(
            "images were added, removed or replaced since the unfinished run began; what they touch is done again"
        )
        return 0, []
    whole = head.covers == len(items)
    records = read_records(tagging.partial, number) if head.failed or not whole else []
    tagging.run.log.take(filter(is_error, records))
    return head.covers, [] if whole else records


def _rows(tagging: _Tagging, batch: Batch) -> Iterator[Row | None]:
    """A row for each image of the batch, or None where the model gave no usable scores."""
    scores = tagging.scorer.score(batch.images)
    calibrated, mask = (np.asarray(values) for values in tagging.scorer.decide(scores))
    usable = np.isfinite(np.asarray(scores.detach().cpu().float())).all(1) & np.isfinite(calibrated).all(1)
    for index, name in enumerate(batch.ids):
        values = [round(float(value), DIGITS) for value in calibrated[index]]
        yield _row(tagging, name, values, mask[index]) if usable[index] else None


def _row(tagging: _Tagging, name: str, values: Sequence[float], mask: Any) -> Row:
    names = tagging.scorer.label_names
    present = [int(c) for c in np.flatnonzero(mask)]
    chosen = sorted(present, key=lambda c: -values[c])  # stable: ties in the order of the classes
    row: Row = {"path": name, "labels": [{"label": names[c], "score": values[c]} for c in chosen]}
    if tagging.all_scores:
        row["scores"] = dict(zip(names, values, strict=True))
    return row


def _finish(tagging: _Tagging, numbers: list[int]) -> None:
    """Assemble the output, unless nothing came of the run."""
    run, partial = tagging.run, tagging.partial
    try:
        run.close()
    except Exception:
        if run.log.count >= run.own:  # what made all of them fail may be mended: nothing of it is to be kept
            partial.remove()
        raise
    columns = tagging.scorer.label_names if tagging.all_scores else []
    with whole_file(run.out) as aside:
        write_table(aside, Path(run.out).suffix, all_rows(partial, numbers), columns)
    partial.remove()
