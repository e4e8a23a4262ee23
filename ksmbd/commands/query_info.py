"""SMB2 QUERY_INFO, [MS-SMB2] 3.3.5.20: which table answers, and what fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ksmbd.commands import query_file, query_filesystem, query_quota, query_security
from ksmbd.state.open import Open
from ksmbd.state.work import Reply, Work
from ksmbd.wire.base import Buffer
from ksmbd.wire.query_info import (
    INFO_FILE,
    INFO_FILESYSTEM,
    INFO_QUOTA,
    INFO_SECURITY,
    QueryInfoRequest,
    QueryInfoResponse,
)
from ksmbd.wire.status import NtStatus, NtStatusError

Answer = tuple[Buffer, NtStatus]


_TYPES: Final[dict[int, Callable[[Work, Open, QueryInfoRequest], Answer]]] = {
    INFO_FILE: query_file.query_file,
    INFO_FILESYSTEM: query_filesystem.query_filesystem,
    INFO_SECURITY: query_security.query_security,
    INFO_QUOTA: query_quota.query_quota,
}


def query_info(work: Work, req: QueryInfoRequest) -> Reply:
    """Tell about a file, its file system, or its protection.

    INVALID_PARAMETER      an unknown InfoType, or more than MaxTransactSize asked for
    INVALID_INFO_CLASS     no such class, or not of this kind of file
    FILE_CLOSED            the FileId names no open of this session
    ACCESS_DENIED          the open was not granted what the class needs
    INFO_LENGTH_MISMATCH   not even the fixed part fits
    BUFFER_OVERFLOW        the answer is cut where the buffer ends
    BUFFER_TOO_SMALL       a descriptor does not fit; the length it needs is told
    """
    limit = work.connection.max_transact_size
    if req.output_buffer_length > limit or req.input_buffer_length > limit:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "longer than MaxTransactSize")
    answer = _TYPES.get(req.info_type)
    if answer is None:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"InfoType {req.info_type}")
    open = work.open(req.persistent_id, req.volatile_id)
    data, status = answer(work, open, req)
    return Reply(QueryInfoResponse(output_buffer_length=len(data)), data, status)
