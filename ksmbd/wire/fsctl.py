"""FSCTL codes and their buffers, [MS-SMB2] 2.2.31 and 2.2.32, [MS-FSCC] 2.3.

Subsections of 2.3 bear the names of the codes. Reparse points have a module of their own.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from typing import Annotated, Final, NamedTuple

from ksmbd.wire import chain
from ksmbd.wire.base import (
    Buffer,
    Wire,
    WireError,
    bytes4,
    bytes16,
    bytes24,
    bytes48,
    i64,
    u8,
    u16,
    u32,
    u64,
    wire,
)
from ksmbd.wire.text import from_utf16, utf16

bytes128 = Annotated[bytes, "128s"]

# Bits 14 and 15 of a code: the access the open must have been granted
ACCESS_MASK: Final = 0x0000C000
ACCESS_READ: Final = 0x00004000
ACCESS_WRITE: Final = 0x00008000

DFS_GET_REFERRALS: Final = 0x00060194
DFS_GET_REFERRALS_EX: Final = 0x000601B0
IS_PATHNAME_VALID: Final = 0x0009002C
GET_COMPRESSION: Final = 0x0009003C
FILESYSTEM_GET_STATISTICS: Final = 0x00090060
GET_NTFS_VOLUME_DATA: Final = 0x00090064
IS_VOLUME_DIRTY: Final = 0x00090078
FIND_FILES_BY_SID: Final = 0x0009008F
SET_OBJECT_ID: Final = 0x00090098
GET_OBJECT_ID: Final = 0x0009009C
DELETE_OBJECT_ID: Final = 0x000900A0
SET_REPARSE_POINT: Final = 0x000900A4
GET_REPARSE_POINT: Final = 0x000900A8
DELETE_REPARSE_POINT: Final = 0x000900AC
SET_OBJECT_ID_EXTENDED: Final = 0x000900BC
CREATE_OR_GET_OBJECT_ID: Final = 0x000900C0
SET_SPARSE: Final = 0x000900C4
READ_FILE_USN_DATA: Final = 0x000900EB
WRITE_USN_CLOSE_RECORD: Final = 0x000900EF
REQUEST_OPLOCK: Final = 0x00090240
GET_INTEGRITY_INFORMATION: Final = 0x0009027C
QUERY_FILE_REGIONS: Final = 0x00090284
QUERY_SHARED_VIRTUAL_DISK_SUPPORT: Final = 0x00090300
SVHDX_SYNC_TUNNEL_REQUEST: Final = 0x00090304
STORAGE_QOS_CONTROL: Final = 0x00090350
SVHDX_ASYNC_TUNNEL_REQUEST: Final = 0x00090364
QUERY_ALLOCATED_RANGES: Final = 0x000940CF
OFFLOAD_READ: Final = 0x00094264
SET_ZERO_DATA: Final = 0x000980C8
FILE_LEVEL_TRIM: Final = 0x00098208
OFFLOAD_WRITE: Final = 0x00098268
DUPLICATE_EXTENTS_TO_FILE: Final = 0x00098344
DUPLICATE_EXTENTS_TO_FILE_EX: Final = 0x000983E8
SET_COMPRESSION: Final = 0x0009C040
SET_INTEGRITY_INFORMATION: Final = 0x0009C280
PIPE_WAIT: Final = 0x00110018
PIPE_PEEK: Final = 0x0011400C
PIPE_TRANSCEIVE: Final = 0x0011C017
SRV_REQUEST_RESUME_KEY: Final = 0x00140078
LMR_GET_LINK_TRACKING_INFORMATION: Final = 0x001400E8
LMR_SET_LINK_TRACKING_INFORMATION: Final = 0x001400EC
LMR_REQUEST_RESILIENCY: Final = 0x001401D4
QUERY_NETWORK_INTERFACE_INFO: Final = 0x001401FC
VALIDATE_NEGOTIATE_INFO: Final = 0x00140204
SRV_ENUMERATE_SNAPSHOTS: Final = 0x00144064
SRV_COPYCHUNK: Final = 0x001440F2
SRV_READ_HASH: Final = 0x001441BB
SRV_COPYCHUNK_WRITE: Final = 0x001480F2


@wire()
class ValidateNegotiateInfoRequest(Wire):
    """[MS-SMB2] 2.2.31.4; the dialects follow: ``negotiate.unpack_dialects``."""

    capabilities: u32
    guid: bytes16
    security_mode: u16
    dialect_count: u16


@wire()
class ValidateNegotiateInfoResponse(Wire):
    """[MS-SMB2] 2.2.32.6."""

    capabilities: u32
    guid: bytes16
    security_mode: u16
    dialect: u16


@wire()
class SrvRequestResumeKeyResponse(Wire):
    """[MS-SMB2] 2.2.32.3; Windows sends four bytes of the empty Context, and so do we."""

    resume_key: bytes24
    context_length: u32 = 0
    context: bytes4 = bytes(4)


@wire()
class SrvCopychunkCopy(Wire):
    """SRV_COPYCHUNK_COPY, [MS-SMB2] 2.2.31.1; the chunks follow."""

    source_key: bytes24
    chunk_count: u32
    reserved: u32 = 0


@wire()
class SrvCopychunk(Wire):
    """SRV_COPYCHUNK, [MS-SMB2] 2.2.31.1.1."""

    source_offset: u64
    target_offset: u64
    length: u32
    reserved: u32 = 0


@wire()
class SrvCopychunkResponse(Wire):
    """[MS-SMB2] 2.2.32.1; with INVALID_PARAMETER the three are the server's limits."""

    chunks_written: u32  # limit: chunks a request
    chunk_bytes_written: u32  # limit: bytes a chunk
    total_bytes_written: u32  # limit: bytes a request


