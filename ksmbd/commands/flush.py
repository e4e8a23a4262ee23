"""SMB2 FLUSH, [MS-SMB2] 3.3.5.11."""

from __future__ import annotations

from ksmbd.state.work import Reply, Work
from ksmbd.wire.access import (
    FILE_ADD_FILE,
    FILE_ADD_SUBDIRECTORY,
    FILE_APPEND_DATA,
    FILE_WRITE_DATA,
)
from ksmbd.wire.flush import FlushRequest, FlushResponse


def flush(work: Work, req: FlushRequest) -> Reply:
    """Put a file's data on the disk before answering; a pipe has none to wait for.

    FILE_CLOSED     the FileId names no open of this session
    ACCESS_DENIED   the open can neither write data nor append (to a directory: add entries)
    """
    open = work.open(req.persistent_id, req.volatile_id)
    if open.pipe is None:
        if open.is_directory:
            open.require(FILE_ADD_FILE | FILE_ADD_SUBDIRECTORY)
        else:
            open.require(FILE_WRITE_DATA | FILE_APPEND_DATA)
        open.file.sync()
    return Reply(FlushResponse())
