"""What a file system can do that others cannot, found out by trying it on a file without a name.

Asked once for each device, when a client first wants to know; the answers are flags of ours.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from typing import Final

from ksmbd.vfs import credentials
from ksmbd.vfs.compression import change_compression
from ksmbd.vfs.syscalls import FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, fallocate, fs_type

FREES_RANGES: Final = 1  # storage inside a file can be given back
COMPRESSES: Final = 2
SHARES_BLOCKS: Final = 4  # files can have blocks in common

FICLONERANGE: Final = 0x4020940D  # the same on every architecture Python's SMB servers meet
CLONE: Final = struct.Struct("=qQQQ")  # source descriptor, its offset, length, our offset

_COMPRESSING: Final = frozenset({0x9123683E, 0xF2F52010, 0xCA451A4E})  # btrfs, f2fs, bcachefs
_known: Final[dict[int, int]] = {}  # device -> flags; a lost entry costs asking again
_NAMELESS: Final = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC


def abilities(directory: int) -> int:
    """The flags of the file system that holds an open directory, an O_PATH descriptor too.

    None of them where no file can be made, for then there is none to be changed either.
    """
    dev = os.fstat(directory).st_dev
    found = _known.get(dev)
    if found is None:
        found = _try(directory)
        if found is None:
            return 0
        _known[dev] = found
    return found


def compresses(device: int, directory: int) -> bool:
    """Whether what is made on a device, in an open directory of it, may be compressed.

    For every file that is made: no system call once the device is known.
    """
    found = _known.get(device)
    return bool((abilities(directory) if found is None else found) & COMPRESSES)


def _try(directory: int) -> int | None:
    """The flags; None if this directory takes no file, which says nothing about others."""
    found = 0
    with credentials.privileged():
        for flag, works in _TRIALS:
            try:
                fd = os.open(".", _NAMELESS, 0o600, dir_fd=directory)
            except OSError:
                return None
            try:
                works(fd)
                found |= flag
            except OSError:
                continue
            finally:
                os.close(fd)
    return found


def _punch(fd: int) -> None:
    os.pwrite(fd, b"\0", 0)
    fallocate(fd, 0, 1, mode=FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE)


def _compress(fd: int) -> None:
    """ext4 keeps the flag and compresses nothing: what it says is not enough."""
    if fs_type(fd) not in _COMPRESSING:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    change_compression(fd, True)


def _clone(fd: int) -> None:
    """Nothing, from the file to itself: refused by a file system that cannot share blocks."""
    fcntl.ioctl(fd, FICLONERANGE, CLONE.pack(fd, 0, 0, 0))


_TRIALS: Final[tuple[tuple[int, Callable[[int], None]], ...]] = (
    (FREES_RANGES, _punch),
    (COMPRESSES, _compress),
    (SHARES_BLOCKS, _clone),
)
