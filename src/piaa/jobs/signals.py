"""Ctrl-C and SIGTERM as a wish that a job looks at between batches, so that what is finished is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether somebody asked the run to stop.

    Attributes:
        signal: number of the signal that did; None as long as nobody asked.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def ask(self, number: int = signal.SIGTERM) -> None:
        """Ask for it; a job ends after the batch in hand."""
        self.signal = number


@contextmanager
def stops_on_signals() -> Iterator[Stop]:
    """Inside, the first SIGINT or SIGTERM asks the run to stop; a second SIGINT interrupts at once.

    Outside the main thread, where Python allows no handlers, it does nothing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.ask(number)

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
