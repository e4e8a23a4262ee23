"""SMB2 NEGOTIATE and its contexts, [MS-SMB2] 2.2.3 and 2.2.4."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Self

from ksmbd.wire.base import Buffer, Wire, WireError, bytes16, filetime, u16, u32, wire
from ksmbd.wire.text import from_utf16, utf16

# Dialects
SMB_2_0_2: Final = 0x0202
SMB_2_1: Final = 0x0210
SMB_3_0: Final = 0x0300
SMB_3_0_2: Final = 0x0302
SMB_3_1_1: Final = 0x0311
SMB_2_WILDCARD: Final = 0x02FF  # answers "SMB 2.???" of an SMB1 negotiate
DIALECT_NAMES: Final = {
    SMB_2_0_2: "2.0.2",
    SMB_2_1: "2.1",
    SMB_2_WILDCARD: "2.???",
    SMB_3_0: "3.0",
    SMB_3_0_2: "3.0.2",
    SMB_3_1_1: "3.1.1",
}

# SecurityMode
SIGNING_ENABLED: Final = 0x0001
SIGNING_REQUIRED: Final = 0x0002

# Capabilities
CAP_DFS: Final = 0x00000001
CAP_LEASING: Final = 0x00000002
CAP_LARGE_MTU: Final = 0x00000004
CAP_MULTI_CHANNEL: Final = 0x00000008
CAP_PERSISTENT_HANDLES: Final = 0x00000010
CAP_DIRECTORY_LEASING: Final = 0x00000020
CAP_ENCRYPTION: Final = 0x00000040
CAP_NOTIFICATIONS: Final = 0x00000080

# Context types
PREAUTH_INTEGRITY_CAPABILITIES: Final = 0x0001
ENCRYPTION_CAPABILITIES: Final = 0x0002
COMPRESSION_CAPABILITIES: Final = 0x0003
NETNAME_NEGOTIATE_CONTEXT_ID: Final = 0x0005
TRANSPORT_CAPABILITIES: Final = 0x0006
RDMA_TRANSFORM_CAPABILITIES: Final = 0x0007
SIGNING_CAPABILITIES: Final = 0x0008
POSIX_EXTENSIONS_AVAILABLE: Final = 0x0100

# Hash algorithms
SHA_512: Final = 0x0001

# Ciphers
AES_128_CCM: Final = 0x0001
AES_128_GCM: Final = 0x0002
AES_256_CCM: Final = 0x0003
AES_256_GCM: Final = 0x0004

# Compression algorithms and flags
COMPRESSION_NONE: Final = 0x0000
LZNT1: Final = 0x0001
LZ77: Final = 0x0002
LZ77_HUFFMAN: Final = 0x0003
PATTERN_V1: Final = 0x0004
LZ4: Final = 0x0005
COMPRESSION_CHAINED: Final = 0x00000001

# Signing algorithms
HMAC_SHA256: Final = 0x0000
AES_CMAC: Final = 0x0001
AES_GMAC: Final = 0x0002

# Transport and RDMA
ACCEPT_TRANSPORT_LEVEL_SECURITY: Final = 0x00000001
RDMA_TRANSFORM_NONE: Final = 0x0000
RDMA_TRANSFORM_ENCRYPTION: Final = 0x0001
RDMA_TRANSFORM_SIGNING: Final = 0x0002

POSIX_GUID: Final = bytes.fromhex("93ad25509cb411e7b42383de968bcd7c")

SECURITY_BUFFER_OFFSET: Final = 128  # of the token in a response


@wire(structure_size=36)
class NegotiateRequest(Wire):
    """SMB2 NEGOTIATE Request, [MS-SMB2] 2.2.3; dialects, then contexts follow."""

    dialect_count: u16
    security_mode: u16 = SIGNING_ENABLED
    reserved: u16 = 0
    capabilities: u32 = 0
    client_guid: bytes16 = bytes(16)
    negotiate_context_offset: u32 = 0  # with 3.1.1; else the low half of ClientStartTime
    negotiate_context_count: u16 = 0
    reserved2: u16 = 0


@wire(structure_size=65)
class NegotiateResponse(Wire):
    """SMB2 NEGOTIATE Response, [MS-SMB2] 2.2.4; the security buffer, then contexts follow."""

    security_mode: u16
    dialect_revision: u16
    negotiate_context_count: u16 = 0
    server_guid: bytes16
    capabilities: u32
    max_transact_size: u32
    max_read_size: u32
    max_write_size: u32
    system_time: filetime
    server_start_time: filetime = 0
    security_buffer_offset: u16 = SECURITY_BUFFER_OFFSET
    security_buffer_length: u16 = 0
    negotiate_context_offset: u32 = 0  # bytes, from the start of the SMB2 header; 8-aligned


def unpack_dialects(buf: Buffer, count: int) -> tuple[int, ...]:
    """The *count* dialects that *buf* (what follows the request's fixed part) begins with."""
    return _shorts(buf, 0, count, "dialects")


class NegotiateContext(NamedTuple):
    """SMB2 NEGOTIATE_CONTEXT, [MS-SMB2] 2.2.3.1, without its padding."""

    type: int
    data: Buffer


_CONTEXT: Final = struct.Struct("<HHI")  # ContextType, DataLength, Reserved


def contexts(buf: Buffer, count: int) -> Iterator[NegotiateContext]:
    """Yield the *count* contexts of *buf*, which begins where NegotiateContextOffset says.

    WireError if one leaves the buffer. Bytes after the last are the message's padding.
    """
    view = memoryview(buf)
    at = 0
    for _ in range(count):
        at += -at % 8
        start = at + _CONTEXT.size
        if start > len(view):
            raise WireError(f"negotiate context at {at} of {len(view)} bytes")
        type_, length, _reserved = _CONTEXT.unpack_from(view, at)
        at = start + length
        if at > len(view):
            raise WireError(f"negotiate context {type_:#06x}: {length} bytes at {start}")
        yield NegotiateContext(type_, view[start:at])


def pack_contexts(items: Iterable[tuple[int, Buffer]]) -> bytes:
    """The contexts of (type, data), each but the last padded to 8 bytes."""
    out = bytearray()
    for type_, data in items:
        out += bytes(-len(out) % 8)
        out += _CONTEXT.pack(type_, len(data), 0)
        out += data
    return bytes(out)


class PreauthIntegrity(NamedTuple):
    """SMB2_PREAUTH_INTEGRITY_CAPABILITIES, [MS-SMB2] 2.2.3.1.1."""

    hash_algorithms: tuple[int, ...]
    salt: bytes

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if a count is zero or leads past *data*."""
        count, salt_length = _counts(data, "<HH", "preauth integrity")
        algorithms = _shorts(data, 4, _some(count, "hash algorithms"), "hash algorithms")
        at = 4 + 2 * count
        if at + salt_length > len(data):
            raise WireError(f"salt of {salt_length} bytes")
        return cls(algorithms, bytes(data[at : at + salt_length]))

    def pack(self) -> bytes:
        counts = struct.pack("<HH", len(self.hash_algorithms), len(self.salt))
        return counts + _pack_shorts(self.hash_algorithms) + self.salt


class Encryption(NamedTuple):
    """SMB2_ENCRYPTION_CAPABILITIES, [MS-SMB2] 2.2.3.1.2."""

    ciphers: tuple[int, ...]

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if the count is zero or leads past *data*."""
        (count,) = _counts(data, "<H", "encryption")
        return cls(_shorts(data, 2, _some(count, "ciphers"), "ciphers"))

    def pack(self) -> bytes:
        return struct.pack("<H", len(self.ciphers)) + _pack_shorts(self.ciphers)


class Compression(NamedTuple):
    """SMB2_COMPRESSION_CAPABILITIES, [MS-SMB2] 2.2.3.1.3."""

    algorithms: tuple[int, ...]
    flags: int = 0

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if the count is zero or leads past *data*."""
        count, _padding, flags = _counts(data, "<HHI", "compression")
        return cls(_shorts(data, 8, _some(count, "algorithms"), "compression"), flags)

    def pack(self) -> bytes:
        head = struct.pack("<HHI", len(self.algorithms), 0, self.flags)
        return head + _pack_shorts(self.algorithms)


class NetName(NamedTuple):
    """SMB2_NETNAME_NEGOTIATE_CONTEXT_ID, [MS-SMB2] 2.2.3.1.4: the name the client dialled."""

    net_name: str

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        return cls(from_utf16(data))

    def pack(self) -> bytes:
        return utf16(self.net_name)


class Transport(NamedTuple):
    """SMB2_TRANSPORT_CAPABILITIES, [MS-SMB2] 2.2.3.1.5."""

    flags: int

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        return cls(*_counts(data, "<I", "transport"))

    def pack(self) -> bytes:
        return struct.pack("<I", self.flags)


class RdmaTransform(NamedTuple):
    """SMB2_RDMA_TRANSFORM_CAPABILITIES, [MS-SMB2] 2.2.3.1.6."""

    transform_ids: tuple[int, ...]

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if the count is zero or leads past *data*."""
        count, _reserved1, _reserved2 = _counts(data, "<HHI", "RDMA transform")
        return cls(_shorts(data, 8, _some(count, "RDMA transforms"), "RDMA transforms"))

    def pack(self) -> bytes:
        head = struct.pack("<HHI", len(self.transform_ids), 0, 0)
        return head + _pack_shorts(self.transform_ids)


class Signing(NamedTuple):
    """SMB2_SIGNING_CAPABILITIES, [MS-SMB2] 2.2.3.1.7."""

    signing_algorithms: tuple[int, ...]

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if the count is zero or leads past *data*."""
        (count,) = _counts(data, "<H", "signing")
        return cls(_shorts(data, 2, _some(count, "signing algorithms"), "signing algorithms"))

    def pack(self) -> bytes:
        return struct.pack("<H", len(self.signing_algorithms)) + _pack_shorts(
            self.signing_algorithms
        )


def offers_posix(data: Buffer) -> bool:
    """Whether POSIX_GUID is among the GUIDs of a POSIX_EXTENSIONS_AVAILABLE context."""
    raw = bytes(data)
    return POSIX_GUID in (raw[at : at + 16] for at in range(0, len(raw), 16))


def _counts(data: Buffer, layout: str, what: str) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data)
    except struct.error:
        raise WireError(f"{what} context of {len(data)} bytes") from None


def _some(count: int, what: str) -> int:
    # [MS-SMB2] 3.3.5.4: a count of zero is INVALID_PARAMETER, as a WireError becomes.
    if not count:
        raise WireError(f"no {what}")
    return count


def _shorts(data: Buffer, at: int, count: int, what: str) -> tuple[int, ...]:
    try:
        return struct.unpack_from(f"<{count}H", data, at)
    except struct.error:
        raise WireError(f"{count} {what} in {len(data)} bytes") from None


def _pack_shorts(values: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)
