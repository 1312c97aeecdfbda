"""Images of all requests, decoded in threads and put through the model together: one model thread, no waiting.

The model takes what lies there when it is free, up to a batch, so an idle service answers at once and a busy one fills
its batches by itself. What lies there is bounded: beyond that a request is refused.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from piaa.serve.metrics import Metrics
from piaa.serve.pictures import Prepared, prepare
from piaa.serve.refusals import Fault, Refusal
from piaa.serve.reload import Loaded
from piaa.serve.settings import Settings
from piaa.vision.encoder import Encoded

LONGEST_WAIT = 60
"""Seconds that `Retry-After` names at most."""
WAITING = 0.5
"""Of a request's time, what it may be expected to spend in the queue; else it is refused at once."""
logger = logging.getLogger("piaa.serve")


@dataclass(frozen=True)
class Scored:
    """One image after the model.

    Attributes:
        scores: C, eq. 13.
        strangeness: a single number; above 1 the image is unlike those of the fit.
        encoded: its embeddings, with one row; patches only where a preview was asked for.
        prepared: what went in, its pixels left out.
    """

    scores: Tensor
    strangeness: Tensor
    encoded: Encoded
    prepared: Prepared


Outcome = Scored | Fault


@dataclass(eq=False)
class _Job:
    loaded: Loaded
    data: bytes
    preview: bool
    future: asyncio.Future[Outcome]
    prepared: Prepared | None = None
    dropped: bool = False


class Batcher:
    """The queue and the thread of the model.

    Args:
        settings: its limits.
        metrics: told of batches and of what is held.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.held = 0
        self.bodies = 0
        self._pace = 0.05  # seconds an image, smoothed
        self._ready: deque[_Job] = deque()
        self._change = threading.Condition()
        self._closed = False
        self.threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="piaa-decode")
        self._model = threading.Thread(target=self._work, name="piaa-model", daemon=True)
        self._model.start()

    @contextmanager
    def body(self, size: int) -> Iterator[None]:
        """Room for a request's body of so many bytes, and for an image. Called in the event loop, like `place`.

        Raises:
            Refusal: 429 when there is none.
        """
        self._check_room(1)
        if self.bodies + size > self.settings.max_bodies:
            raise self._busy("too many requests are being received")
        self._count(0, size)
        try:
            yield
        finally:
            self._count(0, -size)

    def place(self, images: int) -> AbstractContextManager[None]:
        """Room for so many images.

        Raises:
            Refusal: 429 when there is none.
        """
        self._check_room(images)
        return self._placed(images)

    async def score(self, loaded: Loaded, images: Sequence[bytes], preview: bool) -> list[Outcome]:
        """The outcome of each image, in order. The caller holds a `place` for them; cancelling drops them."""
        loop = asyncio.get_running_loop()
        jobs = [_Job(loaded, data, preview, loop.create_future()) for data in images]
        for job in jobs:
            self.threads.submit(self._decode, job, loop)
        try:
            return list(await asyncio.gather(*(job.future for job in jobs)))
        finally:
            for job in jobs:
                job.dropped, job.data = True, b""

    def close(self) -> None:
        """End the threads; what still waits is dropped."""
        self.threads.shutdown(wait=True, cancel_futures=True)
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._model.join(timeout=30)

    @contextmanager
    def _placed(self, images: int) -> Iterator[None]:
        self._count(images, 0)
        try:
            yield
        finally:
            self._count(-images, 0)

    def _count(self, images: int, size: int) -> None:
        self.held += images
        self.bodies += size
        self.metrics.held.set(self.held)
        self.metrics.bodies.set(self.bodies)

    def _check_room(self, images: int) -> None:
        """Refuse what does not fit, and what would wait for most of its time: it would be given up after all."""
        late = self.held * self._pace > WAITING * self.settings.timeout
        if late or self.held + images > self.settings.queue:
            raise self._busy(f"{self.held} images wait already")

    def _busy(self, what: str) -> Refusal:
        wait = min(LONGEST_WAIT, max(1, math.ceil(self.held * self._pace)))
        return Refusal(429, "busy", f"{what}; try again in {wait} s", retry_after=wait)

    def _decode(self, job: _Job, loop: asyncio.AbstractEventLoop) -> None:
        if job.dropped:
            return
        result = prepare(job.data, job.loaded.scorer.preprocess, self.settings.max_pixels, job.preview)
        job.data = b""
        if isinstance(result, Fault):
            _tell(loop, [(job, result)])
            return
        job.prepared = result
        with self._change:
            self._ready.append(job)
            self._change.notify()

    def _work(self) -> None:
        while jobs := self._take():
            begin = time.perf_counter()
            outcomes = _together(jobs)
            self._pace += 0.1 * ((time.perf_counter() - begin) / len(jobs) - self._pace)
            self.metrics.batch.observe(len(jobs))
            _tell(jobs[0].future.get_loop(), list(zip(jobs, outcomes, strict=True)))

    def _take(self) -> list[_Job]:
        """The next jobs of one classifier, the oldest first; none at the end."""
        with self._change:
            while True:
                self._ready = deque(job for job in self._ready if not job.dropped)
                if self._ready or self._closed:
                    break
                self._change.wait()
            if not self._ready:
                return []
            loaded = self._ready[0].loaded
            same = [job for job in self._ready if job.loaded is loaded][: loaded.scorer.setup.decoded_together]
            taken = set(map(id, same))
            self._ready = deque(job for job in self._ready if id(job) not in taken)
            return same


def _together(jobs: list[_Job]) -> list[Outcome]:
    """All at once; where that fails, one by one, so that no image fails for another's sake."""
    try:
        return _scored(jobs)
    except Exception as error:
        if len(jobs) > 1:
            return [_together([job])[0] for job in jobs]
        logger.exception("an image could not be scored")
        return [Fault("failed", f"the model failed: {type(error).__name__}")]


def _scored(jobs: list[_Job]) -> list[Outcome]:
    scorer = jobs[0].loaded.scorer
    encoded = scorer.encode(torch.stack([_prepared(job).pixels for job in jobs]))
    scores, strangeness = scorer.look_encoded(encoded)
    outcomes: list[Outcome] = []
    for index, job in enumerate(jobs):
        if not bool(torch.isfinite(scores[index]).all()):
            outcomes.append(Fault("failed", "its scores are not finite"))
            continue
        row, one = slice(index, index + 1), _prepared(job)
        patches = encoded.patches[row] if job.preview else encoded.patches[row, :0]  # copies: the batch can go
        own = Encoded(encoded.cls[row].clone(), patches.clone(), encoded.grid)
        prepared = Prepared(torch.empty(0), one.region, one.preview)
        outcomes.append(Scored(scores[index].clone(), strangeness[index].clone(), own, prepared))
    return outcomes


def _prepared(job: _Job) -> Prepared:
    assert job.prepared is not None
    return job.prepared


def _tell(loop: asyncio.AbstractEventLoop, outcomes: list[tuple[_Job, Outcome]]) -> None:
    def deliver() -> None:
        for job, outcome in outcomes:
            if not job.future.done():
                job.future.set_result(outcome)

    if not loop.is_closed():
        loop.call_soon_threadsafe(deliver)
