"""Make the C library give memory back.

glibc keeps a heap of its own for every few threads, and after the first large buffer was freed
it keeps the next ones in those heaps too: a server with a reader for each connection then holds
every buffer that any of them ever needed.  Two heaps are enough for an interpreter with one
lock, and what is as large as a buffer comes from the kernel and goes back to it.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

HEAPS: Final = 2
LARGE: Final = 128 << 10  # bytes; glibc's own threshold, which setting it keeps from growing

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def be_frugal() -> bool:
    """Before threads are started; False where the C library has no such settings (musl)."""
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_ARENA_MAX, HEAPS), (_M_MMAP_THRESHOLD, LARGE), (_M_TRIM_THRESHOLD, LARGE))
    return all(mallopt(name, value) for name, value in settings)
