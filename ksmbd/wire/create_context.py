"""Create contexts: their chain and the data of each, [MS-SMB2] 2.2.13.2 and 2.2.14.2."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Self, TypeVar

from ksmbd.wire import chain
from ksmbd.wire.base import Buffer, Wire, WireError, bytes16, filetime, u16, u32, u64, wire
from ksmbd.wire.text import from_utf16, utf16

# Tags
EA_BUFFER: Final = b"ExtA"
SD_BUFFER: Final = b"SecD"
DURABLE_HANDLE_REQUEST: Final = b"DHnQ"
DURABLE_HANDLE_RECONNECT: Final = b"DHnC"
DURABLE_HANDLE_REQUEST_V2: Final = b"DH2Q"
DURABLE_HANDLE_RECONNECT_V2: Final = b"DH2C"
ALLOCATION_SIZE: Final = b"AlSi"
QUERY_MAXIMAL_ACCESS: Final = b"MxAc"
TIMEWARP_TOKEN: Final = b"TWrp"
QUERY_ON_DISK_ID: Final = b"QFid"
REQUEST_LEASE: Final = b"RqLs"
AAPL: Final = b"AAPL"
POSIX: Final = bytes.fromhex("93ad25509cb411e7b42383de968bcd7c")
APP_INSTANCE_ID: Final = bytes.fromhex("45bca66aefa7f74a9008fa462e144d74")
APP_INSTANCE_VERSION: Final = bytes.fromhex("b982d0b73b56074fa07b524a8116a010")
SVHDX_OPEN_DEVICE: Final = bytes.fromhex("9ccbcf9e04c1e643980e158da1f6ec83")

# LeaseState
LEASE_NONE: Final = 0x00
LEASE_READ: Final = 0x01
LEASE_HANDLE: Final = 0x02
LEASE_WRITE: Final = 0x04

# LeaseFlags
LEASE_BREAK_IN_PROGRESS: Final = 0x00000002
LEASE_PARENT_KEY_SET: Final = 0x00000004

# Flags of DH2Q and DH2C
DURABLE_PERSISTENT: Final = 0x00000002

# AAPL
AAPL_SERVER_QUERY: Final = 1
AAPL_RESOLVE_ID: Final = 2
AAPL_BIT_SERVER_CAPS: Final = 0x1
AAPL_BIT_VOLUME_CAPS: Final = 0x2
AAPL_BIT_MODEL_INFO: Final = 0x4
AAPL_READ_DIR_ATTR: Final = 0x1
AAPL_OSX_COPYFILE: Final = 0x2
AAPL_UNIX_BASED: Final = 0x4
AAPL_NFS_ACE: Final = 0x8
AAPL_VOLUME_RESOLVE_ID: Final = 0x1
AAPL_VOLUME_CASE_SENSITIVE: Final = 0x2
AAPL_VOLUME_FULL_SYNC: Final = 0x4


class CreateContext(NamedTuple):
    """One SMB2_CREATE_CONTEXT: its name (a tag of four bytes, or a GUID) and its data."""

    name: bytes
    data: Buffer


_CONTEXT: Final = struct.Struct("<IHHHHI")  # Next, Name offset and length, -, Data offset, length


def contexts(buf: Buffer) -> Iterator[CreateContext]:
    """Yield the contexts of *buf*, which is exactly CreateContextsLength bytes.

    WireError if a link is unaligned or leads out, a name is shorter than four bytes, or a
    name or data leaves its context or overlaps what is before it.
    """
    for entry in chain.entries(buf, fixed=_CONTEXT.size, align=8):
        _, name_at, name_length, _, data_at, data_length = _CONTEXT.unpack_from(entry)
        name_end = name_at + name_length
        if name_at < _CONTEXT.size or name_length < 4 or name_end > len(entry):
            raise WireError(f"create context name at {name_at}, {name_length} bytes")
        if data_length and (data_at < name_end or data_at + data_length > len(entry)):
            raise WireError(f"create context data at {data_at}, {data_length} bytes")
        data = entry[data_at : data_at + data_length] if data_length else entry[:0]
        yield CreateContext(bytes(entry[name_at:name_end]), data)


def pack_contexts(items: Iterable[tuple[bytes, Buffer]]) -> bytes:
    """The chain of (name, data), data at a multiple of 8, the last context not padded."""
    return chain.link([_pack_context(name, data) for name, data in items], align=8)


def _pack_context(name: bytes, data: Buffer) -> bytes:
    name_end = _CONTEXT.size + len(name)
    data_at = name_end + -name_end % 8 if data else 0
    head = _CONTEXT.pack(0, _CONTEXT.size, len(name), 0, data_at, len(data))
    return head + name + (bytes(data_at - name_end) + data if data else b"")


W = TypeVar("W", bound=Wire)


def unpack_exact(structure: type[W], data: Buffer) -> W:
    """Unpack data that must be exactly one *structure*. WireError if it is not."""
    if len(data) != structure.SIZE:
        raise WireError(f"{structure.__name__}: {len(data)} bytes, not {structure.SIZE}")
    return structure.unpack(data)


@wire()
class DurableHandleRequest(Wire):
    """DHnQ, [MS-SMB2] 2.2.13.2.3."""

    reserved: bytes16 = bytes(16)


@wire()
class DurableHandleResponse(Wire):
    """DHnQ answered, [MS-SMB2] 2.2.14.2.3."""

    reserved: u64 = 0


@wire()
class DurableHandleReconnect(Wire):
    """DHnC, [MS-SMB2] 2.2.13.2.4."""

    persistent_id: u64
    volatile_id: u64


@wire()
class DurableHandleRequestV2(Wire):
    """DH2Q, [MS-SMB2] 2.2.13.2.11."""

    timeout: u32  # milliseconds; 0 leaves it to the server
    flags: u32
    reserved: u64 = 0
    create_guid: bytes16


@wire()
class DurableHandleResponseV2(Wire):
    """DH2Q answered, [MS-SMB2] 2.2.14.2.12."""

    timeout: u32  # milliseconds
    flags: u32


@wire()
class DurableHandleReconnectV2(Wire):
    """DH2C, [MS-SMB2] 2.2.13.2.12."""

    persistent_id: u64
    volatile_id: u64
    create_guid: bytes16
    flags: u32


@wire()
class MaximalAccessRequest(Wire):
    """MxAc with a timestamp, [MS-SMB2] 2.2.13.2.5; without, the data is empty."""

    timestamp: filetime


@wire()
class MaximalAccessResponse(Wire):
    """MxAc answered, [MS-SMB2] 2.2.14.2.5."""

    query_status: u32
    maximal_access: u32


@wire()
class AllocationSize(Wire):
    """AlSi, [MS-SMB2] 2.2.13.2.6."""

    allocation_size: u64  # bytes


@wire()
class TimewarpToken(Wire):
    """TWrp, [MS-SMB2] 2.2.13.2.7."""

    timestamp: filetime


@wire()
class OnDiskIdResponse(Wire):
    """QFid answered, [MS-SMB2] 2.2.14.2.9."""

    disk_file_id: u64
    volume_id: u64
    reserved: bytes16 = bytes(16)


@wire()
class RequestLease(Wire):
    """RqLs version 1, request and response, [MS-SMB2] 2.2.13.2.8 and 2.2.14.2.10."""

    lease_key: bytes16
    lease_state: u32
    lease_flags: u32 = 0
    lease_duration: u64 = 0


@wire()
class RequestLeaseV2(Wire):
    """RqLs version 2, request and response, [MS-SMB2] 2.2.13.2.10 and 2.2.14.2.11."""

    lease_key: bytes16
    lease_state: u32
    lease_flags: u32 = 0
    lease_duration: u64 = 0
    parent_lease_key: bytes16 = bytes(16)
    epoch: u16 = 0
    reserved: u16 = 0


def unpack_lease(data: Buffer) -> RequestLease | RequestLeaseV2:
    """The lease asked for; its length tells the version. WireError if it is neither's."""
    if len(data) == RequestLease.SIZE:
        return RequestLease.unpack(data)
    return unpack_exact(RequestLeaseV2, data)


