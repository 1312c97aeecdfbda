"""Feed a collection to a learner, with checkpoints from which a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from piaa.errors import ImageError, InputError
from piaa.files import check_place, sync, writing
from piaa.inputs.items import Item, batches
from piaa.jobs.common import ErrorLog, Progress, Summary, add_item, errors_path
from piaa.jobs.limits import ErrorLimit
from piaa.jobs.lock import locked
from piaa.jobs.partial import Partial, open_partial
from piaa.jobs.run import Listener, Rules, Run
from piaa.jobs.signals import Stop
from piaa.jobs.source import Source, open_again, open_items
from piaa.jobs.tag import summary_of

CHECKPOINT_EVERY = 2048
CHECKPOINT = "checkpoint.safetensors"
ERRORS = "errors.jsonl"


class Fitter(Protocol):
    """What `fit_job` needs of a learner; `piaa.engine.Learner` is one.

    Attributes:
        fingerprint: changes with anything that changes what is learnt from an image.
    """

    fingerprint: str

    def preprocess(self, image: Image.Image, /) -> Tensor:
        """PIL RGB to 3 x H x W."""
        ...

    def update(self, images: Tensor, indices: list[int]) -> None:
        """Learn from N x 3 x H x W; `indices` are their positions in the whole run."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Everything learnt so far."""
        ...

    def load_state_dict(self, state: dict[str, Tensor], /) -> None:
        """Go on from a `state_dict`; ValueError if it does not fit."""
        ...


@dataclass
class _Fitting:
    """One call of `fit_job`. `hash` covers the items so far."""

    fitter: Fitter
    run: Run
    partial: Partial
    batch_size: int
    workers: int
    step: int
    hash: Any


def fit_job(
    fitter: Fitter,
    inputs: Any,
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    strict: bool = False,
    max_errors: ErrorLimit | None = None,
    batch_size: int = 64,
    workers: int = 2,
    checkpoint_every: int = CHECKPOINT_EVERY,
    progress: Progress | None = None,
    listen: Listener | None = None,
    stop: Stop | None = None,
    finish: Callable[[], object] | None = None,
) -> Summary:
    """Show every image to the fitter once, in a fixed order.

    The state is checkpointed in `OUT.partial/` every `checkpoint_every` images, after the last one, and where the run
    is asked to stop; that directory is removed once `finish` has returned. Resumed, the fitter ends in the state of
    an uninterrupted run. Images that fail are in `OUT.errors.jsonl`.

    Args:
        fitter: see `Fitter`; as new, also when resuming.
        inputs: see `piaa.inputs.items.iterate`; drawn block by block, never held as a whole.
        out: the file that `finish` writes; nothing else is written under that name.
        resume: go on from the last checkpoint. Where images before it changed, begin anew, with a notice.
        strict: stop at the first image that fails.
        max_errors: stop once more than these failed.
        batch_size: images that go through the model together; a resumed run keeps its own.
        workers: threads that decode.
        checkpoint_every: images between checkpoints; a resumed run keeps the number it began with.
        progress: see `Progress`.
        listen: see `piaa.jobs.run.Listener`.
        stop: a wish to stop; the batch in hand is finished and kept.
        finish: turns the fitter's state into the output; the checkpoint outlives its failure.

    Raises:
        InputError: inputs or output unusable, another run at work on the output, nothing that can be resumed, too many
            errors, or not one image to learn from; the output is as it was before.
        ImageError: if strict.
        InterruptedRun: if it was asked to stop.
    """
    out = Path(out)
    check_place(out)
    rules = Rules(strict, max_errors, progress, listen, stop)
    with locked(out) as lock:
        source = open_items(inputs)
        settings = {"the labels, the model or the recipe": fitter.fingerprint}
        values = {"checkpoint_every": max(1, checkpoint_every), "batch_size": batch_size}
        partial = open_partial(out, settings, values, resume)
        run = Run("fit", out, rules, lock, ErrorLog(errors_path(out), strict), source.total)
        size, step = int(partial.values["batch_size"]), int(partial.values["checkpoint_every"])
        fitting = _Fitting(fitter, run, partial, size, workers, step, hashlib.sha256())
        run.tell("started", total=source.total, resumed=resume)
        source, pending = _resume(fitting, inputs, source)
        _learn_all(fitting, source, pending)
        _close(fitting)
        if finish:
            finish()
        partial.remove()
        notices = (*lock.notices, *partial.notices)
    return summary_of(run, source, notices)


