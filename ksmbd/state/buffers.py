"""Reused buffers for large payloads, bounded in number and bytes.

A fresh ``bytearray`` of a megabyte costs page faults and zeroing on every request, more
than the copy into it.  Buffers are kept by size class; what does not fit in the bound is
left to the garbage collector.

The layout of a large reply in such a buffer (architecture, section 4)::

    [4 length][52 transform][64 header][16 body] data [16 tag]
                                                ^ HEADROOM
"""

from __future__ import annotations

import threading
from typing import Final

HEADROOM: Final = 4 + 52 + 64 + 16  # bytes before the data of a READ reply
TAILROOM: Final = 16  # bytes after it, for the authentication tag

# Around the data of a READ's reply, and of a WRITE whose frame is received into such a buffer,
# sealed or not, is less than this.
_AROUND: Final = 256
_CLASSES: Final = tuple(1 << n for n in range(15, 24))  # 32 KiB .. 8 MiB of payload


class Buffers:
    """A pool of bytearrays; ``take`` never waits and never fails but for lack of memory."""

    def __init__(self, max_bytes: int = 64 << 20, max_each: int = 16) -> None:
        self._lock = threading.Lock()
        self._free: dict[int, list[bytearray]] = {}  # by self._lock; len(buffer) -> buffers
        self._kept = 0  # by self._lock; bytes in _free
        self._unused: dict[int, int] = {}  # by self._lock; the fewest in _free since trim()
        self._max_bytes = max_bytes
        self._max_each = max_each

    def take(self, payload: int) -> bytearray:
        """A buffer with HEADROOM, at least *payload* bytes, and TAILROOM; contents undefined."""
        return self._take(next((c for c in _CLASSES if c >= payload), payload))

    def take_frame(self, length: int) -> bytearray:
        """A buffer for a frame of *length* bytes: as large as its payload needs, which is less."""
        payload = max(length - _AROUND, 0)
        return self._take(next((c for c in _CLASSES if c >= payload), payload))

    def _take(self, room: int) -> bytearray:
        size = room + _AROUND
        with self._lock:
            free = self._free.get(size)
            if free:
                self._kept -= size
                buffer = free.pop()
                if len(free) < self._unused.get(size, 0):
                    self._unused[size] = len(free)
                return buffer
        return bytearray(size)

    def give(self, buffer: bytearray) -> None:
        """Return a buffer; nobody may look at it afterwards."""
        size = len(buffer)
        if size - _AROUND not in _CLASSES:
            return
        with self._lock:
            free = self._free.setdefault(size, [])
            if len(free) < self._max_each and self._kept + size <= self._max_bytes:
                free.append(buffer)
                self._kept += size

    def trim(self) -> None:
        """Let go of what nobody has needed since the last call; now and then, by a timer."""
        with self._lock:
            for size, free in self._free.items():
                spare = self._unused.get(size, 0)
                del free[:spare]
                self._kept -= spare * size
                self._unused[size] = len(free)

    def clear(self) -> None:
        """Let go of everything: there are no clients."""
        with self._lock:
            self._free.clear()
            self._unused.clear()
            self._kept = 0
