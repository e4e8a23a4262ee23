"""What the server sends, taken apart and checked against what every reply must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from ksmbd.crypto.signing import Signer
from ksmbd.wire.base import Wire
from ksmbd.wire.change_notify import ChangeNotifyResponse
from ksmbd.wire.close import CloseResponse
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.create_context import contexts
from ksmbd.wire.echo import EchoResponse
from ksmbd.wire.error import ErrorResponse
from ksmbd.wire.flush import FlushResponse
from ksmbd.wire.fsctl import SRV_COPYCHUNK, SRV_COPYCHUNK_WRITE, SrvCopychunkResponse
from ksmbd.wire.header import HEADER_SIZE, SERVER_TO_REDIR, Command, Header, elements
from ksmbd.wire.ioctl import IoctlResponse
from ksmbd.wire.lock import LockResponse
from ksmbd.wire.logoff import LogoffResponse
from ksmbd.wire.negotiate import NegotiateResponse
from ksmbd.wire.oplock_break import (
    LeaseBreakNotification,
    LeaseBreakResponse,
    OplockBreakResponse,
)
from ksmbd.wire.query_directory import QueryDirectoryResponse
from ksmbd.wire.query_info import QueryInfoResponse
from ksmbd.wire.read import ReadResponse
from ksmbd.wire.session_setup import SessionSetupResponse
from ksmbd.wire.set_info import SetInfoResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.tree_connect import TreeConnectResponse, TreeDisconnectResponse
from ksmbd.wire.write import WriteResponse

W = TypeVar("W", bound=Wire)

RESPONSES: Final[dict[int, tuple[type[Wire], ...]]] = {
    Command.NEGOTIATE: (NegotiateResponse,),
    Command.SESSION_SETUP: (SessionSetupResponse,),
    Command.LOGOFF: (LogoffResponse,),
    Command.TREE_CONNECT: (TreeConnectResponse,),
    Command.TREE_DISCONNECT: (TreeDisconnectResponse,),
    Command.CREATE: (CreateResponse,),
    Command.CLOSE: (CloseResponse,),
    Command.FLUSH: (FlushResponse,),
    Command.READ: (ReadResponse,),
    Command.WRITE: (WriteResponse,),
    Command.LOCK: (LockResponse,),
    Command.IOCTL: (IoctlResponse,),
    Command.ECHO: (EchoResponse,),
    Command.QUERY_DIRECTORY: (QueryDirectoryResponse,),
    Command.CHANGE_NOTIFY: (ChangeNotifyResponse,),
    Command.QUERY_INFO: (QueryInfoResponse,),
    Command.SET_INFO: (SetInfoResponse,),
    Command.OPLOCK_BREAK: (OplockBreakResponse, LeaseBreakResponse, LeaseBreakNotification),
}
# Offset and length of the variable part, by the names of their fields.
BUFFERS: Final = {
    NegotiateResponse: ("security_buffer_offset", "security_buffer_length"),
    SessionSetupResponse: ("security_buffer_offset", "security_buffer_length"),
    CreateResponse: ("create_contexts_offset", "create_contexts_length"),
    ReadResponse: ("data_offset", "data_length"),
    IoctlResponse: ("output_offset", "output_count"),
    QueryDirectoryResponse: ("output_buffer_offset", "output_buffer_length"),
    ChangeNotifyResponse: ("output_buffer_offset", "output_buffer_length"),
    QueryInfoResponse: ("output_buffer_offset", "output_buffer_length"),
}
COPYCHUNKS: Final = frozenset((SRV_COPYCHUNK, SRV_COPYCHUNK_WRITE))
# Statuses below an error's severity, and the errors that come with a body of their own.
WITH_BODY: Final = frozenset(
    (
        NtStatus.SUCCESS,
        NtStatus.BUFFER_OVERFLOW,
        NtStatus.MORE_PROCESSING_REQUIRED,
        NtStatus.NOTIFY_CLEANUP,
        NtStatus.NOTIFY_ENUM_DIR,
    )
)


@dataclass(frozen=True)
class Response:
    """One reply; of a compound, one element with its padding."""

    header: Header
    raw: bytes

    @property
    def status(self) -> NtStatus:
        return NtStatus(self.header.status)

    @property
    def structure_size(self) -> int:
        return int.from_bytes(self.raw[HEADER_SIZE : HEADER_SIZE + 2], "little")

    def body(self, kind: type[W]) -> W:
        """The fixed part, which must be a *kind*."""
        assert self.structure_size == kind.STRUCTURE_SIZE, self
        return kind.unpack(self.raw, HEADER_SIZE)

    @property
    def error_data(self) -> bytes:
        body = self.body(ErrorResponse)
        start = HEADER_SIZE + ErrorResponse.SIZE
        return self.raw[start : start + body.byte_count]

    @property
    def data(self) -> bytes:
        """The variable part that the fixed part points at."""
        for kind in RESPONSES[self.header.command]:
            if kind in BUFFERS and self.structure_size == kind.STRUCTURE_SIZE:
                offset, length = BUFFERS[kind]
                body = self.body(kind)
                start = getattr(body, offset)
                return self.raw[start : start + getattr(body, length)]
        raise AssertionError(f"{self} has no variable part")

    def token(self) -> bytes:
        """The security buffer of a SESSION_SETUP response."""
        return self.data

    def contexts(self) -> dict[bytes, bytes]:
        """The create contexts of a CREATE response."""
        return {context.name: bytes(context.data) for context in contexts(self.data)}

    def signed_by(self, signer: Signer) -> bool:
        return signer.verify(memoryview(self.raw), self.header.message_id, server=True)

    def __repr__(self) -> str:
        command = Command(self.header.command).name
        return f"<{command} {self.status.name} message {self.header.message_id}>"


def split(pdu: bytes) -> list[Response]:
    """The replies in one PDU, each checked."""
    responses = [Response(Header.parse(raw), bytes(raw)) for raw in elements(pdu)]
    for response in responses:
        _check(response)
    return responses


def _check(response: Response) -> None:
    header = response.header
    assert header.flags & SERVER_TO_REDIR, response
    NtStatus(header.status)  # ValueError: a status this server does not know
    size = response.structure_size
    error = header.status >> 30 == 3
    if header.command not in RESPONSES:
        assert error, response
        assert size == ErrorResponse.STRUCTURE_SIZE, response
        return
    kinds = RESPONSES[header.command]
    if header.status in WITH_BODY:
        assert size in {kind.STRUCTURE_SIZE for kind in kinds}, response
        _check_buffer(response)
        return
    # [MS-SMB2] 3.3.5.15.6: a COPYCHUNK that fails tells the limits, or how far it came
    if header.command == Command.IOCTL and size == IoctlResponse.STRUCTURE_SIZE:
        assert response.body(IoctlResponse).ctl_code in COPYCHUNKS, response
        assert len(response.data) == SrvCopychunkResponse.SIZE, response
        _check_buffer(response)
        return
    assert size == ErrorResponse.STRUCTURE_SIZE, response
    assert len(response.raw) >= HEADER_SIZE + ErrorResponse.SIZE + 1, response
    count = response.body(ErrorResponse).byte_count
    assert HEADER_SIZE + ErrorResponse.SIZE + count <= len(response.raw), response


def _check_buffer(response: Response) -> None:
    for kind in RESPONSES[response.header.command]:
        if response.structure_size != kind.STRUCTURE_SIZE:
            continue
        body = response.body(kind)
        names = BUFFERS.get(kind)
        if names is None:
            return
        start, length = (getattr(body, name) for name in names)
        assert not length or start >= HEADER_SIZE + kind.SIZE, response
        assert start + length <= max(len(response.raw), start), response
