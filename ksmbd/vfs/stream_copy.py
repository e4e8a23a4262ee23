"""Copying a whole stream from one open file to another, wherever either keeps it."""

from __future__ import annotations

import os
from typing import Final

from ksmbd.vfs.handle import Handle
from ksmbd.vfs.streams import StreamHandle, find_stream, first_stream

_BUFFER: Final = 1 << 20  # bytes


def copy_stream(source: Handle, target: Handle, stream: str) -> None:
    """Give *target* the stream of *source* in its stored spelling; one that it has is replaced.

    FileNotFoundError if *source* has it no more.
    """
    old = _opened(source, stream, write=False)
    try:
        size = old.stat().size
        new = _to_write(target, stream)
        try:
            new.truncate(_copied(old, new, size))
        finally:
            new.close()
    finally:
        old.close()


def _copied(old: StreamHandle, new: StreamHandle, size: int) -> int:
    """How many bytes there were after all."""
    buffer = memoryview(bytearray(min(size, _BUFFER)))
    done = 0
    while done < size:
        count = old.readinto(buffer[: size - done], done)
        if not count:
            break
        new.write(buffer[:count], done)
        done += count
    return done


def _to_write(file: Handle, stream: str) -> StreamHandle:
    """The stream that *file* has, or a new one."""
    spelling = find_stream(file.root, file.fd, stream)
    if spelling is not None:
        return _opened(file, spelling, write=True)
    base = Handle(
        file.root, os.dup(file.fd), file.path, file.stat(),
        readable=False, writable=True, path_only=file.path_only,
    )  # fmt: skip
    try:
        return first_stream(base, stream)
    except BaseException:
        base.close()
        raise


def _opened(file: Handle, stream: str, *, write: bool) -> StreamHandle:
    """On a descriptor of its own; whoever has *file* open has passed the checks."""
    handle = StreamHandle(
        file.root, os.dup(file.fd), file.path, file.stat(),
        readable=True, writable=write, path_only=file.path_only,
    )  # fmt: skip
    handle.stream = stream
    return handle
