"""What the FSCTLs that read or change ranges of a file check before, and do afterwards.

They are READs and WRITEs by other means: the same byte-range locks stand in their way, and the
same others are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksmbd.state import local_locks
from ksmbd.vfs.handle import MAX_OFFSET
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.work import Work


def the_open(open: Open | None) -> Open:
    """The open of a file, a stream or a directory.

    INVALID_DEVICE_REQUEST   a pipe
    """
    if open is None or open.handle is None:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a pipe, not a file")
    return open


def data_open(open: Open | None) -> Open:
    """The open of what has data: a file or a stream.

    INVALID_DEVICE_REQUEST   a pipe
    INVALID_PARAMETER        a directory
    """
    found = the_open(open)
    if found.is_directory:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "a directory")
    return found


def check_range(offset: int, length: int) -> None:
    """INVALID_PARAMETER   a negative number, or an end beyond 2^63 - 1"""
    if offset < 0 or length < 0 or offset + length > MAX_OFFSET:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{offset}+{length}")


def check_read_locks(open: Open, offset: int, length: int) -> None:
    """FILE_LOCK_CONFLICT   another open has an exclusive lock on some of the range, or a program"""
    inode = open.inode
    if inode is not None and inode.locks and length:
        with inode.lock:
            if inode.locks.conflicts_read(open, offset, length):
                raise NtStatusError(NtStatus.FILE_LOCK_CONFLICT, f"{offset}+{length}")
    if open.strict_locking and local_locks.conflicts(open, offset, length, write=False):
        raise NtStatusError(NtStatus.FILE_LOCK_CONFLICT, f"{offset}+{length}: a local lock")


def check_write_locks(open: Open, offset: int, length: int) -> None:
    """FILE_LOCK_CONFLICT   a lock on some of the range excludes a write by this open"""
    inode = open.inode
    if inode is not None and inode.locks and length:
        with inode.lock:
            if inode.locks.conflicts_write(open, offset, length):
                raise NtStatusError(NtStatus.FILE_LOCK_CONFLICT, f"{offset}+{length}")
    if open.strict_locking and local_locks.conflicts(open, offset, length, write=True):
        raise NtStatusError(NtStatus.FILE_LOCK_CONFLICT, f"{offset}+{length}: a local lock")


def written(work: Work, open: Open) -> None:
    """What follows every change of data, whatever made it."""
    open.modified = True
    open.data_changed()
    work.server.notify.written(open.file)
