"""Listeners of a run: events as JSON lines, and numbers for Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from piaa.errors import InputError
from piaa.files import check_place, whole_file
from piaa.jobs.run import Listener

WRITE_EVERY = 10.0
"""Seconds between two versions of the file for Prometheus."""

_METRICS = {
    "piaa_images": ("gauge", "Images dealt with, failed ones too."),
    "piaa_images_failed": ("gauge", "Images that could not be read or scored."),
    "piaa_images_foreign": ("gauge", "Images unlike those of the fit, given no label; where that is tested."),
    "piaa_images_expected": ("gauge", "Images in the input, where known."),
    "piaa_run_seconds": ("gauge", "Seconds since the run began."),
    "piaa_run_state": ("gauge", "0 running, 1 finished, 2 stopped by a signal, 3 failed."),
    "piaa_run_updated_timestamp_seconds": ("gauge", "When these numbers were written."),
    "piaa_run_finished_timestamp_seconds": ("gauge", "When the run finished; absent before."),
}
_STATES = {"finished": 1, "stopped": 2, "failed": 3}


class Lines(Protocol):
    """What lines are written to: a text stream, or what stands before one."""

    def write(self, text: str, /) -> int:
        """Write text."""
        ...

    def flush(self) -> None:
        """Bring it on its way."""
        ...


def json_lines(stream: Lines) -> Listener:
    """Writes each event as a line, with the time in UTC."""

    def listen(event: dict[str, Any]) -> None:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        stream.write(json.dumps({"time": moment, **event}, ensure_ascii=False) + "\n")
        stream.flush()

    return listen


def all_of(*listeners: Listener) -> Listener:
    """One listener for several."""

    def listen(event: dict[str, Any]) -> None:
        for each in listeners:
            each(event)

    return listen


class MetricsFile:
    """A text file for Prometheus' node exporter, written whole, now and then and at the end.

    Args:
        path: ends in .prom, since the exporter reads no other.
        clock: gives seconds; for tests.

    Raises:
        InputError: another ending, or a place that cannot be written to.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        if path.suffix != ".prom":
            raise InputError(f"{path}: the node exporter reads files that end in .prom; name it so")
        check_place(path)
        self.path, self._clock, self._written = path, clock, -WRITE_EVERY
        self._last: dict[str, Any] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        self._last = {**self._last, **event}
        final = event["event"] in _STATES
        if final or self._clock() - self._written >= WRITE_EVERY:
            self._written = self._clock()
            with whole_file(self.path, durable=False) as aside:
                aside.write_text(self._text(), encoding="utf-8")

    def _text(self) -> str:
        last = self._last
        values = {
            "piaa_images": last.get("images", 0),
            "piaa_images_failed": last.get("failed", 0),
            "piaa_images_foreign": last.get("foreign"),
            "piaa_images_expected": last.get("total"),
            "piaa_run_seconds": last.get("seconds", 0),
            "piaa_run_state": _STATES.get(last["event"], 0),
            "piaa_run_updated_timestamp_seconds": round(time.time(), 3),
            "piaa_run_finished_timestamp_seconds": round(time.time(), 3) if last["event"] == "finished" else None,
        }
        label = f'{{job="{_escaped(last["job"])}",out="{_escaped(last["out"])}"}}'
        lines = []
        for name, value in values.items():
            if value is not None:
                kind, text = _METRICS[name]
                lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name}{label} {value}"]
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    safe = text.encode("utf-8", "replace").decode()
    return safe.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
