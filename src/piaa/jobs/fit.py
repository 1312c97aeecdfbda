"""Fitting over many files, with checkpoints."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from piaa.errors import InputError
from piaa.inputs import batches, iterate
from piaa.jobs.errorlog import ErrorLog
from piaa.jobs.summary import Progress, Summary, silent
from piaa.jobs.workdir import WorkDir, digest_of


class StreamLearner(Protocol):
    """What `fit_job` drives: `piaa.engine.Learner`."""

    preprocess: Callable[[Image.Image], Tensor]
    fingerprint: str

    def update(self, images: Tensor, indices: Sequence[int]) -> None:
        """Take in a batch."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """All that was learnt so far."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from there."""
        ...


def fit_job(
    learner: StreamLearner,
    inputs: Any,
    out: str | Path,
    *,
    resume: bool = False,
    strict: bool = False,
    batch_size: int = 64,
    workers: int = 2,
    checkpoint_every: int = 2000,
    progress: Progress = silent,
) -> tuple[Summary, WorkDir]:
    """Stream all inputs through the learner, with a checkpoint every so many images.

    A resumed run gives exactly what an uninterrupted one gives. The caller writes the result to `out` and then
    removes the returned work directory.

    Raises:
        InputError: no inputs, a run to resume that was another, an unwritable place, or, if strict, a bad image.
    """
    from safetensors.torch import load_file, save

    begin, out = time.monotonic(), Path(out)
    items = list(iterate(inputs))
    if not items:
        raise InputError(f"no image files found in {inputs}")
    job = {"classifier settings": learner.fingerprint, "list of images": digest_of(items), "batch size": batch_size}
    work = WorkDir(out, job, resume=resume)
    start = failed = 0
    pieces = work.pieces(".safetensors")
    if pieces:
        learner.load_state_dict(load_file(str(pieces[-1])))
        start, failed = json.loads((work.path / f"{pieces[-1].stem}.json").read_text())
    log = ErrorLog(out.with_name(out.name + ".errors.jsonl"), "fit", strict=strict, keep=failed)
    done, marked = start, start
    for batch in batches(items[start:], learner.preprocess, batch_size, workers, log, start):
        learner.update(batch.images, batch.indices)
        # a batch is batch_size consecutive items, less what could not be read
        done = min(len(items), start + ((batch.indices[-1] - start) // batch_size + 1) * batch_size)
        progress(done, len(items))
        if done - marked >= checkpoint_every and done < len(items):
            name = f"{done:012d}"
            work.write(f"{name}.json", json.dumps([done, log.count]).encode())
            work.write(f"{name}.safetensors", save(learner.state_dict()))
            for old in work.pieces(".safetensors")[:-1]:
                old.unlink()
            marked = done
    progress(len(items), len(items))
    seconds = time.monotonic() - begin
    errors = log.path if log.count else None
    return Summary(len(items), len(items) - log.count, log.count, start, seconds, errors), work
