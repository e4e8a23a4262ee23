"""File system information classes, [MS-FSCC] 2.5; its subsections bear their names."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ksmbd.wire.base import (
    Buffer,
    Wire,
    WireError,
    bytes16,
    bytes48,
    filetime,
    i32,
    i64,
    u8,
    u32,
    u64,
    wire,
)
from ksmbd.wire.text import from_utf16, utf16


class FsInfo(IntEnum):
    """FileInfoClass of InfoType FILESYSTEM."""

    VOLUME = 1
    LABEL = 2
    SIZE = 3
    DEVICE = 4
    ATTRIBUTE = 5
    CONTROL = 6
    FULL_SIZE = 7
    OBJECT_ID = 8
    DRIVER_PATH = 9
    VOLUME_FLAGS = 10
    SECTOR_SIZE = 11
    POSIX = 100


# FileSystemAttributes, [MS-FSCC] 2.5
FS_CASE_SENSITIVE_SEARCH: Final = 0x00000001
FS_CASE_PRESERVED_NAMES: Final = 0x00000002
FS_UNICODE_ON_DISK: Final = 0x00000004
FS_PERSISTENT_ACLS: Final = 0x00000008
FS_FILE_COMPRESSION: Final = 0x00000010
FS_VOLUME_QUOTAS: Final = 0x00000020
FS_SUPPORTS_SPARSE_FILES: Final = 0x00000040
FS_SUPPORTS_REPARSE_POINTS: Final = 0x00000080
FS_SUPPORTS_REMOTE_STORAGE: Final = 0x00000100
FS_SUPPORTS_POSIX_UNLINK_RENAME: Final = 0x00000400
FS_VOLUME_IS_COMPRESSED: Final = 0x00008000
FS_SUPPORTS_OBJECT_IDS: Final = 0x00010000
FS_SUPPORTS_ENCRYPTION: Final = 0x00020000
FS_NAMED_STREAMS: Final = 0x00040000
FS_READ_ONLY_VOLUME: Final = 0x00080000
FS_SEQUENTIAL_WRITE_ONCE: Final = 0x00100000
FS_SUPPORTS_TRANSACTIONS: Final = 0x00200000
FS_SUPPORTS_HARD_LINKS: Final = 0x00400000
FS_SUPPORTS_EXTENDED_ATTRIBUTES: Final = 0x00800000
FS_SUPPORTS_OPEN_BY_FILE_ID: Final = 0x01000000
FS_SUPPORTS_USN_JOURNAL: Final = 0x02000000
FS_SUPPORTS_INTEGRITY_STREAMS: Final = 0x04000000
FS_SUPPORTS_BLOCK_REFCOUNTING: Final = 0x08000000
FS_SUPPORTS_SPARSE_VDL: Final = 0x10000000

# DeviceType and Characteristics, [MS-FSCC] 2.5
DEVICE_CD_ROM: Final = 0x00000002
DEVICE_DISK: Final = 0x00000007
DEVICE_NAMED_PIPE: Final = 0x00000011
REMOVABLE_MEDIA: Final = 0x00000001
READ_ONLY_DEVICE: Final = 0x00000002
REMOTE_DEVICE: Final = 0x00000010
DEVICE_IS_MOUNTED: Final = 0x00000020
VIRTUAL_VOLUME: Final = 0x00000040

# FileSystemControlFlags, [MS-FSCC] 2.5
QUOTA_TRACK: Final = 0x00000001
QUOTA_ENFORCE: Final = 0x00000002
CONTENT_INDEX_DISABLED: Final = 0x00000008
QUOTAS_INCOMPLETE: Final = 0x00000100
QUOTAS_REBUILDING: Final = 0x00000200

NO_QUOTA: Final = 0xFFFF_FFFF_FFFF_FFFF  # DefaultQuotaThreshold and DefaultQuotaLimit

# Flags of FileFsSectorSizeInformation, [MS-FSCC] 2.5
SECTOR_ALIGNED_DEVICE: Final = 0x00000001
SECTOR_PARTITION_ALIGNED: Final = 0x00000002
SECTOR_NO_SEEK_PENALTY: Final = 0x00000004
SECTOR_TRIM_ENABLED: Final = 0x00000008

OFFSET_UNKNOWN: Final = 0xFFFF_FFFF


@wire()
class FileFsVolumeInformation(Wire):
    """[MS-FSCC] 2.5; the label follows."""

    volume_creation_time: filetime
    volume_serial_number: u32
    volume_label_length: u32
    supports_objects: u8 = 0
    reserved: u8 = 0


@wire()
class FileFsLabelInformation(Wire):
    """[MS-FSCC] 2.5; the label follows."""

    volume_label_length: u32


@wire()
class FileFsSizeInformation(Wire):
    """[MS-FSCC] 2.5."""

    total_allocation_units: u64
    available_allocation_units: u64
    sectors_per_allocation_unit: u32
    bytes_per_sector: u32


@wire()
class FileFsDeviceInformation(Wire):
    """[MS-FSCC] 2.5."""

    device_type: u32
    characteristics: u32


@wire()
class FileFsAttributeInformation(Wire):
    """[MS-FSCC] 2.5; the file system's name follows."""

    file_system_attributes: u32
    maximum_component_name_length: i32 = 255  # characters
    file_system_name_length: u32


