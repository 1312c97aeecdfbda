"""Feed a collection to a learner, with checkpoints from which a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from piaa.errors import ImageError, InputError
from piaa.files import check_place, parse_json, sync, writing
from piaa.inputs.items import Item, batches
from piaa.jobs.common import ErrorLog, Progress, Record, Summary, add_item, errors_path
from piaa.jobs.evidence import HASH, Keeper, mark
from piaa.jobs.limits import ErrorLimit
from piaa.jobs.lock import locked
from piaa.jobs.partial import Partial, open_partial
from piaa.jobs.run import Listener, Rules, Run
from piaa.jobs.shards import Share
from piaa.jobs.signals import Stop
from piaa.jobs.source import Opened, open_again, open_items
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
    """One call of `fit_job`. `hash` is of the items so far, `covered` has a mark for each that is this machine's."""

    fitter: Fitter
    run: Run
    partial: Partial
    batch_size: int
    workers: int
    step: int
    share: Share
    keep: Keeper | None
    hash: Any = field(default_factory=hashlib.sha256)
    covered: bytearray = field(default_factory=bytearray)

    @property
    def offset(self) -> int:
        """Index of the first image of this run in the whole: others came before where evidence is added to."""
        return self.keep.offset if self.keep else 0

    @property
    def left(self) -> int:
        """Images to the end of the block in hand."""
        return self.step - (self.offset + self.run.seen) % self.step

    @property
    def ours(self) -> bool:
        """Whether the block in hand is this machine's."""
        return self.share.owns((self.offset + self.run.seen) // self.step)


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
    share: Share | None = None,
    keep: Keeper | None = None,
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
        share: which of several machines this is: blocks of `checkpoint_every` images go round.
        keep: keeps the evidence in a file, and goes on from an older one.

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
        source, share = _opened(open_items(inputs), keep), share or Share()
        settings = {
            "the labels, the model or the recipe": fitter.fingerprint,
            "the shard": str(share),
            "the evidence that is added to": [keep.old.index, keep.old.listed] if keep and keep.old else None,
            "whether evidence is kept": keep is not None,
        }
        values = {"checkpoint_every": max(1, checkpoint_every), "batch_size": batch_size}
        values = keep.old.about["batches"] if keep and keep.old else values
        partial = open_partial(out, settings, values, resume)
        run = Run("fit", out, rules, lock, ErrorLog(errors_path(out), strict), source)
        size, step = int(partial.values["batch_size"]), int(partial.values["checkpoint_every"])
        fitting = _Fitting(fitter, run, partial, size, workers, step, share, keep)
        run.tell("started", total=source.total, resumed=resume)
        source, pending = _resume(fitting, inputs, source)
        run.source = source
        _learn_all(fitting, source, pending)
        _close(fitting)
        if keep:
            keep.about["batches"] = {"checkpoint_every": step, "batch_size": size}
            keep.write(str(share), run.listed.hexdigest(), run.seen, bytes(fitting.covered), run.log.count)
        if finish:
            finish()
        partial.remove()
        notices = (*lock.notices, *partial.notices, *(keep.notices if keep else ()))
    return summary_of(run, source, notices)


def _opened(source: Opened, keep: Keeper | None) -> Opened:
    """The images to learn from: all of them, or those that older evidence does not cover."""
    if keep is None or keep.old is None:
        return source
    return replace(source, items=keep.begin(source.items), total=None)


def _learn_all(fitting: _Fitting, source: Opened, pending: list[Item]) -> None:
    """Block by block; `pending` is what is left of a block that was begun."""
    run = fitting.run
    items = pending or source.take(fitting.left)
    while items:
        if fitting.ours:
            _learn(fitting, items)
        else:
            _account(fitting, items, ours=False)
            run.seen += len(items)
        items = source.take(fitting.left)
        run.tell("shard", number=-(-run.seen // fitting.step), **run.counts())
        if run.step(run.seen) and items:
            raise run.stopped()


def _learn(fitting: _Fitting, items: list[Item]) -> None:
    run, start = fitting.run, fitting.run.seen
    first, size, open_end = fitting.offset + start, fitting.batch_size, len(items) < fitting.left

    def fail(error: ImageError) -> None:
        run.fail(error)

    taken = 0
    for batch in batches(items, fitting.fitter.preprocess, size, fitting.workers, fail, start=first):
        done = batch.indices[-1] + 1 - first
        if fitting.keep and open_end and len(batch.indices) < size:
            fitting.keep.learn_tail(batch, items[taken:])
            _account(fitting, items[taken:], ours=True)
            run.step(start + len(items))
            return  # without a checkpoint: resumed, this batch is learnt again, to be kept apart
        fitting.fitter.update(batch.images, batch.indices)
        if run.step(start + done) and done < len(items):
            _account(fitting, items[taken:done], ours=True)
            _save_checkpoint(fitting, closed=False)
            raise run.stopped()
        _account(fitting, items[taken:done], ours=True)
        taken = done
    _account(fitting, items[taken:], ours=True)
    run.seen = start + len(items)
    _save_checkpoint(fitting, closed=open_end)


def _account(fitting: _Fitting, items: list[Item], ours: bool) -> None:
    """Count items, ours or another machine's."""
    for item in items:
        add_item(fitting.hash, item)
        fitting.run.list(item)
        if ours and fitting.keep:
            fitting.covered += mark(item)
    fitting.run.own += len(items) if ours else 0


def _close(fitting: _Fitting) -> None:
    try:
        old = fitting.keep.old if fitting.keep else None
        fitting.run.close(kept=len(old.covered) // HASH if old else 0, shard=fitting.share.count > 1)
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


def _resume(fitting: _Fitting, inputs: Any, source: Opened) -> tuple[Opened, list[Item]]:
    """Bring the fitter into the state of the checkpoint, if what it covers is unchanged.

    Returns:
        The source behind what is done, and the items left of the block in hand.
    """
    if not fitting.partial.has(CHECKPOINT):
        return source, []
    run, partial = fitting.run, fitting.partial
    try:
        with safe_open(partial.path / CHECKPOINT, framework="pt") as opened:
            position = parse_json((opened.metadata() or {})["progress"])
            seen = int(position["seen"])
            rest = _skip(fitting, source, seen)
            fits = fitting.hash.hexdigest() == position["items"] and run.seen == seen
            more = rest or (source.take(1) if position["closed"] else [])
            if fits and not (position["closed"] and more):
                fitting.fitter.load_state_dict({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
                run.own = int(position["own"])
                _take_errors(fitting, int(position["errors_bytes"]))
                return source, rest
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{partial.path}: cannot resume, the checkpoint does not fit or is damaged ({error}); "
            "run again without --resume to start over"
        ) from error
    again = _opened(open_again(inputs), fitting.keep)
    partial.notice("images were added, removed or replaced among those learnt from already: begun anew")
    for name in (CHECKPOINT, ERRORS):
        (partial.path / name).unlink(missing_ok=True)
    fitting.hash, fitting.covered, run.seen, run.own = hashlib.sha256(), bytearray(), 0, 0
    run.listed = hashlib.sha256()
    return again, []


def _skip(fitting: _Fitting, source: Opened, seen: int) -> list[Item]:
    """Pass over the items that are done; what is left of the last block."""
    run = fitting.run
    while run.seen < seen and (items := source.take(fitting.left)):
        done = min(len(items), seen - run.seen)
        _account(fitting, items[:done], fitting.ours)
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
    fitting.run.log.take(map(_error_record, text.splitlines()))


def _error_record(line: bytes) -> Record:
    """A line of `errors.jsonl`.

    Raises:
        ValueError: it is not what `ErrorLog` wrote.
    """
    record = parse_json(line)
    if not isinstance(record, dict) or not all(isinstance(record.get(n), str) for n in ("path", "reason", "stage")):
        raise ValueError(f"{ERRORS} has a line that is no error")
    return record
