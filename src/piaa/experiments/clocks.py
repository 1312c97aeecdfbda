"""A clock for ratios of times."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch


@dataclass
class Clock:
    """Time on an accelerator by the wall, on a CPU by what the process used, which other processes do not change.

    Attributes:
        device: where the work is done.
    """

    device: torch.device

    def __post_init__(self) -> None:
        self._begin = self._now()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return self._now() - self._begin

    def _now(self) -> float:
        if self.device.type == "cpu":
            return time.process_time()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