@wire()
class AppInstanceId(Wire):
    """SMB2_CREATE_APP_INSTANCE_ID, [MS-SMB2] 2.2.13.2.13."""

    structure_size: u16 = 20
    reserved: u16 = 0
    app_instance_id: bytes16


@wire()
class AppInstanceVersion(Wire):
    """SMB2_CREATE_APP_INSTANCE_VERSION, [MS-SMB2] 2.2.13.2.15."""

    structure_size: u16 = 24
    reserved: u16 = 0
    padding: u32 = 0
    app_instance_version_high: u64
    app_instance_version_low: u64


@wire()
class PosixRequest(Wire):
    """SMB2_CREATE_POSIX: permission bits for a new file; the answer is in ``posix``."""

    mode: u32


@wire()
class AaplQuery(Wire):
    """AAPL with command AAPL_SERVER_QUERY, as Apple's client sends it."""

    command: u32 = AAPL_SERVER_QUERY
    reserved: u32 = 0
    request_bitmap: u64
    client_capabilities: u64 = 0


@wire()
class AaplResolveId(Wire):
    """AAPL with command AAPL_RESOLVE_ID: where is the file of that number?"""

    command: u32 = AAPL_RESOLVE_ID
    reserved: u32 = 0
    file_id: u64


class AaplResolved(NamedTuple):
    """The answer to AaplResolveId."""

    status: int
    path: str = ""  # from the share's root, backslashes between

    def pack(self) -> bytes:
        path = utf16(self.path)
        return struct.pack("<IIII", AAPL_RESOLVE_ID, 0, self.status, len(path)) + path

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if it is another answer, or the path is not all there."""
        if len(data) < 16:
            raise WireError(f"AAPL answer of {len(data)} bytes")
        command, _, status, length = struct.unpack_from("<IIII", data)
        if command != AAPL_RESOLVE_ID or 16 + length > len(data):
            raise WireError(f"AAPL command {command}, a path of {length} bytes")
        return cls(status, from_utf16(memoryview(data)[16 : 16 + length]))


class AaplReply(NamedTuple):
    """The answer to AaplQuery; a part that is None was not asked for."""

    server_capabilities: int | None = None
    volume_capabilities: int | None = None
    model: str | None = None

    def pack(self) -> bytes:
        """Command, reserved, bitmap, then the parts in the order of their bits."""
        bitmap = 0
        out = b""
        if self.server_capabilities is not None:
            bitmap |= AAPL_BIT_SERVER_CAPS
            out += struct.pack("<Q", self.server_capabilities)
        if self.volume_capabilities is not None:
            bitmap |= AAPL_BIT_VOLUME_CAPS
            out += struct.pack("<Q", self.volume_capabilities)
        if self.model is not None:
            bitmap |= AAPL_BIT_MODEL_INFO
            name = utf16(self.model)
            out += struct.pack("<II", 0, len(name)) + name
        return struct.pack("<IIQ", AAPL_SERVER_QUERY, 0, bitmap) + out

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if a part the bitmap names is missing."""
        try:
            command, _, bitmap = struct.unpack_from("<IIQ", data)
            at = 16
            numbers: list[int | None] = [None, None]
            for index, bit in enumerate((AAPL_BIT_SERVER_CAPS, AAPL_BIT_VOLUME_CAPS)):
                if bitmap & bit:
                    (numbers[index],) = struct.unpack_from("<Q", data, at)
                    at += 8
            model = None
            if bitmap & AAPL_BIT_MODEL_INFO:
                (length,) = struct.unpack_from("<4xI", data, at)
                model = from_utf16(memoryview(data)[at + 8 : at + 8 + length])
                at += 8 + length
        except struct.error:
            raise WireError(f"AAPL reply of {len(data)} bytes") from None
        if command != AAPL_SERVER_QUERY or at > len(data):
            raise WireError(f"AAPL command {command}, {len(data)} bytes of {at}")
        return cls(numbers[0], numbers[1], model)
