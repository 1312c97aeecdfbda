"""Freed memory stays with the process: a batch then runs in the memory of the batch before it.

glibc gives large freed pieces back to the kernel, so that every batch gets them anew, page by page, each page cleared
first. `benchmarks/allocator.py` measures what that costs. Only the command line asks for this, since it owns its
process; a program that uses piaa as a library calls `keep_freed_memory()` itself if it likes.
"""

from __future__ import annotations

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""The numbers of `mallopt`'s parameters M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""
KEPT = 512 * 2**20
"""Free bytes at the end of the heap that are kept at most."""
PIECE = 32 * 2**20
"""Larger pieces (a sample, a bank, the copy for a checkpoint) are still given back at once. glibc allows no more."""


def keep_freed_memory() -> bool:
    """Tell glibc to serve pieces of up to 32 MiB from memory that it keeps, up to 512 MiB of it while it is free.

    Returns:
        Whether that was done: not under another C library, nor where the environment (MALLOC_*, GLIBC_TUNABLES)
        says how memory is to be handed out.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 (others have a mallopt of other meaning)
        return bool(library.mallopt(MMAP_THRESHOLD, PIECE) and library.mallopt(TRIM_THRESHOLD, KEPT))
    except (OSError, AttributeError, TypeError):
        return False
