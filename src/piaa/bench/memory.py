"""Resident memory of this process and its high-water mark, in MiB, as the kernel counts them (Linux)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MIB = 2**20


def resident_mib() -> float:
    """Resident memory now; NaN where the system does not say."""
    return _status("VmRSS")


def high_water_mib() -> float:
    """The greatest resident memory since the process began or the mark was last reset; NaN where not known."""
    return _status("VmHWM")


def reset_high_water() -> bool:
    """Give free memory back to the system and begin a new high-water mark; False where that cannot be done."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps freed memory otherwise, and the next peak would hide in it
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_of(call: Callable[[], object]) -> float:
    """Run it and say by how much resident memory rose above where it was, at most; NaN where not known."""
    if not reset_high_water():
        call()
        return float("nan")
    before = resident_mib()
    call()
    return max(0.0, high_water_mib() - before)


def _status(field: str) -> float:
    try:
        lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024
    except (OSError, StopIteration):
        return float("nan")
