"""File system information classes."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.fs_info import (
    DEVICE_DISK,
    DEVICE_IS_MOUNTED,
    FileFsAttributeInformation,
    FileFsControlInformation,
    FileFsDeviceInformation,
    FileFsFullSizeInformation,
    FileFsLabelInformation,
    FileFsObjectIdInformation,
    FileFsSectorSizeInformation,
    FileFsSizeInformation,
    FileFsVolumeInformation,
    FilePosixFsInformation,
    FsInfo,
    pack_attribute,
    pack_volume,
    unpack_label,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        FileFsVolumeInformation(
            volume_creation_time=1, volume_serial_number=0xDEADBEEF, volume_label_length=4
        ),
        "0100000000000000 efbeadde 04000000 00 00",
    ),
    (FileFsLabelInformation(volume_label_length=4), "04000000"),
    (
        FileFsSizeInformation(
            total_allocation_units=1000,
            available_allocation_units=500,
            sectors_per_allocation_unit=8,
            bytes_per_sector=512,
        ),
        "e803000000000000 f401000000000000 08000000 00020000",
    ),
    (
        FileFsDeviceInformation(device_type=DEVICE_DISK, characteristics=DEVICE_IS_MOUNTED),
        "07000000 20000000",
    ),
    (
        FileFsAttributeInformation(file_system_attributes=0x4000F, file_system_name_length=8),
        "0f000400 ff000000 08000000",
    ),
    (
        FileFsControlInformation(),
        "00" * 24 + " ffffffffffffffff ffffffffffffffff 00000000 00000000",
    ),
    (
        FileFsFullSizeInformation(
            total_allocation_units=1000,
            caller_available_allocation_units=400,
            actual_available_allocation_units=500,
            sectors_per_allocation_unit=8,
            bytes_per_sector=512,
        ),
        "e803000000000000 9001000000000000 f401000000000000 08000000 00020000",
    ),
    (
        FileFsObjectIdInformation(object_id=bytes(range(16))),
        "000102030405060708090a0b0c0d0e0f" + " 00" * 48,
    ),
    (
        FileFsSectorSizeInformation(
            logical_bytes_per_sector=512,
            physical_bytes_per_sector_for_atomicity=4096,
            physical_bytes_per_sector_for_performance=4096,
            file_system_effective_physical_bytes_per_sector_for_atomicity=4096,
        ),
        "00020000 00100000 00100000 00100000 03000000 00000000 00000000",
    ),
    (
        FilePosixFsInformation(
            optimal_transfer_size=65536,
            block_size=4096,
            total_blocks=1,
            blocks_available=2,
            user_blocks_available=3,
            total_file_nodes=4,
            free_file_nodes=5,
            file_system_identifier=6,
        ),
        "00000100 00100000 0100000000000000 0200000000000000 0300000000000000"
        " 0400000000000000 0500000000000000 0600000000000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


def test_class_numbers() -> None:
    assert [int(c) for c in FsInfo] == [*range(1, 12), 100]


def test_a_volume_has_a_label() -> None:
    assert pack_volume("ab", 1) == bytes.fromhex(
        "0000000000000000 01000000 04000000 00 00 61006200"
    )


def test_the_attributes_name_the_file_system() -> None:
    assert pack_attribute("NTFS", 7) == bytes.fromhex("07000000 ff000000 08000000 4e00540046005300")


def test_a_label_is_read_strictly() -> None:
    raw = bytes.fromhex("04000000 61006200")
    assert unpack_label(raw) == "ab"
    for length in range(len(raw)):
        with pytest.raises(WireError):
            unpack_label(raw[:length])
