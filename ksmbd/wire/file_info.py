"""File information classes, [MS-FSCC] 2.4.

The classes of directory listings are in ``dir_info``, chains of entries in ``file_chains``,
the POSIX level in ``posix``.

Its subsections bear the names of the classes; their numbers change with the revisions.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, TypeVar

from ksmbd.wire.base import (
    Buffer,
    Wire,
    WireError,
    bytes3,
    bytes16,
    filetime,
    u8,
    u16,
    u32,
    u64,
    wire,
)
from ksmbd.wire.text import from_utf16, utf16

bytes7 = Annotated[bytes, "7s"]


class FileInfo(IntEnum):
    """FileInfoClass of InfoType FILE and FileInformationClass of QUERY_DIRECTORY."""

    DIRECTORY = 1
    FULL_DIRECTORY = 2
    BOTH_DIRECTORY = 3
    BASIC = 4
    STANDARD = 5
    INTERNAL = 6
    EA = 7
    ACCESS = 8
    NAME = 9
    RENAME = 10
    LINK = 11
    NAMES = 12
    DISPOSITION = 13
    POSITION = 14
    FULL_EA = 15
    MODE = 16
    ALIGNMENT = 17
    ALL = 18
    ALLOCATION = 19
    END_OF_FILE = 20
    ALTERNATE_NAME = 21
    STREAM = 22
    PIPE = 23
    PIPE_LOCAL = 24
    PIPE_REMOTE = 25
    MAILSLOT_QUERY = 26
    MAILSLOT_SET = 27
    COMPRESSION = 28
    OBJECT_ID = 29
    COMPLETION = 30
    MOVE_CLUSTER = 31
    QUOTA = 32
    REPARSE_POINT = 33
    NETWORK_OPEN = 34
    ATTRIBUTE_TAG = 35
    TRACKING = 36
    ID_BOTH_DIRECTORY = 37
    ID_FULL_DIRECTORY = 38
    VALID_DATA_LENGTH = 39
    SHORT_NAME = 40
    SFIO_RESERVE = 44
    SFIO_VOLUME = 45
    HARD_LINK = 46
    NORMALIZED_NAME = 48
    ID_GLOBAL_TX_DIRECTORY = 50
    STANDARD_LINK = 54
    REMOTE_PROTOCOL = 55
    ID = 59
    ID_EXTD_DIRECTORY = 60
    ID_EXTD_BOTH_DIRECTORY = 63
    DISPOSITION_EX = 64
    RENAME_EX = 65
    STAT = 68
    STAT_LX = 70
    CASE_SENSITIVE = 71
    LINK_EX = 72
    ID_64_EXTD_DIRECTORY = 78
    ID_64_EXTD_BOTH_DIRECTORY = 79
    ID_ALL_EXTD_DIRECTORY = 80
    ID_ALL_EXTD_BOTH_DIRECTORY = 81
    POSIX = 100


KNOWN: Final = frozenset(int(info_class) for info_class in FileInfo)
"""The classes that [MS-FSCC] 2.4 has, whether a client may ask for them or not."""


# Times of FileBasicInformation that are not times, [MS-FSCC] 2.4
TIME_KEEP: Final = 0
TIME_FREEZE: Final = 0xFFFF_FFFF_FFFF_FFFF  # stop updating this time for this open
TIME_THAW: Final = 0xFFFF_FFFF_FFFF_FFFE

# Flags of FileDispositionInformationEx, [MS-FSCC] 2.4
DISPOSITION_DELETE: Final = 0x00000001
DISPOSITION_POSIX_SEMANTICS: Final = 0x00000002
DISPOSITION_FORCE_IMAGE_SECTION_CHECK: Final = 0x00000004
DISPOSITION_ON_CLOSE: Final = 0x00000008
DISPOSITION_IGNORE_READONLY_ATTRIBUTE: Final = 0x00000010

# Flags of FileRenameInformationEx and FileLinkInformationEx, [MS-FSCC] 2.4
REPLACE_IF_EXISTS: Final = 0x00000001
POSIX_SEMANTICS: Final = 0x00000002
SUPPRESS_PIN_STATE_INHERITANCE: Final = 0x00000004
SUPPRESS_STORAGE_RESERVE_INHERITANCE: Final = 0x00000008
NO_INCREASE_AVAILABLE_SPACE: Final = 0x00000010
NO_DECREASE_AVAILABLE_SPACE: Final = 0x00000020
IGNORE_READONLY_ATTRIBUTE: Final = 0x00000040

# Mode bits that may be set, [MS-FSCC] 2.4
MODE_WRITE_THROUGH: Final = 0x00000002
MODE_SEQUENTIAL_ONLY: Final = 0x00000004
MODE_NO_INTERMEDIATE_BUFFERING: Final = 0x00000008
MODE_SYNCHRONOUS_IO_ALERT: Final = 0x00000010
MODE_SYNCHRONOUS_IO_NONALERT: Final = 0x00000020
MODE_DELETE_ON_CLOSE: Final = 0x00001000
MODE_VALID: Final = 0x0000103E

# CompressionFormat, of FileCompressionInformation and FSCTL_GET/SET_COMPRESSION
COMPRESSION_FORMAT_NONE: Final = 0x0000
COMPRESSION_FORMAT_DEFAULT: Final = 0x0001
COMPRESSION_FORMAT_LZNT1: Final = 0x0002

CASE_SENSITIVE_DIR: Final = 0x00000001

# Pipes, [MS-FSCC] 2.4
PIPE_BYTE_STREAM_MODE: Final = 0
PIPE_MESSAGE_MODE: Final = 1
PIPE_QUEUE_OPERATION: Final = 0
PIPE_COMPLETE_OPERATION: Final = 1
PIPE_FULL_DUPLEX: Final = 2
PIPE_CONNECTED_STATE: Final = 3
PIPE_CLIENT_END: Final = 0
PIPE_SERVER_END: Final = 1


@wire()
class FileBasicInformation(Wire):
    """[MS-FSCC] 2.4; in SET_INFO attributes of 0 mean "keep", times see TIME_KEEP."""

    creation_time: filetime
    last_access_time: filetime
    last_write_time: filetime
    change_time: filetime
    file_attributes: u32
    reserved: u32 = 0


@wire()
class FileStandardInformation(Wire):
    """[MS-FSCC] 2.4."""

    allocation_size: u64
    end_of_file: u64
    number_of_links: u32
    delete_pending: u8
    directory: u8
    reserved: u16 = 0


@wire()
class FileInternalInformation(Wire):
    """[MS-FSCC] 2.4."""

    index_number: u64


@wire()
class FileEaInformation(Wire):
    """[MS-FSCC] 2.4."""

    ea_size: u32


@wire()
class FileAccessInformation(Wire):
    """[MS-FSCC] 2.4."""

    access_flags: u32


@wire()
class FileNameInformation(Wire):
    """[MS-FSCC] 2.1.7: Name, AlternateName, NormalizedName, ShortName; the name follows."""

    file_name_length: u32


@wire()
class FileRenameInformation(Wire):
    """FileRenameInformation for SMB2, [MS-FSCC] 2.4; the new name follows."""

    replace_if_exists: u8
    reserved: bytes7 = bytes(7)
    root_directory: u64 = 0
    file_name_length: u32


@wire()
class FileRenameInformationEx(Wire):
    """[MS-FSCC] 2.4; the new name follows."""

    flags: u32
    reserved: u32 = 0
    root_directory: u64 = 0
    file_name_length: u32


@wire()
class FileLinkInformation(Wire):
    """FileLinkInformation for SMB2, [MS-FSCC] 2.4; the new name follows."""

    replace_if_exists: u8
    reserved: bytes7 = bytes(7)
    root_directory: u64 = 0
    file_name_length: u32


@wire()
class FileLinkInformationEx(Wire):
    """[MS-FSCC] 2.4; the new name follows."""

    flags: u32
    reserved: u32 = 0
    root_directory: u64 = 0
    file_name_length: u32


@wire()
class FileDispositionInformation(Wire):
    """[MS-FSCC] 2.4."""

    delete_pending: u8


@wire()
class FileDispositionInformationEx(Wire):
    """[MS-FSCC] 2.4."""

    flags: u32


@wire()
class FilePositionInformation(Wire):
    """[MS-FSCC] 2.4."""

    current_byte_offset: u64


@wire()
class FileModeInformation(Wire):
    """[MS-FSCC] 2.4."""

    mode: u32


@wire()
class FileAlignmentInformation(Wire):
    """[MS-FSCC] 2.4."""

    alignment_requirement: u32 = 0


@wire()
class FileAllInformation(Wire):
    """[MS-FSCC] 2.4, all its parts in one; the name follows."""

    creation_time: filetime
    last_access_time: filetime
    last_write_time: filetime
    change_time: filetime
    file_attributes: u32
    basic_reserved: u32 = 0
    allocation_size: u64
    end_of_file: u64
    number_of_links: u32
    delete_pending: u8
    directory: u8
    standard_reserved: u16 = 0
    index_number: u64
    ea_size: u32 = 0
    access_flags: u32
    current_byte_offset: u64 = 0
    mode: u32 = 0
    alignment_requirement: u32 = 0
    file_name_length: u32


@wire()
class FileAllocationInformation(Wire):
    """[MS-FSCC] 2.4."""

    allocation_size: u64


@wire()
class FileEndOfFileInformation(Wire):
    """[MS-FSCC] 2.4."""

    end_of_file: u64


@wire()
class FileValidDataLengthInformation(Wire):
    """[MS-FSCC] 2.4."""

    valid_data_length: u64


@wire()
class FilePipeInformation(Wire):
    """[MS-FSCC] 2.4."""

    read_mode: u32
    completion_mode: u32


@wire()
class FilePipeLocalInformation(Wire):
    """[MS-FSCC] 2.4."""

    named_pipe_type: u32 = PIPE_MESSAGE_MODE
    named_pipe_configuration: u32 = PIPE_FULL_DUPLEX
    maximum_instances: u32 = 0xFFFF_FFFF
    current_instances: u32 = 1
    inbound_quota: u32
    read_data_available: u32
    outbound_quota: u32
    write_quota_available: u32
    named_pipe_state: u32 = PIPE_CONNECTED_STATE
    named_pipe_end: u32 = PIPE_CLIENT_END


@wire()
class FilePipeRemoteInformation(Wire):
    """[MS-FSCC] 2.4."""

    collect_data_time: u64
    maximum_collection_count: u32


@wire()
class FileCompressionInformation(Wire):
    """[MS-FSCC] 2.4."""

    compressed_file_size: u64
    compression_format: u16 = COMPRESSION_FORMAT_NONE
    compression_unit_shift: u8 = 0
    chunk_shift: u8 = 0
    cluster_shift: u8 = 0
    reserved: bytes3 = bytes(3)


@wire()
class FileNetworkOpenInformation(Wire):
    """[MS-FSCC] 2.4."""

    creation_time: filetime
    last_access_time: filetime
    last_write_time: filetime
    change_time: filetime
    allocation_size: u64
    end_of_file: u64
    file_attributes: u32
    reserved: u32 = 0


@wire()
class FileAttributeTagInformation(Wire):
    """[MS-FSCC] 2.4."""

    file_attributes: u32
    reparse_tag: u32 = 0


@wire()
class FileIdInformation(Wire):
    """[MS-FSCC] 2.4."""

    volume_serial_number: u64
    file_id: bytes16


@wire()
class FileStandardLinkInformation(Wire):
    """FILE_STANDARD_LINK_INFORMATION."""

    number_of_accessible_links: u32
    total_number_of_links: u32
    delete_pending: u8
    directory: u8
    reserved: u16 = 0


@wire()
class FileStatInformation(Wire):
    """FILE_STAT_INFORMATION, what Windows' WSL asks for."""

    file_id: u64
    creation_time: filetime
    last_access_time: filetime
    last_write_time: filetime
    change_time: filetime
    allocation_size: u64
    end_of_file: u64
    file_attributes: u32
    reparse_tag: u32
    number_of_links: u32
    effective_access: u32


