"""SMB2 SET_INFO, [MS-SMB2] 3.3.5.21: which table acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ksmbd.commands import set_file, set_quota, set_security
from ksmbd.state.open import Open
from ksmbd.state.work import Reply, Work
from ksmbd.wire.fs_info import FsInfo
from ksmbd.wire.query_info import INFO_FILE, INFO_FILESYSTEM, INFO_QUOTA, INFO_SECURITY
from ksmbd.wire.set_info import SetInfoRequest, SetInfoResponse
from ksmbd.wire.status import NtStatus, NtStatusError


def _filesystem(work: Work, open: Open, req: SetInfoRequest, data: memoryview) -> None:
    """Nothing of a volume can be set: that is the administrator's, at the server.

    ACCESS_DENIED        quota control, object id
    NOT_SUPPORTED        the label, which no server lets a client set, [MS-SMB2] 3.3.5.21.2
    INVALID_INFO_CLASS   any other
    """
    info_class = req.file_info_class
    status = _FILESYSTEM.get(info_class, NtStatus.INVALID_INFO_CLASS)
    raise NtStatusError(status, f"file system class {info_class}")


_FILESYSTEM: Final[dict[int, NtStatus]] = {
    FsInfo.LABEL: NtStatus.NOT_SUPPORTED,
    FsInfo.CONTROL: NtStatus.ACCESS_DENIED,
    FsInfo.OBJECT_ID: NtStatus.ACCESS_DENIED,
}
_TYPES: Final[dict[int, Callable[[Work, Open, SetInfoRequest, memoryview], None]]] = {
    INFO_FILE: set_file.set_file,
    INFO_FILESYSTEM: _filesystem,
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
