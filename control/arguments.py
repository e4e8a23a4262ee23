"""Secrets on the command line, which ``ps`` shows to everybody: overwritten as soon as read."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/self/stat")
_ARG_START, _ARG_END = 48, 49  # proc(5) counts fields from 1
_FIRST: Final = 3  # the field behind the command's name


def hide(secret: str) -> None:
    """Put x in the place of *secret* in the arguments of this process.

    Until then, for as long as Python takes to start, everybody could see it.  Where the kernel
    does not tell where the arguments are nothing happens.
    """
    raw = secret.encode(errors="surrogateescape")
    start, end = _bounds()
    if not raw or not start:
        return
    memory = (ctypes.c_char * (end - start)).from_address(start)
    memory.raw = b"\0".join(_hidden(argument, raw) for argument in memory.raw.split(b"\0"))


def _hidden(argument: bytes, secret: bytes) -> bytes:
    """Of the same length: by itself, or behind its option (``-pSECRET``, ``--password=SECRET``)."""
    if argument == secret or (argument.startswith(b"-") and argument.endswith(secret)):
        return argument[: -len(secret)] + b"x" * len(secret)
    return argument


def _bounds() -> tuple[int, int]:
    """Where the arguments begin and end in memory; zeros if nobody says."""
    try:
        fields = _STAT.read_text(errors="replace").rpartition(") ")[2].split()
        return int(fields[_ARG_START - _FIRST]), int(fields[_ARG_END - _FIRST])
    except (OSError, IndexError, ValueError):
        return 0, 0
