"""COPYCHUNK without chunks: to Macs that know AAPL's OSX_COPYFILE it is a copy of the whole file.

The data and every stream, Finder information and resource fork among them, so that neither passes
through the client.  What takes long is done in portions: the client hears that it is under way,
and its other requests have their turn.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ksmbd.state import ranges
from ksmbd.state.open import Open
from ksmbd.state.wait import AT_ONCE, Wait
from ksmbd.state.work import Work
from ksmbd.vfs.copy import copy_range
from ksmbd.vfs.stream_copy import copy_stream
from ksmbd.vfs.streams import list_streams
from ksmbd.wire.access import (
    FILE_READ_DATA,
    FILE_SHARE_DELETE,
    FILE_SHARE_READ,
    FILE_SHARE_WRITE,
    FILE_WRITE_DATA,
)
from ksmbd.wire.create_context import AAPL_OSX_COPYFILE
from ksmbd.wire.status import NtStatus, NtStatusError

_PORTION: Final = 64 << 20  # bytes; well under a second where the disk does not share blocks
_MOST_TOLD: Final = 0xFFFF_FFFF  # bytes: the answer has 32 bits
_SHARES_ALL: Final = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE


class _Progress(NamedTuple):
    """What a copy under way keeps between its portions."""

    message_id: int
    done: int  # bytes


def means_file(target: Open) -> bool:
    """Whether its client takes no chunks for the whole file."""
    return bool(target.session.aapl & AAPL_OSX_COPYFILE) and target.tree.share.aapl


def copy_file(work: Work, source: Open, target: Open) -> tuple[int, NtStatus]:
    """Make *target* what *source* is; how many bytes of data it has, as far as the answer can say.

    Raises Wait between two portions.  What was done before a failure stays.

    FILE_LOCK_CONFLICT   a byte-range lock on either side
    SHARING_VIOLATION    a stream is open to somebody who does not share it
    CANCELLED            the client wants no more of it
    """
    if source.inode is target.inode:
        return min(target.file.stat().size, _MOST_TOLD), NtStatus.SUCCESS
    size = source.file.stat().size
    ranges.check_read_locks(source, 0, size)
    ranges.check_write_locks(target, 0, max(size, target.file.stat().size))
    copies_streams = _have_streams(source, target)
    if copies_streams:
        _check_streams(work, source, target)
    with work.server.caching.change(target):
        _copy_data(work, source, target, size)
        if target.file.stat().size > size:
            target.file.truncate(size)
        if copies_streams:
            for stream in list_streams(source.file.root, source.file.fd):
                copy_stream(source.file, target.file, stream.name)
    ranges.written(work, target)
    return min(size, _MOST_TOLD), NtStatus.SUCCESS


def _copy_data(work: Work, source: Open, target: Open, size: int) -> None:
    progress = work.memo if isinstance(work.memo, _Progress) else None
    message_id = work.header.message_id
    done = progress.done if progress is not None and progress.message_id == message_id else 0
    if done < size:
        if work.given_up():
            raise NtStatusError(NtStatus.CANCELLED, "half a copied file")
        length = min(_PORTION, size - done)
        count = copy_range(source.file, done, target.file, done, length)
        if count == length < size - done:
            work.memo = _Progress(message_id, done + count)
            raise Wait(AT_ONCE)
    work.memo = None


def _have_streams(source: Open, target: Open) -> bool:
    """Whether both are files, and their shares let them have streams; not those of streams."""
    if source.file.stream or target.file.stream:
        return False
    return source.tree.share.streams and target.tree.share.streams


def _check_streams(work: Work, source: Open, target: Open) -> None:
    inodes = work.server.inodes
    sides = ((source.file, FILE_READ_DATA), (target.file, FILE_WRITE_DATA))
    for stream in list_streams(source.file.root, source.file.fd):
        for file, access in sides:
            inode = inodes.find((file.dev, file.ino), stream.name)
            if inode is not None:
                with inode.lock:
                    inode.check_share(access, _SHARES_ALL)
                    if inode.holders and file is target.file:
                        raise NtStatusError(NtStatus.SHARING_VIOLATION, "somebody caches a stream")
