"""FSCTLs on named pipes, [MS-SMB2] 3.3.5.15.6 and [MS-FSCC] 2.3.43 and following."""

from __future__ import annotations

import struct
from typing import Final

from ksmbd.state.open import Open
from ksmbd.state.pipe import Pipe
from ksmbd.state.work import Work
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import from_utf16

_CONNECTED: Final = 3  # NamedPipeState of a pipe that is open at both ends
_PEEK: Final = struct.Struct("<IIII")  # state, bytes unread, messages, bytes of the first
_WAIT: Final = struct.Struct("<qIBx")  # Timeout, NameLength, TimeoutSpecified


def transceive(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Write a request and read its answer.

    BUFFER_OVERFLOW   the answer is longer than *limit*; the rest is read with READ
    """
    status, output = _pipe(open).transceive(data, limit)
    return output, status


def peek(work: Work, open: Open | None, data: memoryview, limit: int) -> tuple[bytes, NtStatus]:
    """How much could be read now, without the data itself.

    BUFFER_TOO_SMALL   no room for the 16 bytes
    """
    pipe = _pipe(open)
    if limit < _PEEK.size:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{limit} bytes")
    return struct.pack("<I", _CONNECTED) + pipe.peek(), NtStatus.SUCCESS


def wait(work: Work, open: Open | None, data: memoryview, limit: int) -> tuple[bytes, NtStatus]:
    """Wait until the named pipe can be opened: ours always can.

    OBJECT_NAME_NOT_FOUND   there is no pipe of that name
    INVALID_PARAMETER       the name leaves the buffer
    """
    _timeout, length, _specified = _WAIT.unpack_from(data)
    if _WAIT.size + length > len(data):
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"a name of {length} bytes")
    name = from_utf16(data[_WAIT.size : _WAIT.size + length])
    share = work.the_tree().share
    if not share.is_pipe:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no pipe share")
    session = work.the_session()
    work.server.open_pipe(session, name, work.connection.peer).close()
    return b"", NtStatus.SUCCESS


def _pipe(open: Open | None) -> Pipe:
    if open is None or open.pipe is None:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "not a pipe")
    return open.pipe
