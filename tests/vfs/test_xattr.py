"""The layout of user.DOSATTRIB, and the classification of xattr names."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs.xattr import (
    STORED_ATTRIBUTES,
    DosAttrib,
    is_ea,
    pack_dosattrib,
    proc_path,
    unpack_dosattrib,
)
from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_HIDDEN

SECOND = 1_000_000_000
CREATED = 116_444_736_000_000_000 + 10_000_000  # FILETIME one second after 1970

V4 = bytes.fromhex("0000 0400 0400 0000 51000000 22000000") + struct.pack("<QQ", CREATED, CREATED)
V5 = bytes.fromhex("0000 0500 0500 0000 11000000 22000000") + struct.pack("<Q", CREATED)
V3 = (
    b"0x22\0\0"
    + bytes.fromhex("0300 0300 0000 11000000 22000000 00000000")
    + struct.pack("<QQQQ", 0, 0, CREATED, CREATED)
)
V3_EMPTY = bytes.fromhex("0000 0300 0300 0000 11000000 22000000 00000000") + struct.pack(
    "<QQQQ", 0, 0, CREATED, CREATED
)


def test_version_4_is_written() -> None:
    assert pack_dosattrib(ATTR_ARCHIVE | ATTR_HIDDEN | ATTR_DIRECTORY, SECOND) == V4


@pytest.mark.parametrize("blob", [V3, V3_EMPTY, V4, V5], ids=["3", "3 empty", "4", "5"])
def test_versions_3_to_5_are_read(blob: bytes) -> None:
    assert unpack_dosattrib(blob) == DosAttrib(ATTR_ARCHIVE | ATTR_HIDDEN, SECOND)


@pytest.mark.parametrize("blob", [V3, V3_EMPTY, V4, V5], ids=["3", "3 empty", "4", "5"])
def test_every_truncation_is_survived(blob: bytes) -> None:
    for length in range(len(blob)):
        found = unpack_dosattrib(blob[:length])
        assert found.attributes in (None, ATTR_ARCHIVE | ATTR_HIDDEN)


@pytest.mark.parametrize("blob", [b"0x22\0", b"0x22\0\0\xff\xff\xff\xff"])
def test_the_hexadecimal_string_alone_is_read(blob: bytes) -> None:
    assert unpack_dosattrib(blob) == DosAttrib(ATTR_ARCHIVE | ATTR_HIDDEN, None)


def test_what_the_flags_do_not_cover_is_not_said() -> None:
    def with_flags(flags: int) -> DosAttrib:
        return unpack_dosattrib(V4[:8] + struct.pack("<I", flags) + V4[12:])

    assert with_flags(0) == DosAttrib(None, None)
    assert with_flags(0x01) == DosAttrib(ATTR_ARCHIVE | ATTR_HIDDEN, None)
    assert with_flags(0x10) == DosAttrib(None, SECOND)


@given(st.binary(max_size=80))
def test_junk_is_survived(blob: bytes) -> None:
    found = unpack_dosattrib(blob)
    assert found.attributes is None or not found.attributes & ~STORED_ATTRIBUTES


@given(st.integers(0, 0xFFFFFFFF), st.integers(-(10**18), 4 * 10**18))
def test_what_is_packed_is_read(attributes: int, birth: int) -> None:
    found = unpack_dosattrib(pack_dosattrib(attributes, birth))
    assert found == DosAttrib(attributes & STORED_ATTRIBUTES, birth // 100 * 100)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user.comment", True),
        ("user.DOSATTRIB", False),
        ("user.DosStream.a:$DATA", False),
        ("user.SAMBA_PAI", False),
        ("user.ksmbd.NTACL", False),
        ("user.KSMBD.ntacl", False),
        ("user.dosattrib", False),
        ("user.org.netatalk.Metadata", False),
        ("user.é", False),
        ("security.NTACL", False),
        ("system.posix_acl_access", False),
        ("trusted.x", False),
    ],
)
def test_only_user_attributes_not_ours_are_eas(name: str, expected: bool) -> None:
    assert is_ea(name) is expected


def test_the_proc_path() -> None:
    assert proc_path(7) == "/proc/self/fd/7"
