"""`--out -`: JSON lines to a stream as batches are done, for the next program in a pipe."""

from __future__ import annotations

from typing import Any

from piaa.errors import ImageError
from piaa.inputs.items import batches
from piaa.jobs.common import ErrorLog, Progress, Record, Summary
from piaa.jobs.events import Lines
from piaa.jobs.formats.json_lines import line
from piaa.jobs.layout import Layout
from piaa.jobs.limits import ErrorLimit
from piaa.jobs.manifest import about_tags
from piaa.jobs.rows import TagScorer, rows_of_batch, tests_foreign
from piaa.jobs.run import Listener, Rules, Run
from piaa.jobs.signals import Stop
from piaa.jobs.source import open_items
from piaa.jobs.tag import summary_of


def tag_stream(
    scorer: TagScorer,
    inputs: Any,
    stream: Lines,
    *,
    strict: bool = False,
    max_errors: ErrorLimit | None = None,
    batch_size: int = 64,
    workers: int = 2,
    all_scores: bool = False,
    progress: Progress | None = None,
    listen: Listener | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Tag images and write a line for each at once; nothing is kept that could be resumed.

    The first line is about the stream. An image that failed has a line `{"path", "error", "stage"}`.

    Args:
        stream: text, flushed after every batch.
        scorer: this and the others: see `piaa.jobs.tag.tag_job`.

    Raises:
        InputError, ImageError, InterruptedRun: see there.
    """
    rules = Rules(strict, max_errors, progress, listen, stop)
    source, layout = open_items(inputs), Layout(all_scores=all_scores)
    run = Run("tag", "-", rules, None, ErrorLog(None, strict), source)
    run.foreign = 0 if tests_foreign(scorer) else None
    run.tell("started", total=source.total, resumed=False)
    stream.write(line(about_tags(scorer)))

    def fail(error: ImageError, stage: str = "read") -> None:
        record: Record = run.fail(error, stage)
        stream.write(line({"path": record["path"], "error": record["reason"], "stage": stage}))

    for batch in batches(source.items, scorer.preprocess, batch_size, workers, fail):
        for name, row in zip(batch.ids, rows_of_batch(scorer, batch, layout), strict=True):
            if row is None:
                fail(ImageError(name, "its scores are not finite"), "score")
            else:
                stream.write(line(row))
                run.own += 1
                run.take(row)
        stream.flush()
        if run.step(batch.indices[-1] + 1) and run.seen != run.total:
            raise run.stopped("the lines so far are whole; nothing is kept to go on from")
    stream.flush()
    run.own += run.log.count
    run.close()
    return summary_of(run, source, ())
