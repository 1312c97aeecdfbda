"""How a job is watched from the outside: a bar or plain lines, events, numbers for Prometheus, signals."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from piaa.cli import console
from piaa.errors import InterruptedRun, PiaaError

if TYPE_CHECKING:
    from piaa.jobs import Listener, Stop

LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Pace:
    """Images dealt with, failed ones, and how fast; shown as a bar on a terminal and as lines elsewhere.

    Args:
        name: what is being done, such as `tagging`.
        bars: the bar's place; None for lines.
    """

    def __init__(self, name: str, bars: Progress | None) -> None:
        self.name, self._bars, self.failed = name, bars, 0
        self._task = bars.add_task(name, total=None, pace="") if bars else None
        self._begin = self._shown = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int | None) -> None:
        """See `piaa.jobs.Progress`."""
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        rate = (done - self._first) / max(now - self._begin, 1e-9)
        pace = f"{rate:,.1f}/s" + (f", {self.failed:,} failed" if self.failed else "")
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=total, pace=pace)
        elif now - self._shown >= LINE_EVERY or (done == total and now - self._begin >= LINE_EVERY):
            self._shown = now
            of = f" of {total:,}" if total is not None else ""
            left = f", {_clock((total - done) / rate)} left" if total is not None and rate > 0 else ""
            console.console.print(f"{self.name}: {done:,}{of} images, {pace}{left}", markup=False, highlight=False)

    def hear(self, event: dict[str, Any]) -> None:
        """See `piaa.jobs.Listener`."""
        self.failed += event["event"] == "error"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@dataclass(frozen=True)
class Watch:
    """What a job is given to be watched: `progress`, `listen`, `stop`."""

    progress: Pace
    listen: Listener
    stop: Stop

    def options(self) -> dict[str, Any]:
        """As keywords of a job."""
        return {"progress": self.progress, "listen": self.listen, "stop": self.stop}


@contextmanager
def watching(name: str, job: str, out: Path, log_json: bool, metrics_file: Path | None) -> Iterator[Watch]:
    """Inside, a job can be watched; an error that ends it is an event, too.

    Args:
        name: what is being done, for the bar.
        job: `fit` or `tag`.
        out: the output.
        log_json: events on standard error and nothing else there.
        metrics_file: for Prometheus.
    """
    from piaa.jobs import stops_on_signals
    from piaa.jobs.events import MetricsFile, all_of, json_lines

    listeners: list[Listener] = []
    if log_json:
        console.console.quiet = True
        listeners.append(json_lines(console.HarmlessLines(sys.stderr)))
    if metrics_file:
        listeners.append(MetricsFile(metrics_file))
    columns = (
        TextColumn("{task.description:<32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    bars = Progress(*columns, TimeRemainingColumn(), console=console.console) if console.console.is_terminal else None
    listen: Listener
    try:
        with stops_on_signals() as stop:
            if bars is None:
                pace = Pace(name, None)
                listen = all_of(pace.hear, *listeners)
                yield Watch(pace, listen, stop)
                return
            with bars:
                pace = Pace(name, bars)
                listen = all_of(pace.hear, *listeners)
                yield Watch(pace, listen, stop)
    except InterruptedRun:
        console.errors.quiet = log_json
        raise
    except PiaaError as error:
        all_of(*listeners)({"event": "failed", "job": job, "out": str(out), "message": str(error)})
        console.errors.quiet = log_json
        raise