@wire()
class FileFsControlInformation(Wire):
    """[MS-FSCC] 2.5."""

    free_space_start_filtering: i64 = 0
    free_space_threshold: i64 = 0
    free_space_stop_filtering: i64 = 0
    default_quota_threshold: u64 = NO_QUOTA
    default_quota_limit: u64 = NO_QUOTA
    file_system_control_flags: u32 = 0
    padding: u32 = 0


@wire()
class FileFsFullSizeInformation(Wire):
    """[MS-FSCC] 2.5."""

    total_allocation_units: u64
    caller_available_allocation_units: u64
    actual_available_allocation_units: u64
    sectors_per_allocation_unit: u32
    bytes_per_sector: u32


@wire()
class FileFsObjectIdInformation(Wire):
    """[MS-FSCC] 2.5."""

    object_id: bytes16
    extended_info: bytes48 = bytes(48)


@wire()
class FileFsSectorSizeInformation(Wire):
    """[MS-FSCC] 2.5."""

    logical_bytes_per_sector: u32
    physical_bytes_per_sector_for_atomicity: u32
    physical_bytes_per_sector_for_performance: u32
    file_system_effective_physical_bytes_per_sector_for_atomicity: u32
    flags: u32 = SECTOR_ALIGNED_DEVICE | SECTOR_PARTITION_ALIGNED
    byte_offset_for_sector_alignment: u32 = 0
    byte_offset_for_partition_alignment: u32 = 0


@wire()
class FilePosixFsInformation(Wire):
    """FS_POSIX_INFORMATION of the SMB 3.1.1 POSIX extensions: statvfs on the wire."""

    optimal_transfer_size: u32
    block_size: u32
    total_blocks: u64
    blocks_available: u64
    user_blocks_available: u64
    total_file_nodes: u64
    free_file_nodes: u64
    file_system_identifier: u64


def pack_volume(label: str, serial_number: int, created: int = 0) -> bytes:
    """FileFsVolumeInformation with its label; *created* is a FILETIME."""
    raw = utf16(label)
    head = FileFsVolumeInformation(
        volume_creation_time=created,
        volume_serial_number=serial_number,
        volume_label_length=len(raw),
    )
    return head.pack() + raw


def pack_attribute(name: str, attributes: int, maximum_component_name_length: int = 255) -> bytes:
    """FileFsAttributeInformation with the file system's name."""
    raw = utf16(name)
    head = FileFsAttributeInformation(
        file_system_attributes=attributes,
        maximum_component_name_length=maximum_component_name_length,
        file_system_name_length=len(raw),
    )
    return head.pack() + raw


def unpack_label(buf: Buffer) -> str:
    """The label a client sets. WireError if it leaves *buf* or is no UTF-16."""
    end = FileFsLabelInformation.SIZE + FileFsLabelInformation.unpack(buf).volume_label_length
    if end > len(buf):
        raise WireError(f"label up to {end} in {len(buf)} bytes")
    return from_utf16(memoryview(buf)[FileFsLabelInformation.SIZE : end])
