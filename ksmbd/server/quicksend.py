"""send(2) that neither waits nor lets the interpreter lock go.

Python releases its lock around every system call.  With several busy connections that turns
each small reply into a contest of threads: who has just written a hundred bytes, in five
microseconds, waits until another thread has run.  Kept, the lock costs nobody more than those
microseconds, and a reader does the frames that came together in one go.
"""

from __future__ import annotations

import ctypes
import socket
from typing import Any, Final

MOST: Final = 16 << 10  # bytes; more takes the kernel so long that others should run meanwhile

_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_send: Final[Any] = ctypes.PyDLL(None)["send"]
_send.restype = ctypes.c_ssize_t
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)


def quick_send(fd: int, data: bytes) -> int:
    """The number of bytes the kernel took at once; 0 if none, for whatever reason."""
    sent: int = _send(fd, data, len(data), _FLAGS)
    return sent if sent > 0 else 0
