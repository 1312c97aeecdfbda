"""The machine: threads pinned, facts that belong beside every number, and the rate of its matrix products."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

from piaa.vision.runtimes.processor import cpu_flags, processor_name

MATMUL_SIDE = 2048
FOR_SMALL_NUMBERS = {"avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"}
"""Instructions for products of 8-bit integers and of bfloat16."""


def pin_threads(threads: int) -> int:
    """Let torch use this many threads (0: all cores that this process may use); gives the number."""
    import torch

    count = threads or usable_cores()
    torch.set_num_threads(count)
    return int(torch.get_num_threads())


def usable_cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def describe(device: str = "cpu") -> dict[str, Any]:
    """Processor, cores, threads, load and versions, for the head of a report.

    The load is that of the last minute: more than a little, and other jobs shared the machine.
    """
    import open_clip
    import torch

    from piaa import __version__

    cuda = device.startswith("cuda") and torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "processor": processor_name(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "instructions": sorted(cpu_flags() & FOR_SMALL_NUMBERS),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "open_clip": open_clip.__version__,
        "piaa": __version__,
    }


def matrix_product(device: str = "cpu", side: int = MATMUL_SIDE) -> tuple[Callable[[], object], int]:
    """A float32 product of two `side` x `side` matrices to time, and its floating-point operations (2 side^3)."""
    import torch

    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    out = torch.empty_like(a)
    return finished(lambda: torch.mm(a, b, out=out), device), 2 * side**3


def finished(call: Callable[[], object], device: str) -> Callable[[], object]:
    """The call, returning only when the device is done with it."""
    import torch

    if not device.startswith("cuda"):
        return call

    def waiting() -> object:
        result = call()
        torch.cuda.synchronize()
        return result

    return waiting
