"""SMB2 READ, [MS-SMB2] 3.3.5.12."""

from __future__ import annotations

from functools import partial
from typing import Final

from ksmbd.state.buffers import HEADROOM
from ksmbd.state.open import Open
from ksmbd.state.pipe import Pipe
from ksmbd.state.ranges import check_read_locks
from ksmbd.state.wait import Wait
from ksmbd.state.work import Reply, Work
from ksmbd.vfs.handle import MAX_OFFSET
from ksmbd.wire.access import FILE_EXECUTE, FILE_READ_DATA
from ksmbd.wire.read import CHANNEL_NONE, ReadRequest, ReadResponse
from ksmbd.wire.status import NtStatus, NtStatusError

SHORT: Final = 8 << 10  # bytes; so few need no pooled buffer


def read(work: Work, req: ReadRequest) -> Reply:
    """Read up to ``req.length`` bytes at ``req.offset``.

    INVALID_PARAMETER       longer than MaxReadSize, beyond 2^63, an RDMA channel
    FILE_CLOSED             the FileId names no open of this session
    INVALID_DEVICE_REQUEST  a directory
    ACCESS_DENIED           the open was granted neither READ_DATA nor EXECUTE
    FILE_LOCK_CONFLICT      another open, or a program, has an exclusive lock on the range
    END_OF_FILE             nothing, or less than MinimumCount, lies there
    PIPE_BROKEN             a pipe ended while its answer was waited for
    PIPE_EMPTY              a pipe has no answer, and more commands follow in the compound
    """
    if req.length > work.connection.max_read_size or req.channel != CHANNEL_NONE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"length {req.length}")
    try:
        open = work.open(req.persistent_id, req.volatile_id)
    except NtStatusError:
        if isinstance(work.memo, Pipe):
            raise NtStatusError(NtStatus.PIPE_BROKEN, work.memo.name) from None
        raise
    if open.pipe is not None:
        work.needs_kworker()  # mountd is asked
        return _read_pipe(work, req, open.pipe)
    if open.is_directory:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a directory")
    open.require(FILE_READ_DATA | FILE_EXECUTE)
    if req.offset + req.length > MAX_OFFSET:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"offset {req.offset:#x}")
    check_read_locks(open, req.offset, req.length)
    if req.length <= SHORT:
        return _read_short(work, open, req)

    room = work.server.buffers.take(req.length)
    try:
        count = _read_into(work, open, memoryview(room)[HEADROOM : HEADROOM + req.length], req)
    except (NtStatusError, OSError, Wait):
        work.server.buffers.give(room)
        raise
    data = memoryview(room)[HEADROOM : HEADROOM + count]
    return Reply(ReadResponse(data_length=count), data, room=room)


def _read_short(work: Work, open: Open, req: ReadRequest) -> Reply:
    """To copy a few bytes once more takes less than to borrow a buffer and give it back."""
    room = bytearray(req.length)
    count = _read_into(work, open, memoryview(room), req)
    return Reply(ReadResponse(data_length=count), room if count == req.length else room[:count])


def _read_pipe(work: Work, req: ReadRequest, pipe: Pipe) -> Reply:
    """An answer, or the rest of one; a client may ask for it before it has sent its request."""
    more = pipe.expect()
    try:
        status, answer = pipe.read(req.length)
    except NtStatusError as refused:
        if refused.status is NtStatus.PIPE_EMPTY and work.is_last:
            work.memo = pipe
            raise Wait(more, on_cancel=partial(pipe.give_up, more)) from None
        pipe.give_up(more)
        raise
    pipe.give_up(more)
    return Reply(ReadResponse(data_length=len(answer)), answer, status)


def _read_into(work: Work, open: Open, room: memoryview, req: ReadRequest) -> int:
    """The number of bytes read.  What the disk must be waited for is left to a kworker.

    END_OF_FILE   nothing, or less than MinimumCount, lies there
    """
    file = open.file
    cached = file.readinto_cached(room, req.offset) if work.direct else None
    if cached is None and work.direct and file.tells_cached:
        work.needs_kworker()
    count = file.readinto(room, req.offset) if cached is None else cached
    if count < req.minimum_count or (count == 0 and req.length):
        raise NtStatusError(NtStatus.END_OF_FILE, f"{count} bytes at {req.offset}")
    open.position = req.offset + count
    return count