def unpack_copychunk(buf: Buffer) -> tuple[SrvCopychunkCopy, list[SrvCopychunk]]:
    """The request and its chunks. WireError if there are fewer than ChunkCount."""
    head = SrvCopychunkCopy.unpack(buf)
    end = SrvCopychunkCopy.SIZE + head.chunk_count * SrvCopychunk.SIZE
    if end > len(buf):
        raise WireError(f"{head.chunk_count} chunks in {len(buf)} bytes")
    starts = range(SrvCopychunkCopy.SIZE, end, SrvCopychunk.SIZE)
    return head, [SrvCopychunk.unpack(buf, at) for at in starts]


# Capability of NETWORK_INTERFACE_INFO
RSS_CAPABLE: Final = 0x00000001
RDMA_CAPABLE: Final = 0x00000002

FAMILY_IPV4: Final = 0x0002
FAMILY_IPV6: Final = 0x0017


@wire()
class NetworkInterfaceInfo(Wire):
    """NETWORK_INTERFACE_INFO, [MS-SMB2] 2.2.32.5: one address of one interface, 152 bytes."""

    next: u32 = 0
    if_index: u32
    capability: u32 = 0
    reserved: u32 = 0
    link_speed: u64  # bits a second
    sock_addr_storage: bytes128


def pack_sockaddr(address: str, scope_id: int = 0) -> bytes:
    """SOCKADDR_STORAGE's used part, [MS-SMB2] 2.2.32.5.1; the port is always 0."""
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return struct.pack("<HH4s8x", FAMILY_IPV4, 0, ip.packed)
    return struct.pack("<HHI16sI", FAMILY_IPV6, 0, 0, ip.packed, scope_id)


def pack_interfaces(interfaces: Iterable[NetworkInterfaceInfo]) -> bytes:
    """The chain of all *interfaces*."""
    return chain.link([interface.pack() for interface in interfaces], align=8)


@wire()
class NetworkResiliencyRequest(Wire):
    """[MS-SMB2] 2.2.31.3."""

    timeout: u32  # milliseconds
    reserved: u32 = 0


