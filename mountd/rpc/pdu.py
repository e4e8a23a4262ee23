"""Connection-oriented DCE/RPC PDUs, [C706] 12.6 and [MS-RPCE] 2.2.2.

Only little-endian ASCII IEEE data, which is all that Windows, Samba and macOS
send, and no authentication: on SMB pipes the session has authenticated already.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple
from uuid import UUID

from ksmbd.wire.base import Buffer, Wire, WireError, bytes4, u8, u16, u32, wire

LITTLE_ENDIAN: Final = b"\x10\0\0\0"  # integers little, characters ASCII, floats IEEE
FIRST_FRAG: Final = 0x01
LAST_FRAG: Final = 0x02
DID_NOT_EXECUTE: Final = 0x20
MAYBE: Final = 0x40  # the caller expects no reply
OBJECT_UUID: Final = 0x80

MIN_FRAG: Final = 1432  # every implementation must receive this much, [C706] 12.6.3.1
MAX_FRAG: Final = 5840  # what Samba and ksmbd accept; Windows offers 4280 on pipes

HEADER_SIZE: Final = 16
REQUEST_SIZE: Final = 24  # header, alloc_hint, p_cont_id, opnum


class PduType(IntEnum):
    """PTYPE, [C706] 12.6.3.1 and [MS-RPCE] 2.2.2.1."""

    REQUEST = 0
    RESPONSE = 2
    FAULT = 3
    BIND = 11
    BIND_ACK = 12
    BIND_NAK = 13
    ALTER_CONTEXT = 14
    ALTER_CONTEXT_RESP = 15
    AUTH3 = 16
    SHUTDOWN = 17
    CO_CANCEL = 18
    ORPHANED = 19


class Reject(IntEnum):
    """Why a bind is refused as a whole, [C706] 12.6.3.1 p_reject_reason_t, [MS-RPCE] 2.2.2.5."""

    NOT_SPECIFIED = 0
    LOCAL_LIMIT_EXCEEDED = 2
    PROTOCOL_VERSION_NOT_SUPPORTED = 4
    AUTHENTICATION_TYPE_NOT_RECOGNIZED = 8


@wire()
class Header(Wire):
    """Common header, [C706] 12.6.3.1."""

    version: u8 = 5
    minor: u8 = 0
    type: u8
    flags: u8 = FIRST_FRAG | LAST_FRAG
    drep: bytes4 = LITTLE_ENDIAN
    frag_length: u16  # bytes, header and authentication trailer included
    auth_length: u16 = 0
    call_id: u32


class Syntax(NamedTuple):
    """An interface or a transfer encoding, p_syntax_id_t."""

    uuid: UUID
    major: int
    minor: int = 0

    def pack(self) -> bytes:
        return self.uuid.bytes_le + struct.pack("<HH", self.major, self.minor)


NDR32: Final = Syntax(UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2)
NO_SYNTAX: Final = Syntax(UUID(int=0), 0)
# [MS-RPCE] 2.2.2.14: the first eight bytes say so, the last eight are the features asked for
FEATURE_NEGOTIATION: Final = UUID("6cb71c2c-9812-4540-0000-000000000000").bytes_le[:8]


class Presentation(NamedTuple):
    """One element of a bind's context list, p_cont_elem_t."""

    context_id: int
    abstract: Syntax
    transfers: tuple[Syntax, ...]


class Bind(NamedTuple):
    """The body of bind and alter_context."""

    max_xmit: int
    max_recv: int
    association_group: int
    contexts: list[Presentation]


class Result(NamedTuple):
    """The answer to one presentation context, p_result_t."""

    result: int
    reason: int = 0
    transfer: Syntax = NO_SYNTAX


ACCEPTED: Final = Result(0, 0, NDR32)
ABSTRACT_UNKNOWN: Final = Result(2, 1)
TRANSFER_UNKNOWN: Final = Result(2, 2)
LIMIT_EXCEEDED: Final = Result(2, 3)
NOT_SPECIFIED: Final = Result(2, 0)
FEATURES: Final = Result(3, 0)  # negotiate_ack with none of the features


class Request(NamedTuple):
    """One fragment of a request."""

    context_id: int
    opnum: int
    stub: bytes


def parse_header(buf: Buffer) -> Header:
    """Read and check a common header.

    Raises WireError for another protocol version or impossible lengths; the
    data representation is the caller's to look at.
    """
    header = Header.unpack(buf)
    if header.version != 5 or header.minor > 1:
        raise WireError(f"RPC version {header.version}.{header.minor}")
    if not HEADER_SIZE <= header.frag_length <= MAX_FRAG:
        raise WireError(f"fragment of {header.frag_length} bytes")
    trailer = header.auth_length + 8 if header.auth_length else 0
    if trailer > header.frag_length - HEADER_SIZE:
        raise WireError(f"authentication trailer of {header.auth_length} bytes")
    return header


