"""Byte-range locks as the kernel knows them, fcntl(2): what local programs and nfsd see of ours.

They belong to the open file description (F_OFD_SETLK), so that each open of ours has its own, and
end with it.  The kernel knows one kind of lock a byte and offsets below 2^63: who has several SMB
locks on a range asks for what they come to.

A shared lock needs a descriptor that reads, an exclusive one a descriptor that writes.  Clients
may lock exclusively what they only read: that gives a shared lock here, as with Samba.
"""

from __future__ import annotations

import errno
import logging
import struct
from fcntl import F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, fcntl
from os import SEEK_SET
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ksmbd.vfs.handle import Handle

log = logging.getLogger("ksmbd.vfs")

END: Final = 1 << 63  # the first offset that the kernel does not know
_FLOCK: Final = struct.Struct("@hhqqi0q")  # struct flock: type, whence, start, length, pid
_TO_THE_END: Final = 0  # as a length
_IN_THE_WAY: Final = frozenset((errno.EAGAIN, errno.EACCES))


def place(handle: Handle, start: int, end: int, exclusive: bool) -> bool:
    """Have a lock from *start* to *end*; False if somebody else's is in the way.

    What the description has there already becomes the new kind.  Where there can be no lock (an
    empty range, one beyond the kernel's offsets, a file system that has none) there is none.
    """
    if exclusive and handle.writable:
        return _set(handle, F_WRLCK, start, end)
    return not handle.readable or _set(handle, F_RDLCK, start, end)


def remove(handle: Handle, start: int = 0, end: int = END) -> None:
    """Have no lock from *start* to *end*."""
    _set(handle, F_UNLCK, start, end)


def in_the_way(handle: Handle, start: int, end: int, exclusive: bool) -> bool:
    """Whether another description, or a process, has a lock that excludes such a one."""
    asked = _pack(F_WRLCK if exclusive else F_RDLCK, start, end)
    if asked is None:
        return False
    try:
        answer = fcntl(handle.fd, F_OFD_GETLK, asked)
    except OSError as failed:
        _tell(handle, failed)
        return False
    return bool(_FLOCK.unpack(answer)[0] != F_UNLCK)


def _set(handle: Handle, kind: int, start: int, end: int) -> bool:
    asked = _pack(kind, start, end)
    if asked is None:
        return True
    try:
        fcntl(handle.fd, F_OFD_SETLK, asked)
    except OSError as failed:
        if failed.errno in _IN_THE_WAY:
            return False
        _tell(handle, failed)
    return True


def _pack(kind: int, start: int, end: int) -> bytes | None:
    if end >= END:
        return _FLOCK.pack(kind, SEEK_SET, start, _TO_THE_END, 0) if start < END else None
    return _FLOCK.pack(kind, SEEK_SET, start, end - start, 0) if start < end else None


def _tell(handle: Handle, failed: OSError) -> None:
    """Clients keep each other out all the same."""
    log.debug("%s: no locks that local programs see: %s", handle.path, failed)