def pack_snapshots(labels: list[str], max_output: int) -> bytes:
    """SRV_SNAPSHOT_ARRAY, [MS-SMB2] 2.2.32.2, of ``@GMT-…`` *labels*.

    If there is none, or the array does not fit into *max_output*, it is left out; its size and
    the number of snapshots are told, and two empty characters stand in: 16 bytes, as clients
    expect at least.
    """
    array = b"".join(utf16(label) + b"\0\0" for label in labels) + b"\0\0"
    returned = len(labels)
    size = len(array)
    if not labels or 12 + size > max_output:
        returned, array = 0, bytes(4)
    return struct.pack("<III", len(labels), returned, size) + array


@wire()
class FileObjectIdBuffer(Wire):
    """FILE_OBJECTID_BUFFER type 1, [MS-FSCC] 2.1.3.1."""

    object_id: bytes16
    birth_volume_id: bytes16 = bytes(16)
    birth_object_id: bytes16 = bytes(16)
    domain_id: bytes16 = bytes(16)


@wire()
class SetObjectIdExtended(Wire):
    """FSCTL_SET_OBJECT_ID_EXTENDED, [MS-FSCC] 2.3."""

    extended_info: bytes48


def unpack_sparse(buf: Buffer) -> bool:
    """FILE_SET_SPARSE_BUFFER, [MS-FSCC] 2.3: an empty buffer means True."""
    return not len(buf) or buf[0] != 0


@wire()
class FileZeroDataInformation(Wire):
    """FSCTL_SET_ZERO_DATA, [MS-FSCC] 2.3."""

    file_offset: i64
    beyond_final_zero: i64


@wire()
class FileAllocatedRange(Wire):
    """FILE_ALLOCATED_RANGE_BUFFER, [MS-FSCC] 2.3."""

    file_offset: i64
    length: i64


@wire()
class PipeWaitRequest(Wire):
    """FSCTL_PIPE_WAIT, [MS-FSCC] 2.3; the name follows, without ``\\pipe\\``."""

    timeout: i64  # 100 ns units
    name_length: u32
    timeout_specified: u8 = 0
    padding: u8 = 0


def unpack_pipe_wait(buf: Buffer) -> tuple[PipeWaitRequest, str]:
    """The request and the pipe's name. WireError if the name leaves *buf*."""
    head = PipeWaitRequest.unpack(buf)
    end = PipeWaitRequest.SIZE + head.name_length
    if end > len(buf):
        raise WireError(f"pipe name of {head.name_length} bytes in {len(buf)}")
    return head, from_utf16(memoryview(buf)[PipeWaitRequest.SIZE : end])


@wire()
class PipePeekResponse(Wire):
    """FSCTL_PIPE_PEEK, [MS-FSCC] 2.3; the data follows."""

    named_pipe_state: u32 = 3  # connected
    read_data_available: u32
    number_of_messages: u32 = 0
    message_length: u32 = 0


# CompressionState, [MS-FSCC] 2.3
COMPRESSION_NONE: Final = 0
COMPRESSION_DEFAULT: Final = 1
COMPRESSION_LZNT1: Final = 2
COMPRESSION_FORMATS: Final = frozenset((COMPRESSION_NONE, COMPRESSION_DEFAULT, COMPRESSION_LZNT1))


@wire()
class CompressionState(Wire):
    """FSCTL_GET_COMPRESSION and FSCTL_SET_COMPRESSION, [MS-FSCC] 2.3."""

    compression_state: u16


@wire()
class VolumeDirty(Wire):
    """FSCTL_IS_VOLUME_DIRTY, [MS-FSCC] 2.3."""

    flags: u32 = 0


