"""Reparse points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire.base import WireError
from ksmbd.wire.reparse import (
    IO_REPARSE_TAG_SYMLINK,
    NFS_BLK,
    NFS_CHR,
    NFS_FIFO,
    NFS_LNK,
    NFS_SOCK,
    MountPointData,
    NfsData,
    ReparsePoint,
    SymlinkData,
    pack_lx_symlink,
    unpack_lx_symlink,
)

SYMLINK = "0000 0400 0400 0200 01000000 61006200 6300"


def test_a_symlink() -> None:
    value = SymlinkData("ab", "c", relative=True)
    assert value.pack() == bytes.fromhex(SYMLINK)
    assert SymlinkData.unpack(bytes.fromhex(SYMLINK)) == value


def test_a_reparse_point_counts_its_data() -> None:
    raw = bytes.fromhex("0c0000a0 1200 0000" + SYMLINK)
    point = ReparsePoint(IO_REPARSE_TAG_SYMLINK, bytes.fromhex(SYMLINK))
    assert point.pack() == raw
    assert ReparsePoint.unpack(raw) == point
    for length in range(len(raw)):
        with pytest.raises(WireError):
            ReparsePoint.unpack(raw[:length])
    with pytest.raises(WireError):
        ReparsePoint.unpack(raw + b"\0")


def test_a_tag_of_another_vendor_has_a_guid() -> None:
    raw = bytes.fromhex("78563412 0200 0000 000102030405060708090a0b0c0d0e0f aabb")
    point = ReparsePoint(0x12345678, b"\xaa\xbb", bytes(range(16)))
    assert ReparsePoint.unpack(raw) == point
    assert point.pack() == raw


@pytest.mark.parametrize("tag", [0, 1, 2])
def test_a_reserved_tag_is_refused(tag: int) -> None:
    with pytest.raises(WireError):
        ReparsePoint.unpack(ReparsePoint(tag, b"", bytes(16)).pack())


def test_more_than_16_kib_are_refused() -> None:
    assert ReparsePoint.unpack(ReparsePoint(0x80000014, bytes(16384 - 8)).pack())
    with pytest.raises(WireError):
        ReparsePoint.unpack(ReparsePoint(0x80000014, bytes(16384 - 7)).pack())


@pytest.mark.parametrize(
    "hexbytes",
    [
        "",
        "0000 0000 0000 0000 000000",
        "0000 0600 0000 0000 00000000 61006200",
        "0200 0400 0000 0000 00000000 61006200",
        "0000 0400 0400 0200 00000000 61006200",
        "0000 0300 0000 0000 00000000 61006200",  # half a character
        "ffff ffff 0000 0000 00000000 61006200",
    ],
)
def test_symlink_names_outside_their_buffer_are_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        SymlinkData.unpack(bytes.fromhex(hexbytes))


def test_a_mount_point_ends_its_names() -> None:
    raw = bytes.fromhex("0000 0200 0400 0200 6100 0000 6200 0000")
    assert MountPointData("a", "b").pack() == raw
    assert MountPointData.unpack(raw) == MountPointData("a", "b")


@pytest.mark.parametrize(
    ("value", "hexbytes"),
    [
        (NfsData(NFS_LNK, target="a"), "4c4e4b0100000000 6100"),
        (NfsData(NFS_CHR, major=1, minor=3), "4348520000000000 01000000 03000000"),
        (NfsData(NFS_BLK, major=8, minor=0), "424c4b0000000000 08000000 00000000"),
        (NfsData(NFS_FIFO), "4649464f00000000"),
        (NfsData(NFS_SOCK), "534f434b00000000"),
    ],
)
def test_nfs(value: NfsData, hexbytes: str) -> None:
    raw = bytes.fromhex(hexbytes)
    assert value.pack() == raw
    assert NfsData.unpack(raw) == value
    for wrong in (raw[:-1], raw + b"\0"):
        with pytest.raises(WireError):
            NfsData.unpack(wrong)


@pytest.mark.parametrize("hexbytes", ["", "4c4e4b0100000000", "0000000000000000"])
def test_an_unknown_or_empty_nfs_type_is_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        NfsData.unpack(bytes.fromhex(hexbytes))


def test_an_lx_symlink_is_utf8() -> None:
    raw = bytes.fromhex("02000000 c3a42f62")
    assert pack_lx_symlink("ä/b") == raw
    assert unpack_lx_symlink(raw) == "ä/b"


@pytest.mark.parametrize("hexbytes", ["", "02000000", "01000000 61", "02000000 ff"])
def test_another_lx_symlink_is_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        unpack_lx_symlink(bytes.fromhex(hexbytes))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_symlinks_survive(name: str, relative: bool) -> None:
    value = SymlinkData(name, name[::-1], relative)
    assert SymlinkData.unpack(value.pack()) == value
    assert MountPointData.unpack(MountPointData(name, name).pack()) == (name, name)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_by_wire_error_only(raw: bytes) -> None:
    for unpack in (SymlinkData.unpack, MountPointData.unpack, NfsData.unpack, ReparsePoint.unpack):
        try:
            unpack(raw)
        except WireError:
            pass