# LxFlags: which of the Lx fields hold something
LX_HAS_UID: Final = 0x1
LX_HAS_GID: Final = 0x2
LX_HAS_MODE: Final = 0x4
LX_HAS_DEVICE_ID: Final = 0x8
LX_CASE_SENSITIVE_DIR: Final = 0x10


@wire()
class FileStatLxInformation(Wire):
    """FILE_STAT_LX_INFORMATION: FileStatInformation and the Linux side of the inode."""

    file_id: u64
    creation_time: filetime
    last_access_time: filetime
    last_write_time: filetime
    change_time: filetime
    allocation_size: u64
    end_of_file: u64
    file_attributes: u32
    reparse_tag: u32
    number_of_links: u32
    effective_access: u32
    lx_flags: u32
    lx_uid: u32
    lx_gid: u32
    lx_mode: u32
    lx_device_id_major: u32
    lx_device_id_minor: u32


@wire()
class FileCaseSensitiveInformation(Wire):
    """FILE_CASE_SENSITIVE_INFORMATION."""

    flags: u32


Named = TypeVar(
    "Named",
    FileNameInformation,
    FileRenameInformation,
    FileRenameInformationEx,
    FileLinkInformation,
    FileLinkInformationEx,
)


def unpack_named(structure: type[Named], buf: Buffer) -> tuple[Named, str]:
    """The fixed part and the name behind it; bytes after the name are padding.

    WireError if the name leaves *buf* or is no UTF-16.
    """
    head = structure.unpack(buf)
    end = structure.SIZE + head.file_name_length
    if end > len(buf):
        raise WireError(f"name of {head.file_name_length} bytes in {len(buf)}")
    return head, from_utf16(memoryview(buf)[structure.SIZE : end])


def pack_name(name: str) -> bytes:
    """FileNameInformation and its like: the length in bytes, then the name."""
    raw = utf16(name)
    return FileNameInformation(file_name_length=len(raw)).pack() + raw
