"""Holes in files: which ranges have storage, and making a range read as zeros."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

from ksmbd.vfs.handle import MAX_OFFSET, Handle
from ksmbd.vfs.syscalls import (
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE,
    FALLOC_ZERO_RANGE,
    fallocate,
)

MAX_RANGES: Final = 65536  # in one answer: the caller's buffer takes 4096 per 64 KiB
_ZEROS: Final = bytes(1 << 20)
_UNABLE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})


def allocated_ranges(
    handle: Handle, offset: int, length: int, limit: int = MAX_RANGES
) -> list[tuple[int, int]]:
    """(offset, length) of each range with storage inside the given one, at most *limit*.

    File systems that know nothing of holes call the whole file one range; so does a short stream.
    """
    fd = handle.data_fd()
    size = handle.stat().size if fd < 0 else os.fstat(fd).st_size
    end = min(offset + length, size)
    if fd < 0:
        return [(offset, end - offset)] if offset < end else []
    ranges: list[tuple[int, int]] = []
    position = offset
    while position < end and len(ranges) < limit:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as failed:
            if failed.errno == errno.ENXIO:  # a hole up to the end of the file
                break
            raise
        if start >= end:
            break
        position = min(os.lseek(fd, start, os.SEEK_HOLE), end)
        ranges.append((start, position - start))
    return ranges


def zero_range(
    handle: Handle,
    offset: int,
    length: int,
    *,
    free: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Make a range read as zeros; what is behind the end of the file stays as it is.

    The storage is given back with *free*, else kept, where the file system can do so; where it
    cannot zeros are written, until *stop* says that nobody wants them any more.
    """
    fd = handle.data_fd()
    size = handle.stat().size if fd < 0 else os.fstat(fd).st_size
    end = min(offset + length, size, MAX_OFFSET)
    if offset >= end:
        return
    if fd >= 0:
        mode = FALLOC_PUNCH_HOLE if free else FALLOC_ZERO_RANGE
        try:
            fallocate(fd, offset, end - offset, mode=mode | FALLOC_KEEP_SIZE)
            handle.touch()
            return
        except OSError as failed:
            if failed.errno not in _UNABLE:
                raise
    zeros = memoryview(_ZEROS)
    while offset < end and not stop():
        offset += handle.write(zeros[: end - offset], offset)


def fill_holes(handle: Handle) -> None:
    """Give every hole storage, so that writing into it cannot find the disk full.

    OSError ENOSPC. Where the file system cannot reserve, holes stay what they are.
    """
    size = os.fstat(handle.fd).st_size
    try:
        if size:
            fallocate(handle.fd, 0, size)
    except OSError as failed:
        if failed.errno not in _UNABLE:
            raise


def trim(handle: Handle, offset: int, length: int) -> bool:
    """Give back the storage of a range whose contents nobody needs; whether that is possible."""
    end = min(offset + length, os.fstat(handle.fd).st_size)
    if offset >= end:
        return True
    try:
        fallocate(handle.fd, offset, end - offset, mode=FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE)
    except OSError as failed:
        if failed.errno not in _UNABLE:
            raise
        return False
    return True