@wire()
class NtfsVolumeData(Wire):
    """NTFS_VOLUME_DATA_BUFFER, [MS-FSCC] 2.3."""

    volume_serial_number: u64
    number_sectors: u64
    total_clusters: u64
    free_clusters: u64
    total_reserved: u64 = 0
    bytes_per_sector: u32
    bytes_per_cluster: u32
    bytes_per_file_record_segment: u32 = 1024
    clusters_per_file_record_segment: u32 = 0
    mft_valid_data_length: u64 = 0
    mft_start_lcn: u64 = 0
    mft2_start_lcn: u64 = 0
    mft_zone_start: u64 = 0
    mft_zone_end: u64 = 0


@wire()
class FileLevelTrim(Wire):
    """FILE_LEVEL_TRIM, [MS-FSCC] 2.3; the ranges follow."""

    key: u32 = 0
    num_ranges: u32


@wire()
class FileLevelTrimOutput(Wire):
    """FILE_LEVEL_TRIM_OUTPUT, [MS-FSCC] 2.3."""

    num_ranges_processed: u32


class TrimRange(NamedTuple):
    """FILE_LEVEL_TRIM_RANGE, [MS-FSCC] 2.3."""

    offset: int
    length: int


def unpack_trim(buf: Buffer) -> list[TrimRange]:
    """The ranges to trim. WireError if there are fewer than NumRanges."""
    count = FileLevelTrim.unpack(buf).num_ranges
    end = FileLevelTrim.SIZE + 16 * count
    if end > len(buf):
        raise WireError(f"{count} trim ranges in {len(buf)} bytes")
    ranges = struct.iter_unpack("<QQ", memoryview(buf)[FileLevelTrim.SIZE : end])
    return [TrimRange(*pair) for pair in ranges]


@wire()
class DuplicateExtentsData(Wire):
    """SMB2_DUPLICATE_EXTENTS_DATA, [MS-FSCC] 2.3."""

    source_persistent_id: u64
    source_volatile_id: u64
    source_file_offset: i64
    target_file_offset: i64
    byte_count: i64


DUPLICATE_EXTENTS_SOURCE_ATOMIC: Final = 0x00000001


@wire()
class DuplicateExtentsDataEx(Wire):
    """SMB2_DUPLICATE_EXTENTS_DATA_EX, [MS-FSCC] 2.3."""

    structure_size: u64 = 0x30
    source_persistent_id: u64
    source_volatile_id: u64
    source_file_offset: i64
    target_file_offset: i64
    byte_count: i64
    flags: u32 = 0
    reserved: u32 = 0


@wire()
class FileRegionInput(Wire):
    """FILE_REGION_INPUT, [MS-FSCC] 2.3."""

    file_offset: i64
    length: i64
    desired_usage: u32
    reserved: u32 = 0


@wire()
class FileRegionOutput(Wire):
    """FILE_REGION_OUTPUT, [MS-FSCC] 2.3; the regions follow."""

    flags: u32 = 0
    total_region_entry_count: u32
    region_entry_count: u32
    reserved: u32 = 0


REGION_USAGE_VALID_CACHED_DATA: Final = 0x00000001
REGION_USAGE_VALID_NONCACHED_DATA: Final = 0x00000002


@wire()
class FileRegionInfo(Wire):
    """FILE_REGION_INFO, [MS-FSCC] 2.3."""

    file_offset: i64
    length: i64
    usage: u32
    reserved: u32 = 0


@wire()
class GetIntegrityInformation(Wire):
    """FSCTL_GET_INTEGRITY_INFORMATION_BUFFER, [MS-FSCC] 2.3."""

    checksum_algorithm: u16 = 0
    reserved: u16 = 0
    flags: u32 = 0
    checksum_chunk_size_in_bytes: u32
    cluster_size_in_bytes: u32


@wire()
class SetIntegrityInformation(Wire):
    """FSCTL_SET_INTEGRITY_INFORMATION_BUFFER, [MS-FSCC] 2.3."""

    checksum_algorithm: u16
    reserved: u16 = 0
    flags: u32
