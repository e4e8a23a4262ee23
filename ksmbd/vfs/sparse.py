"""Holes in files: which ranges have storage, and making a range read as zeros."""

from __future__ import annotations

import errno
import os
from typing import Final

from ksmbd.vfs.handle import MAX_OFFSET, Handle
from ksmbd.vfs.syscalls import fallocate

MAX_RANGES: Final = 65536  # in one answer: the caller's buffer takes 4096 per 64 KiB
_ZEROS: Final = bytes(65536)


def allocated_ranges(
    handle: Handle, offset: int, length: int, limit: int = MAX_RANGES
) -> list[tuple[int, int]]:
    """(offset, length) of each range with storage inside the given one, at most *limit*.

    File systems that know nothing of holes call the whole file one range.
    """
    size = os.fstat(handle.fd).st_size
    end = min(offset + length, size)
    ranges: list[tuple[int, int]] = []
    position = offset
    while position < end and len(ranges) < limit:
        try:
            start = os.lseek(handle.fd, position, os.SEEK_DATA)
        except OSError as failed:
            if failed.errno == errno.ENXIO:  # a hole up to the end of the file
                break
            raise
        if start >= end:
            break
        position = min(os.lseek(handle.fd, start, os.SEEK_HOLE), end)
        ranges.append((start, position - start))
    return ranges


def zero_range(handle: Handle, offset: int, length: int) -> None:
    """Make a range read as zeros; what is behind the end of the file stays as it is.

    The storage is given back where the file system can do so, else overwritten.
    """
    end = min(offset + length, os.fstat(handle.fd).st_size, MAX_OFFSET)
    if offset >= end:
        return
    try:
        fallocate(handle.fd, offset, end - offset, punch_hole=True)
    except OSError as failed:
        if failed.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        zeros = memoryview(_ZEROS)
        while offset < end:
            offset += handle.write(zeros[: end - offset], offset)
