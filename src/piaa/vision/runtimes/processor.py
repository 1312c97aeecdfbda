"""What this processor can do, asked and not assumed."""

from __future__ import annotations

import functools
import platform
from pathlib import Path


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Instruction sets by the kernel's names (`avx2`, `avx512_vnni`, ...); empty where the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def sums_int8_without_overflow() -> bool:
    """Whether products of 8-bit numbers are added in 32 bits at once.

    x86 without VNNI adds two of them in 16 bits, which saturate; weights must then keep to 7 bits.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    return bool(cpu_flags() & {"avx512_vnni", "avx_vnni"})


def processor_name() -> str:
    """The model name, for verdicts that hold on this processor alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
