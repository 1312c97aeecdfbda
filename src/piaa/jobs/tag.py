"""Tag a collection: shard by shard, resumable, the output whole or not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from piaa.errors import ImageError
from piaa.inputs.items import Item, batches
from piaa.jobs.common import ErrorLog, Progress, Record, Summary, errors_path
from piaa.jobs.layout import Layout, Watched, facts_of
from piaa.jobs.limits import ErrorLimit
from piaa.jobs.lock import locked
from piaa.jobs.manifest import now
from piaa.jobs.output import Output, check_plan, check_space, open_output
from piaa.jobs.partial import Partial, open_partial
from piaa.jobs.rows import TagScorer, check_scorer, rows_of_batch, tests_foreign
from piaa.jobs.run import Listener, Rules, Run
from piaa.jobs.shards import Share, check_shard_size, is_error, read_head, read_records, write_shard
from piaa.jobs.signals import Stop
from piaa.jobs.source import Opened, open_items
from piaa.jobs.tables import check_output

SHARD_SIZE = 512


@dataclass(frozen=True)
class _Tagging:
    """One call of `tag_job`, so that its steps need not pass everything on."""

    scorer: TagScorer
    run: Run
    partial: Partial
    batch_size: int
    workers: int
    layout: Layout
    share: Share
    facts: bool

    def watched(self, items: list[Item]) -> list[Item]:
        """The items, which remember what a part says of their files."""
        return [Watched(item, self.layout.content_hash) for item in items] if self.facts else items


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
    layout: Layout | None = None,
    share: Share | None = None,
    update: bool = False,
) -> Summary:
    """Score images, decide their labels, and write a row for each (`piaa.jobs.tables` has the layouts).

    Finished shards lie in `OUT.partial/` until the output is assembled and moved to its name; a killed run
    leaves nothing under that name. Images that fail have no row; they are in `OUT.errors.jsonl`.

    Args:
        scorer: see `TagScorer`.
        inputs: see `piaa.inputs.items.iterate`; drawn shard by shard, never held as a whole.
        out: the output, ending in .jsonl, .csv or .parquet; without an ending, a folder of Parquet parts.
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
        layout: how the output is laid out; instead of `all_scores`, which it has too.
        share: which of several machines this is; a folder of parts only, to be merged with the others'.
        update: tag only what is new or changed since the output was written, a folder of parts.

    Raises:
        InputError: inputs or output unusable, another run at work on the output, nothing that can be resumed, too
            many errors, or not one image that could be tagged; the output is as it was before.
        ImageError: if strict.
        InterruptedRun: if it was asked to stop.
    """
    out = check_output(out, scorer.label_names)
    layout, share = layout or Layout(all_scores=all_scores), share or Share()
    check_plan(out, layout, share, update)
    check_scorer(scorer, layout)
    rules = Rules(strict, max_errors, progress, listen, stop)
    with locked(out) as lock:
        output = open_output(scorer, out, layout, share, update)
        source = output.only_new(open_items(inputs))
        check_space(out, source.total, layout, len(scorer.label_names))
        settings = {
            "the classifier or its model": scorer.fingerprint,
            "all scores or labels alone": layout.all_scores,
            "the columns": {**layout.of_rows(), "all_scores": None},
            "the shard": str(share),
            "the output that is updated": output.base,
        }
        values = {"shard_size": max(1, shard_size), "batch_size": batch_size, "begun": now(), "run": uuid4().hex}
        partial = open_partial(out, settings, values, resume)
        run = Run("tag", out, rules, lock, ErrorLog(errors_path(out), strict), source)
        run.foreign = 0 if tests_foreign(scorer) else None
        size = int(partial.values["batch_size"])
        tagging = _Tagging(scorer, run, partial, size, workers, layout, share, output.is_folder)
        run.tell("started", total=source.total, resumed=resume, run=partial.values["run"])
        numbers = _do_shards(tagging, source, check_shard_size(partial.values))
        _finish(tagging, output, numbers)
        notices = (*lock.notices, *output.notices, *partial.notices)
    summary = summary_of(run, source, notices)
    return replace(summary, kept=output.kept, gone=output.gone)


def summary_of(run: Run, source: Opened, notices: Sequence[str]) -> Summary:
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
        foreign=run.foreign,
    )


def _do_shards(tagging: _Tagging, source: Opened, size: int) -> list[int]:
    """All shards, those that are done already too; their numbers."""
    run, start, number = tagging.run, 0, 0
    own: list[int] = []
    while items := source.take(size):
        for item in items:
            run.list(item)
        if tagging.share.owns(number):
            run.own += len(items)
            own.append(number)
            _do_shard(tagging, number, start, tagging.watched(items))
            run.tell("shard", number=number, **run.counts())
        start, number = start + len(items), number + 1
        if run.step(start) and (run.total is None or start < run.total):
            raise run.stopped()
    return own


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
        seek = next((at for at in range(seek, len(items)) if items[at].id == error.path), seek)
        found.append((seek, described(seek, run.fail(error))))
        seek += 1

    def described(at: int, record: Record) -> Record:
        return {**record, **facts_of(items[at])} if tagging.facts else record

    todo, first = items[consumed:], start + consumed
    for batch in batches(todo, scorer.preprocess, tagging.batch_size, tagging.workers, fail, start=first):
        for index, row in zip(batch.indices, rows_of_batch(scorer, batch, tagging.layout), strict=True):
            at = index - start
            failed = ImageError(items[at].id, "its scores are not finite")
            run.take(row or {})
            found.append((at, described(at, run.fail(failed, "score") if row is None else row)))
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
    records = read_records(tagging.partial, number) if head.failed or head.foreign or not whole else []
    for record in records:
        tagging.run.take(record)
    tagging.run.log.take({name: r[name] for name in ("path", "reason", "stage")} for r in records if is_error(r))
    return head.covers, [] if whole else records


def _finish(tagging: _Tagging, output: Output, numbers: list[int]) -> None:
    """Assemble the output, unless nothing came of the run."""
    run, partial = tagging.run, tagging.partial
    output.drawn()
    try:
        run.close(kept=output.kept, shard=tagging.share.count > 1)
    except Exception:
        if run.log.count >= run.own:  # what made all of them fail may be mended: nothing of it is to be kept
            partial.remove()
        raise
    output.write(partial, numbers, run.listed.hexdigest())
    partial.remove()
