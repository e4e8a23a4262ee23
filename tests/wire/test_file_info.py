"""File information classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.file_info import (
    TIME_FREEZE,
    FileAccessInformation,
    FileAlignmentInformation,
    FileAllInformation,
    FileAllocationInformation,
    FileAttributeTagInformation,
    FileBasicInformation,
    FileCaseSensitiveInformation,
    FileCompressionInformation,
    FileDispositionInformation,
    FileDispositionInformationEx,
    FileEaInformation,
    FileEndOfFileInformation,
    FileIdInformation,
    FileInfo,
    FileInternalInformation,
    FileLinkInformation,
    FileLinkInformationEx,
    FileModeInformation,
    FileNameInformation,
    FileNetworkOpenInformation,
    FilePipeInformation,
    FilePipeLocalInformation,
    FilePipeRemoteInformation,
    FilePositionInformation,
    FileRenameInformation,
    FileRenameInformationEx,
    FileStandardInformation,
    FileStandardLinkInformation,
    FileStatInformation,
    FileStatLxInformation,
    FileValidDataLengthInformation,
    pack_name,
    unpack_named,
)
from tests.wire.vectors import check, name

TIMES = {"creation_time": 1, "last_access_time": 2, "last_write_time": 3, "change_time": 4}
TIMESH = "0100000000000000 0200000000000000 0300000000000000 0400000000000000"
SIZES = {"allocation_size": 4096, "end_of_file": 22}
SIZESH = "0010000000000000 1600000000000000"
STAT = {"file_id": 7, "file_attributes": 0x20, "reparse_tag": 0, "number_of_links": 1}
STATH = f"0700000000000000 {TIMESH} {SIZESH} 20000000 00000000 01000000 ff011f00"

VECTORS = [
    (FileBasicInformation(**TIMES, file_attributes=0x20), f"{TIMESH} 20000000 00000000"),
    (
        FileBasicInformation(
            creation_time=0,
            last_access_time=TIME_FREEZE,
            last_write_time=TIME_FREEZE - 1,
            change_time=0,
            file_attributes=0,
        ),
        "0000000000000000 ffffffffffffffff feffffffffffffff 0000000000000000 00000000 00000000",
    ),
    (
        FileStandardInformation(**SIZES, number_of_links=2, delete_pending=1, directory=0),
        f"{SIZESH} 02000000 01 00 0000",
    ),
    (FileInternalInformation(index_number=0x1234), "3412000000000000"),
    (FileEaInformation(ea_size=44), "2c000000"),
    (FileAccessInformation(access_flags=0x1F01FF), "ff011f00"),
    (FileNameInformation(file_name_length=6), "06000000"),
    (
        FileRenameInformation(replace_if_exists=1, file_name_length=6),
        "01 00000000000000 0000000000000000 06000000",
    ),
    (
        FileRenameInformationEx(flags=3, file_name_length=6),
        "03000000 00000000 0000000000000000 06000000",
    ),
    (
        FileLinkInformation(replace_if_exists=1, file_name_length=6),
        "01 00000000000000 0000000000000000 06000000",
    ),
    (
        FileLinkInformationEx(flags=1, file_name_length=6),
        "01000000 00000000 0000000000000000 06000000",
    ),
    (FileDispositionInformation(delete_pending=1), "01"),
    (FileDispositionInformationEx(flags=0x13), "13000000"),
    (FilePositionInformation(current_byte_offset=22), "1600000000000000"),
    (FileModeInformation(mode=0x22), "22000000"),
    (FileAlignmentInformation(), "00000000"),
    (
        FileAllInformation(
            **TIMES,
            **SIZES,
            file_attributes=0x10,
            number_of_links=1,
            delete_pending=0,
            directory=1,
            index_number=7,
            ea_size=5,
            access_flags=0x1F01FF,
            current_byte_offset=8,
            mode=2,
            file_name_length=2,
        ),
        f"{TIMESH} 10000000 00000000 {SIZESH} 01000000 00 01 0000 0700000000000000 05000000"
        " ff011f00 0800000000000000 02000000 00000000 02000000",
    ),
    (FileAllocationInformation(allocation_size=4096), "0010000000000000"),
    (FileEndOfFileInformation(end_of_file=22), "1600000000000000"),
    (FileValidDataLengthInformation(valid_data_length=22), "1600000000000000"),
    (FilePipeInformation(read_mode=1, completion_mode=0), "01000000 00000000"),
    (
        FilePipeLocalInformation(
            inbound_quota=4096,
            read_data_available=5,
            outbound_quota=4096,
            write_quota_available=4096,
        ),
        "01000000 02000000 ffffffff 01000000 00100000 05000000 00100000 00100000 03000000 00000000",
    ),
    (
        FilePipeRemoteInformation(collect_data_time=1, maximum_collection_count=2),
        "0100000000000000 02000000",
    ),
    (
        FileCompressionInformation(compressed_file_size=22),
        "1600000000000000 0000 00 00 00 000000",
    ),
    (
        FileNetworkOpenInformation(**TIMES, **SIZES, file_attributes=0x20),
        f"{TIMESH} {SIZESH} 20000000 00000000",
    ),
    (
        FileAttributeTagInformation(file_attributes=0x400, reparse_tag=0xA000000C),
        "00040000 0c0000a0",
    ),
    (
        FileIdInformation(volume_serial_number=1, file_id=bytes(range(16))),
        "0100000000000000 000102030405060708090a0b0c0d0e0f",
    ),
    (
        FileStandardLinkInformation(
            number_of_accessible_links=1, total_number_of_links=2, delete_pending=0, directory=0
        ),
        "01000000 02000000 00 00 0000",
    ),
    (FileStatInformation(**TIMES, **SIZES, **STAT, effective_access=0x1F01FF), STATH),
    (
        FileStatLxInformation(
            **TIMES,
            **SIZES,
            **STAT,
            effective_access=0x1F01FF,
            lx_flags=7,
            lx_uid=1000,
            lx_gid=100,
            lx_mode=0o100644,
            lx_device_id_major=8,
            lx_device_id_minor=1,
        ),
        f"{STATH} 07000000 e8030000 64000000 a4810000 08000000 01000000",
    ),
    (FileCaseSensitiveInformation(flags=1), "01000000"),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (4, FileInfo.BASIC),
        (10, FileInfo.RENAME),
        (15, FileInfo.FULL_EA),
        (18, FileInfo.ALL),
        (22, FileInfo.STREAM),
        (34, FileInfo.NETWORK_OPEN),
        (37, FileInfo.ID_BOTH_DIRECTORY),
        (46, FileInfo.HARD_LINK),
        (48, FileInfo.NORMALIZED_NAME),
        (59, FileInfo.ID),
        (64, FileInfo.DISPOSITION_EX),
        (70, FileInfo.STAT_LX),
        (100, FileInfo.POSIX),
    ],
)
def test_class_numbers(number: int, kind: FileInfo) -> None:
    assert FileInfo(number) is kind


RENAME = "01 00000000000000 0000000000000000 06000000 61005c006200"


def test_a_rename_carries_the_new_name() -> None:
    head, new = unpack_named(FileRenameInformation, bytes.fromhex(RENAME + "0000 0000"))
    assert (head.replace_if_exists, head.root_directory, new) == (1, 0, "a\\b")
    raw = bytes.fromhex(RENAME)
    for length in range(len(raw)):
        with pytest.raises(WireError):
            unpack_named(FileRenameInformation, raw[:length])


@pytest.mark.parametrize("hexbytes", ["ffffffff 6100", "03000000 61006200", "02000000 00d8"])
def test_a_name_that_is_none_is_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        unpack_named(FileNameInformation, bytes.fromhex(hexbytes))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_names_survive(new: str) -> None:
    assert unpack_named(FileNameInformation, pack_name(new))[1] == new
