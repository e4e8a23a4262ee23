"""Copying ranges of files on the server: COPYCHUNK and block cloning."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Final

from ksmbd.vfs.abilities import CLONE, FICLONERANGE
from ksmbd.vfs.handle import Handle

_CHUNK: Final = 1 << 20
_CANNOT: Final = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.ETXTBSY}
)


def copy_range(
    source: Handle, source_offset: int, target: Handle, target_offset: int, length: int
) -> int:
    """Copy up to *length* bytes; fewer if the source ends before. Overlaps copy as memmove.

    The kernel copies (or shares blocks) where it can.
    """
    done = 0
    try:
        while done < length and not (source.stream or target.stream):
            count = os.copy_file_range(
                source.fd, target.fd, length - done, source_offset + done, target_offset + done
            )
            if not count:
                break
            done += count
    except OSError as failed:
        if failed.errno not in _CANNOT:
            raise
    # Some file systems answer 0 instead of an error: the loop below finds the true end
    rest = length - done
    if not rest:
        return done
    return done + _copy_by_hand(source, source_offset + done, target, target_offset + done, rest)


def clone_range(
    source: Handle, source_offset: int, target: Handle, target_offset: int, length: int
) -> None:
    """Let both files share the blocks of a range. OSError EOPNOTSUPP where they cannot."""
    request = CLONE.pack(source.fd, source_offset, length, target_offset)
    try:
        fcntl.ioctl(target.fd, FICLONERANGE, request)
    except OSError as failed:
        if failed.errno != errno.ENOTTY:
            raise
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP)) from None


def _copy_by_hand(
    source: Handle, source_offset: int, target: Handle, target_offset: int, length: int
) -> int:
    size = source.stat().size
    length = min(length, max(size - source_offset, 0))
    same = (source.dev, source.ino, source.stream) == (target.dev, target.ino, target.stream)
    starts = range(0, length, _CHUNK)
    backwards = same and source_offset < target_offset < source_offset + length
    buffer = memoryview(bytearray(min(_CHUNK, length)))
    done = 0
    for start in reversed(starts) if backwards else starts:
        part = buffer[: min(_CHUNK, length - start)]
        count = source.readinto(part, source_offset + start)
        target.write(part[:count], target_offset + start)
        done += count
    return done
