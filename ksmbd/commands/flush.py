"""SMB2 FLUSH, [MS-SMB2] 3.3.5.11."""

from __future__ import annotations

from ksmbd.state.work import Reply, Work
from ksmbd.vfs.moving import sync_name
from ksmbd.wire.access import (
    FILE_ADD_FILE,
    FILE_ADD_SUBDIRECTORY,
    FILE_APPEND_DATA,
    FILE_WRITE_DATA,
)
from ksmbd.wire.flush import FULL_SYNC, FlushRequest, FlushResponse


def flush(work: Work, req: FlushRequest) -> Reply:
    """Put a file's data on the disk before answering; a pipe has none to wait for.

    A Mac that asks for a full one (F_FULLFSYNC) has the file's name on the disk, too.

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
        if req.reserved1 == FULL_SYNC:  # what Macs do who want to find it after a loss of power
            sync_name(open.file.root, open.file.of_file())
    return Reply(FlushResponse())
