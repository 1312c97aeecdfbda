"""What every job does beside its work: it counts, reports, obeys a wish to stop and a limit of errors."""

from __future__ import annotations

import hashlib
import signal as signals
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from piaa.errors import ImageError, InputError, InterruptedRun
from piaa.inputs.items import Item
from piaa.jobs.common import ErrorLog, Progress, Record
from piaa.jobs.formats import FOREIGN
from piaa.jobs.limits import ErrorLimit
from piaa.jobs.lock import Lock
from piaa.jobs.signals import Stop
from piaa.jobs.source import Opened

KEPT = "all of them kept; the same command with --resume goes on from there"
Listener = Callable[[dict[str, Any]], None]
"""Told of events, each a mapping with `event`: started, shard, error, finished, stopped or failed."""


@dataclass(frozen=True)
class Rules:
    """How a run is watched and when it ends early; the same for every job.

    Attributes:
        strict: stop at the first image that fails.
        max_errors: stop once more than these failed.
        progress: see `Progress`.
        listen: see `Listener`.
        stop: looked at after every batch.
    """

    strict: bool = False
    max_errors: ErrorLimit | None = None
    progress: Progress | None = None
    listen: Listener | None = None
    stop: Stop | None = None


@dataclass
class Run:
    """One call of a job.

    Attributes:
        job: `fit` or `tag`.
        out: the output.
        rules: see there.
        lock: held while it runs.
        log: of the errors.
        source: of the images.
        seen: images dealt with, failed ones too.
        own: of these, those that are this run's and not another shard's.
        foreign: of these, those unlike the images of the fit; None where that is not tested.
        listed: hash of the ids of all images in the input, by which shards know that they saw the same.
    """

    job: str
    out: Path | str
    rules: Rules
    lock: Lock | None
    log: ErrorLog
    source: Opened | None = None
    seen: int = 0
    own: int = 0
    foreign: int | None = None
    listed: Any = field(default_factory=hashlib.sha256)
    begin: float = field(default_factory=time.perf_counter)

    @property
    def total(self) -> int | None:
        """Images in the input, as soon as that is known."""
        return self.source.total if self.source else None

    @property
    def seconds(self) -> float:
        """Since the begin."""
        return time.perf_counter() - self.begin

    @property
    def _where(self) -> str:
        return f"see {self.log.path}" if self.log.path else "their lines say why"

    def tell(self, event: str, **values: Any) -> None:
        """Tell the listener."""
        if self.rules.listen:
            self.rules.listen({"event": event, "job": self.job, "out": str(self.out), **values})

    def list(self, item: Item) -> None:
        """Take an item of the input into `listed`."""
        self.listed.update(item.id.encode("utf-8", "surrogatepass") + b"\n")

    def counts(self) -> dict[str, Any]:
        """What every event of progress says."""
        foreign = {} if self.foreign is None else {"foreign": self.foreign}
        counts = {"images": self.own, "failed": self.log.count, **foreign, "total": self.total}
        return {**counts, "seconds": round(self.seconds, 3)}

    def take(self, row: dict[str, Any]) -> None:
        """Count a row that was tagged."""
        if self.foreign is not None:
            self.foreign += bool(row.get(FOREIGN))

    def fail(self, error: ImageError, stage: str = "read") -> Record:
        """Take in an image that failed.

        Raises:
            ImageError: if strict.
            InputError: too many.
        """
        record = self.log.add(error, stage)
        self.tell("error", **record)
        self.check(self.total)
        return record

    def check(self, total: int | None) -> None:
        """Refuse to go on when too many failed.

        Raises:
            InputError: in this case.
        """
        limit = self.rules.max_errors
        if limit and limit.passed(self.log.count, total):
            raise InputError(
                f"{self.log.count} images failed, more than --max-errors {limit} allows: {self._where}; nothing was "
                f"written to {self.out}, and the work so far is kept for --resume with another limit"
            )

    def step(self, seen: int) -> bool:
        """After a batch: report, and say whether somebody asked to stop."""
        self.seen = seen
        if self.lock:
            self.lock.alive()
        if self.rules.progress:
            self.rules.progress(seen, self.total)
        return self.rules.stop is not None and self.rules.stop.signal is not None

    def stopped(self, kept: str = KEPT) -> InterruptedRun:
        """The error that ends a run somebody asked to stop; what is finished must be kept already.

        Args:
            kept: what the user should know of it.
        """
        number = (self.rules.stop.signal if self.rules.stop else None) or signals.SIGTERM
        self.tell("stopped", signal=signals.Signals(number).name, **self.counts())
        return InterruptedRun(number, f"stopped by {signals.Signals(number).name} after {self.seen} images, {kept}")

    def close(self, kept: int = 0, shard: bool = False) -> None:
        """At the end of the stream, before the output is written.

        Args:
            kept: images of an update that need not be tagged again.
            shard: one of several, which may have nothing to do where there are fewer blocks than machines.

        Raises:
            InputError: nothing was there, every image failed, or too many.
        """
        if kept:
            self.check(self.own + kept)
            return
        if self.own == 0 and shard and self.seen:
            return
        if self.own == 0:
            raise InputError("no images given")
        if self.log.count >= self.own:
            raise InputError(f"every image failed ({self.log.count}): {self._where}; nothing was written to {self.out}")
        self.check(self.own)