def foreign(header: Header) -> bool:
    """Tell whether *header* announces another data representation than ours."""
    return bytes(header.drep[:2]) != LITTLE_ENDIAN[:2]


def call_id(buf: Buffer) -> int:
    """The call id of a header in either byte order; 0 if it is not there."""
    raw = bytes(buf[12:16]) if len(buf) >= HEADER_SIZE else b""
    return int.from_bytes(raw, "little" if buf[4:5] and buf[4] & 0xF0 else "big")


def parse_bind(pdu: Buffer) -> Bind:
    """Read the body of a bind or alter_context PDU, [C706] 12.6.4.3."""
    try:
        max_xmit, max_recv, group, count = struct.unpack_from("<HHIB", pdu, HEADER_SIZE)
        offset, contexts = HEADER_SIZE + 12, []
        for _ in range(count):
            context_id, transfers = struct.unpack_from("<HB", pdu, offset)
            syntaxes = [_syntax(pdu, offset + 4 + 20 * i) for i in range(transfers + 1)]
            contexts.append(Presentation(context_id, syntaxes[0], tuple(syntaxes[1:])))
            offset += 24 + 20 * transfers
    except struct.error:
        raise WireError("short bind") from None
    if not contexts:
        raise WireError("bind without a context")
    return Bind(max_xmit, max_recv, group, contexts)


def _syntax(pdu: Buffer, offset: int) -> Syntax:
    uuid, major, minor = struct.unpack_from("<16sHH", pdu, offset)
    return Syntax(UUID(bytes_le=uuid), major, minor)


def parse_request(header: Header, pdu: Buffer) -> Request:
    """Read one request fragment, [C706] 12.6.4.9; alloc_hint is a hint and not believed."""
    start = REQUEST_SIZE + (16 if header.flags & OBJECT_UUID else 0)
    if header.frag_length < start:
        raise WireError("short request")
    context_id, opnum = struct.unpack_from("<HH", pdu, HEADER_SIZE + 4)
    return Request(context_id, opnum, bytes(pdu[start : header.frag_length]))


def pack(type: PduType, call_id: int, body: bytes, flags: int = FIRST_FRAG | LAST_FRAG) -> bytes:
    header = Header(
        version=5, type=type, flags=flags, frag_length=HEADER_SIZE + len(body), call_id=call_id
    )
    return header.pack() + body


class Acceptance(NamedTuple):
    """What bind_ack and alter_context_resp say, [C706] 12.6.4.4."""

    max_xmit: int
    max_recv: int
    association_group: int
    secondary_address: str  # "\\PIPE\\srvsvc"; empty in an alter_context_resp
    results: list[Result]

    def pack(self) -> bytes:
        address = self.secondary_address.encode("ascii") + b"\0" if self.secondary_address else b""
        out = struct.pack(
            "<HHIH", self.max_xmit, self.max_recv, self.association_group, len(address)
        )
        out += address
        out += bytes(-len(out) % 4) + struct.pack("<B3x", len(self.results))
        for result, reason, transfer in self.results:
            out += struct.pack("<HH", result, reason) + transfer.pack()
        return out


def bind_nak(call_id: int, reason: Reject) -> bytes:
    """Refuse a bind; version 5.0 is the only one here, [C706] 12.6.4.5."""
    return pack(PduType.BIND_NAK, call_id, struct.pack("<HBBB3x", reason, 1, 5, 0))


def fault(call_id: int, context_id: int, status: int, *, executed: bool = False) -> bytes:
    """Answer a call that failed as a call, [C706] 12.6.4.7."""
    flags = FIRST_FRAG | LAST_FRAG | (0 if executed else DID_NOT_EXECUTE)
    return pack(PduType.FAULT, call_id, struct.pack("<IHBxI4x", 0, context_id, 0, status), flags)


def responses(call_id: int, context_id: int, stub: Buffer, max_frag: int) -> list[bytes]:
    """Cut *stub* into response fragments of at most *max_frag* bytes, [C706] 12.6.4.10.

    All but the last carry a multiple of eight stub bytes.
    """
    size = (max_frag - REQUEST_SIZE) & ~7
    view, fragments = memoryview(stub), []
    for start in range(0, max(len(view), 1), size):
        flags = FIRST_FRAG if start == 0 else 0
        flags |= LAST_FRAG if start + size >= len(view) else 0
        body = struct.pack("<IHBx", len(view) - start, context_id, 0)
        body += view[start : start + size]
        fragments.append(pack(PduType.RESPONSE, call_id, body, flags))
    return fragments