def _learn_all(fitting: _Fitting, source: Source, pending: list[Item]) -> None:
    """Block by block; `pending` is what is left of a block that was begun."""
    run = fitting.run
    items = pending or source.take(fitting.step)
    while items:
        _learn(fitting, items)
        items = source.take(fitting.step)
        run.tell("shard", number=-(-run.seen // fitting.step), **run.counts())
        if run.step(run.seen) and items:
            raise run.stopped()


def _learn(fitting: _Fitting, items: list[Item]) -> None:
    run, start = fitting.run, fitting.run.seen

    def fail(error: ImageError) -> None:
        run.fail(error)

    taken = 0
    for batch in batches(items, fitting.fitter.preprocess, fitting.batch_size, fitting.workers, fail, start=start):
        fitting.fitter.update(batch.images, batch.indices)
        done = batch.indices[-1] + 1 - start
        if run.step(start + done) and done < len(items):
            _account(fitting, items[taken:done])
            _save_checkpoint(fitting, closed=False)
            raise run.stopped()
        _account(fitting, items[taken:done])
        taken = done
    _account(fitting, items[taken:])
    run.seen = start + len(items)
    _save_checkpoint(fitting, closed=run.seen % fitting.step != 0)


def _account(fitting: _Fitting, items: list[Item]) -> None:
    for item in items:
        add_item(fitting.hash, item)
    fitting.run.own += len(items)


def _close(fitting: _Fitting) -> None:
    try:
        fitting.run.close()
    except Exception:
        if fitting.run.log.count >= fitting.run.own:
            fitting.partial.remove()
        raise


def _save_checkpoint(fitting: _Fitting, *, closed: bool) -> None:
    """`closed`: the last batch was a smaller one, so that nothing can follow it in the same run."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in fitting.fitter.state_dict().items()}
    owners: dict[int, str] = {}
    for name, tensor in state.items():  # safetensors refuses tensors that share memory
        if owners.setdefault(tensor.untyped_storage().data_ptr(), name) != name:
            state[name] = tensor.clone()
    log, run = fitting.run.log, fitting.run
    position = {
        "seen": run.seen,
        "own": run.own,
        "failed": log.count,
        "errors_bytes": _keep_errors(fitting),
        "items": fitting.hash.hexdigest(),
        "closed": closed,
    }
    metadata = {"progress": json.dumps(position)}
    fitting.partial.write(CHECKPOINT, lambda path: save_file(state, path, metadata=metadata))


def _keep_errors(fitting: _Fitting) -> int:
    """Bring the partial's copy of the errors up to date; its length."""
    log, copy = fitting.run.log, fitting.partial.path / ERRORS
    if not log.count or not log.path:
        return 0
    with writing(copy), open(log.path, "rb") as source, open(copy, "ab") as target:
        source.seek(target.tell())
        target.write(source.read())
        target.flush()
        length = target.tell()
    sync(copy)
    return length


def _resume(fitting: _Fitting, inputs: Any, source: Source) -> tuple[Source, list[Item]]:
    """Bring the fitter into the state of the checkpoint, if what it covers is unchanged.

    Returns:
        The source behind what is done, and the items left of the block in hand.
    """
    if not fitting.partial.has(CHECKPOINT):
        return source, []
    run, partial = fitting.run, fitting.partial
    try:
        with safe_open(partial.path / CHECKPOINT, framework="pt") as opened:
            position = json.loads((opened.metadata() or {})["progress"])
            seen = int(position["seen"])
            rest = _skip(fitting, source, seen)
            fits = fitting.hash.hexdigest() == position["items"] and run.seen == seen
            more = rest or (source.take(1) if position["closed"] else [])
            if fits and not (position["closed"] and more):
                fitting.fitter.load_state_dict({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
                run.own = int(position["own"])
                _take_errors(fitting, int(position["errors_bytes"]))
                return source, rest
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{partial.path}: cannot resume, the checkpoint does not fit or is damaged ({error}); "
            "run again without --resume to start over"
        ) from error
    again = open_again(inputs)
    partial.notice("images were added, removed or replaced among those learnt from already: begun anew")
    for name in (CHECKPOINT, ERRORS):
        (partial.path / name).unlink(missing_ok=True)
    fitting.hash, run.seen, run.own = hashlib.sha256(), 0, 0
    return again, []


def _skip(fitting: _Fitting, source: Source, seen: int) -> list[Item]:
    """Pass over the items that are done; what is left of the last block."""
    run = fitting.run
    while run.seen < seen and (items := source.take(fitting.step)):
        done = min(len(items), seen - run.seen)
        _account(fitting, items[:done])
        run.seen += done
        if done < len(items):
            return items[done:]
    return []


def _take_errors(fitting: _Fitting, length: int) -> None:
    """Count what failed before the checkpoint, and forget what was written down after it."""
    copy = fitting.partial.path / ERRORS
    if not length:
        copy.unlink(missing_ok=True)
        return
    with writing(copy), open(copy, "r+b") as stream:
        stream.truncate(length)
        text = stream.read(length)
    if len(text) != length:
        raise ValueError(f"{ERRORS} is shorter than it was")
    fitting.run.log.take(json.loads(line) for line in text.splitlines())
