"""Feed a folder to a learner, with checkpoints from which a killed run goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from piaa.errors import ImageError, InputError
from piaa.files import check_place, parse_json
from piaa.inputs.items import Item, batches
from piaa.jobs.common import ErrorLog, Progress, Record, Summary, digest_of_items, errors_path, gather
from piaa.jobs.partial import Partial, open_partial

CHECKPOINT_EVERY = 2048
CHECKPOINT = "checkpoint.safetensors"


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


def fit_job(
    fitter: Fitter,
    inputs: Any,
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    strict: bool = False,
    batch_size: int = 64,
    workers: int = 2,
    checkpoint_every: int = CHECKPOINT_EVERY,
    progress: Progress | None = None,
    finish: Callable[[], object] | None = None,
) -> Summary:
    """Show every image to the fitter once, in a fixed order.

    The state is checkpointed in `OUT.partial/` every `checkpoint_every` images and after the last one; that
    directory is removed once `finish` has returned. Resumed, the fitter ends in the state of an uninterrupted
    run, given the same batch size. Images that fail are in `OUT.errors.jsonl`.

    Args:
        fitter: see `Fitter`; as new, also when resuming.
        inputs: see `piaa.inputs.items.iterate`; meant for files, since the list of items is held.
        out: the file that `finish` writes; nothing else is written under that name.
        resume: go on from the last checkpoint.
        strict: stop at the first image that fails.
        batch_size: images that go through the model together.
        workers: threads that decode.
        checkpoint_every: images between checkpoints; a resumed run keeps the number it began with.
        progress: see `Progress`.
        finish: turns the fitter's state into the output; the checkpoint outlives its failure.

    Raises:
        InputError: inputs or output unusable, or nothing that can be resumed (a changed folder, say).
        ImageError: if strict.
    """
    begin = time.perf_counter()
    out = Path(out)
    check_place(out)
    items, skipped = gather(inputs)
    settings = {
        "the labels, the model or the recipe": fitter.fingerprint,
        "the images": digest_of_items(items),
        "the number of images": len(items),
    }
    partial = open_partial(out, settings, {"checkpoint_every": max(1, checkpoint_every)}, resume)
    consumed, earlier = _load_checkpoint(partial, fitter)
    log = ErrorLog(errors_path(out), strict, earlier)
    step = int(partial.values["checkpoint_every"])
    for start in range(consumed, len(items), step):  # batches begin anew, so that they are the same resumed
        _learn(fitter, items[start : start + step], start, len(items), log, batch_size, workers, progress)
        _save_checkpoint(partial, fitter, min(start + step, len(items)), log.records)
    if progress:
        progress(len(items), len(items))
    if finish:
        finish()
    partial.remove()
    seconds = time.perf_counter() - begin
    where = log.path if log.count else None
    used = len(items) - log.count
    return Summary(len(items), used, log.count, skipped, seconds, where, tuple(partial.notices))


def _learn(
    fitter: Fitter,
    items: list[Item],
    start: int,
    total: int,
    log: ErrorLog,
    batch_size: int,
    workers: int,
    progress: Progress | None,
) -> None:
    def fail(error: ImageError) -> None:
        log.add(error)

    for batch in batches(items, fitter.preprocess, batch_size, workers, fail, start=start):
        fitter.update(batch.images, batch.indices)
        if progress:
            progress(batch.indices[-1] + 1, total)


def _save_checkpoint(partial: Partial, fitter: Fitter, consumed: int, errors: list[Record]) -> None:
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in fitter.state_dict().items()}
    owners: dict[int, str] = {}
    for name, tensor in state.items():  # safetensors refuses tensors that share memory
        if owners.setdefault(tensor.untyped_storage().data_ptr(), name) != name:
            state[name] = tensor.clone()
    metadata = {"progress": json.dumps({"consumed": consumed, "errors": errors})}
    partial.write(CHECKPOINT, lambda path: save_file(state, path, metadata=metadata))


def _load_checkpoint(partial: Partial, fitter: Fitter) -> tuple[int, list[Record]]:
    """How many items the fitter has seen, and which of them failed; it is brought into that state."""
    if not partial.has(CHECKPOINT):
        return 0, []
    try:
        with safe_open(partial.path / CHECKPOINT, framework="pt") as opened:
            progress = parse_json((opened.metadata() or {})["progress"])
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        fitter.load_state_dict(state)
        return int(progress["consumed"]), list(progress["errors"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{partial.path}: cannot resume, the checkpoint does not fit or is damaged ({error}); "
            "run again without --resume to start over"
        ) from error
