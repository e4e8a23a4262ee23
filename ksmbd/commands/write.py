"""SMB2 WRITE, [MS-SMB2] 3.3.5.13."""

from __future__ import annotations

from ksmbd.state.open import Open
from ksmbd.state.ranges import check_write_locks, written
from ksmbd.state.work import Reply, Work
from ksmbd.vfs.handle import MAX_OFFSET
from ksmbd.wire.access import (
    FILE_APPEND_DATA,
    FILE_NO_INTERMEDIATE_BUFFERING,
    FILE_WRITE_DATA,
    FILE_WRITE_THROUGH,
)
from ksmbd.wire.read import CHANNEL_NONE
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.write import APPEND_OFFSET, WRITE_THROUGH, WriteRequest, WriteResponse


def write(work: Work, req: WriteRequest) -> Reply:
    """Write ``req.length`` bytes at ``req.offset``, all of them or an error.

    INVALID_PARAMETER       data outside the message, longer than MaxWriteSize, beyond 2^63
    FILE_CLOSED             the FileId names no open of this session
    INVALID_DEVICE_REQUEST  a directory
    ACCESS_DENIED           the open was granted neither WRITE_DATA nor APPEND_DATA
    FILE_LOCK_CONFLICT      a byte-range lock on the range excludes it
    DISK_FULL               ENOSPC or EDQUOT, from the errno table
    """
    if req.length > work.connection.max_write_size or req.channel != CHANNEL_NONE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"length {req.length}")
    data = work.buffer(req.data_offset, req.length, after=WriteRequest.SIZE)
    open = work.open(req.persistent_id, req.volatile_id)
    if open.pipe is not None:
        work.needs_kworker()
        open.pipe.write(bytes(data))
        return Reply(WriteResponse(count=req.length))
    file = open.file
    if file.is_directory:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a directory")
    open.require(FILE_WRITE_DATA | FILE_APPEND_DATA)
    offset = _offset(open, req)
    check_write_locks(open, offset, req.length)
    through = req.flags & WRITE_THROUGH or open.create_options & FILE_WRITE_THROUGH
    if through:
        work.needs_kworker()

    with work.server.caching.change(open):
        if req.offset == APPEND_OFFSET:  # another may have appended since we looked for the end
            count = file.append(data)
        else:
            count = file.write(data, offset) if req.length else 0
    written(work, open)
    if through:
        file.sync()
    return Reply(WriteResponse(count=count))


def _offset(open: Open, req: WriteRequest) -> int:
    """Where to write: for an open that may only append, -1 is the end of the file.

    As Windows does: such an open may write at an explicit offset too (smbtorture's
    smb2.rw.append), and for any other -1 is no offset at all (smb2.rw.invalid).
    """
    if req.offset == APPEND_OFFSET and not open.granted_access & FILE_WRITE_DATA:
        if open.create_options & FILE_NO_INTERMEDIATE_BUFFERING:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "append without buffering")
        return open.file.stat().size
    if req.offset + req.length > MAX_OFFSET:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"offset {req.offset:#x}")
    return req.offset
