"""The POSIX extensions."""

from __future__ import annotations

import stat

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.posix import (
    FilePosixInformation,
    PosixCreateResponse,
    unix_group_sid,
    unix_user_sid,
    wire_mode,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        FilePosixInformation(
            creation_time=1,
            last_access_time=2,
            last_write_time=3,
            change_time=4,
            end_of_file=5,
            allocation_size=4096,
            dos_attributes=0x20,
            inode=0x1122334455667788,
            device_id=0x801,
            number_of_links=2,
            reparse_tag=0,
            mode=0o644,
        ),
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000"
        " 0010000000000000 20000000 8877665544332211 01080000 00000000 02000000 00000000 a4010000",
    ),
    (PosixCreateResponse(number_of_links=1, mode=0o755), "01000000 00000000 ed010000"),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


def test_sids_of_unix_ids() -> None:
    assert unix_user_sid(1000) == bytes.fromhex("01 02 000000000016 01000000 e8030000")
    assert unix_group_sid(0xFFFFFFFE) == bytes.fromhex("01 02 000000000016 02000000 feffffff")


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (stat.S_IFREG, 0),
        (stat.S_IFDIR, 1),
        (stat.S_IFLNK, 2),
        (stat.S_IFCHR, 3),
        (stat.S_IFBLK, 4),
        (stat.S_IFIFO, 5),
        (stat.S_IFSOCK, 6),
    ],
)
def test_the_file_type_is_in_the_bits_above_the_permissions(kind: int, number: int) -> None:
    assert wire_mode(kind | 0o4755) == 0o4755 | number << 12
