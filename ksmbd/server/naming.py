"""The name that a request asks for, for those who tell of requests that may have failed."""

from __future__ import annotations

from ksmbd.state.work import Work
from ksmbd.wire.base import WireError
from ksmbd.wire.create import CreateRequest
from ksmbd.wire.header import HEADER_SIZE
from ksmbd.wire.negotiate import SMB_3_1_1
from ksmbd.wire.status import NtStatusError
from ksmbd.wire.text import from_utf16
from ksmbd.wire.tree_connect import EXTENSION_PRESENT, TreeConnectRequest


def requested_name(work: Work) -> str:
    """What CREATE or TREE_CONNECT names, with our separators; empty for what is no name."""
    request = work.request
    if isinstance(request, CreateRequest):
        at, size = request.name_offset, request.name_length
    elif isinstance(request, TreeConnectRequest):
        at, size = request.path_offset, request.path_length
        if request.flags & EXTENSION_PRESENT and work.connection.dialect == SMB_3_1_1:
            at += HEADER_SIZE + request.SIZE
    else:
        return ""
    try:
        return from_utf16(work.buffer(at, size, after=request.SIZE)).replace("\\", "/")
    except (NtStatusError, WireError):
        return ""
