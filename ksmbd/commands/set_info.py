"""SMB2 SET_INFO, [MS-SMB2] 3.3.5.21: which table acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ksmbd.commands import set_file, set_filesystem, set_quota, set_security
from ksmbd.state.open import Open
from ksmbd.state.work import Reply, Work
from ksmbd.wire.query_info import INFO_FILE, INFO_FILESYSTEM, INFO_QUOTA, INFO_SECURITY
from ksmbd.wire.set_info import SetInfoRequest, SetInfoResponse
from ksmbd.wire.status import NtStatus, NtStatusError

_TYPES: Final[dict[int, Callable[[Work, Open, SetInfoRequest, memoryview], None]]] = {
    INFO_FILE: set_file.set_file,
    INFO_FILESYSTEM: set_filesystem.set_filesystem,
    INFO_SECURITY: set_security.set_security,
    INFO_QUOTA: set_quota.set_quota,
}


def set_info(work: Work, req: SetInfoRequest) -> Reply:
    """Change a file, its name, or its protection.

    INVALID_PARAMETER      an unknown InfoType, a malformed buffer, none, one beyond MaxTransactSize
    INVALID_INFO_CLASS     no such class
    FILE_CLOSED            the FileId names no open of this session
    ACCESS_DENIED          the open was not granted what the class needs, or the share is read-only
    INFO_LENGTH_MISMATCH   the buffer is shorter than the class
    """
    if req.buffer_length > work.connection.max_transact_size:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "longer than MaxTransactSize")
    act = _TYPES.get(req.info_type)
    if act is None:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"InfoType {req.info_type}")
    data = work.buffer(req.buffer_offset, req.buffer_length, after=req.SIZE)
    open = work.open(req.persistent_id, req.volatile_id)
    if not data:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "nothing to set")
    act(work, open, req, data)
    return Reply(SetInfoResponse())
