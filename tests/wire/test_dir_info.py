"""Directory listings."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire.chain import entries
from ksmbd.wire.dir_info import LAYOUTS, Listing, fixed_size
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.posix import unix_group_sid, unix_user_sid
from ksmbd.wire.text import EPOCH_1970


@dataclass(slots=True)
class Stat:
    ino: int = 0x1122334455667788
    mode: int = 0o100644
    posix_mode: int = 0o100644
    nlink: int = 1
    rdev: int = 0
    size: int = 22
    allocation: int = 4096
    birth: int = -EPOCH_1970 * 100 + 100  # FILETIME 1
    access: int = -EPOCH_1970 * 100 + 200
    write: int = -EPOCH_1970 * 100 + 300
    change: int = -EPOCH_1970 * 100 + 400
    attributes: int = 0x20


TIMES = "0100000000000000 0200000000000000 0300000000000000 0400000000000000"
HEAD = f"00000000 00000000 {TIMES} 1600000000000000 0010000000000000 20000000 02000000"
INODE = "8877665544332211"
SHORT = "04 00 41004200" + "00" * 20

# NextEntryOffset to the name "a", with EaSize 5, or tag 0xA000000C, and short name "AB"
ENTRIES = {
    FileInfo.DIRECTORY: HEAD,
    FileInfo.FULL_DIRECTORY: f"{HEAD} 0c0000a0",
    FileInfo.BOTH_DIRECTORY: f"{HEAD} 0c0000a0 {SHORT}",
    FileInfo.NAMES: "00000000 00000000 02000000",
    FileInfo.ID_BOTH_DIRECTORY: f"{HEAD} 0c0000a0 {SHORT} 0000 {INODE}",
    FileInfo.ID_FULL_DIRECTORY: f"{HEAD} 0c0000a0 00000000 {INODE}",
    FileInfo.ID_EXTD_DIRECTORY: f"{HEAD} 05000000 0c0000a0 {INODE} 0000000000000000",
    FileInfo.ID_EXTD_BOTH_DIRECTORY: f"{HEAD} 05000000 0c0000a0 {INODE} 0000000000000000 {SHORT}",
    FileInfo.ID_64_EXTD_DIRECTORY: f"{HEAD} 05000000 0c0000a0 {INODE}",
    FileInfo.ID_64_EXTD_BOTH_DIRECTORY: f"{HEAD} 05000000 0c0000a0 {INODE} {SHORT}",
    FileInfo.ID_ALL_EXTD_DIRECTORY: (f"{HEAD} 05000000 0c0000a0 {INODE} {INODE} 0000000000000000"),
    FileInfo.ID_ALL_EXTD_BOTH_DIRECTORY: (
        f"{HEAD} 05000000 0c0000a0 {INODE} {INODE} 0000000000000000 {SHORT}"
    ),
}


@pytest.mark.parametrize("info_class", ENTRIES, ids=lambda c: c.name)
def test_an_entry_of_each_class(info_class: FileInfo) -> None:
    raw = bytes.fromhex(ENTRIES[info_class]) + b"a\0"
    listing = Listing(info_class, len(raw))
    assert listing.add("a", Stat(), 5, 0xA000000C, b"A\0B\0")
    assert listing.finish().hex(" ") == raw.hex(" ")
    assert fixed_size(info_class) == len(raw) - 2
    short = Listing(info_class, len(raw) - 1)
    assert not short.add("a", Stat(), 5, 0xA000000C, b"A\0B\0")
    assert (short.count, bytes(short.finish())) == (0, b"")


def test_every_class_is_tested() -> None:
    assert {*ENTRIES, FileInfo.POSIX} == set(LAYOUTS)


def test_without_a_tag_the_ea_size_is_told() -> None:
    listing = Listing(FileInfo.ID_FULL_DIRECTORY, 100)
    listing.add("a", Stat(), ea_size=5)
    assert struct.unpack_from("<64xI", listing.finish()) == (5,)


def test_entries_are_aligned_to_eight_and_the_last_is_not_padded() -> None:
    listing = Listing(FileInfo.NAMES, 1000)
    for name in ("a", "bcd", "ef"):
        assert listing.add(name, Stat())
    assert listing.finish() == bytes.fromhex(
        "10000000 00000000 02000000 6100 0000"
        " 18000000 00000000 06000000 620063006400 000000000000"
        " 00000000 00000000 04000000 65006600"
    )
    assert listing.count == 3


def test_an_entry_that_does_not_fit_leaves_the_listing_as_it_was() -> None:
    listing = Listing(FileInfo.NAMES, 16 + 12 + 5)
    assert listing.add("a", Stat())
    assert not listing.add("bcd", Stat())
    assert listing.add("bc", Stat())
    assert not listing.add("", Stat())
    assert len(listing.finish()) == 16 + 12 + 4


def test_entries_are_appended_to_a_buffer_and_aligned_from_there() -> None:
    buffer = bytearray(b"\xff" * 7)
    listing = Listing(FileInfo.NAMES, 28, buffer)
    assert listing.add("a", Stat())
    assert not listing.add("abc", Stat())
    assert listing.add("", Stat())
    assert listing.finish() == bytes.fromhex(
        "10000000 00000000 02000000 6100 0000 00000000 00000000 00000000"
    )
    assert buffer[:7] == b"\xff" * 7


def test_an_empty_listing_is_no_bytes() -> None:
    assert bytes(Listing(FileInfo.NAMES, 100).finish()) == b""


def test_a_directory_has_no_size_and_a_plain_file_is_normal() -> None:
    listing = Listing(FileInfo.DIRECTORY, 200)
    listing.add("a", Stat(attributes=0x12))
    listing.add("b", Stat(attributes=0))
    first, second = entries(listing.finish(), fixed=64, align=8)
    assert struct.unpack_from("<40xQQI", first) == (0, 0, 0x12)
    assert struct.unpack_from("<40xQQI", second) == (22, 4096, 0x80)


def test_times_out_of_range_are_clamped() -> None:
    listing = Listing(FileInfo.ID_BOTH_DIRECTORY, 200)
    assert listing.add("a", Stat(birth=-(2**64), access=2**90, write=0))
    times = struct.unpack_from("<8xQQQQ", listing.finish())
    assert times == (0, 2**63 - 1, EPOCH_1970, 4)


def test_macos_reads_its_own_fields() -> None:
    listing = Listing(FileInfo.ID_BOTH_DIRECTORY, 106)
    assert listing.add_aapl(
        "a",
        Stat(ino=9),
        number=Stat().ino,
        max_access=0x1F01FF,
        resource_size=3,
        finder_info=bytes(range(16)),
    )
    assert listing.finish().hex() == (
        bytes.fromhex(
            f"{HEAD} ff011f00 18 00 0300000000000000 000102030405060708090a0b0c0d0e0f"
            f" a481 {INODE} 6100"
        ).hex()
    )
    assert not listing_of_105().add_aapl(
        "a", Stat(), number=1, max_access=0, resource_size=0, finder_info=bytes(16)
    )


def listing_of_105() -> Listing:
    return Listing(FileInfo.ID_BOTH_DIRECTORY, 105)


POSIX = (
    f"00000000 00000000 {TIMES} 1600000000000000 0010000000000000 20000000 {INODE}"
    " 01080000 00000000 01000000 00000000 a4010000"
    " 0102000000000016 01000000 e8030000 0102000000000016 02000000 64000000 02000000 6100"
)


def test_an_entry_of_the_posix_extensions() -> None:
    raw = bytes.fromhex(POSIX)
    owner, group = unix_user_sid(1000), unix_group_sid(100)
    listing = Listing(FileInfo.POSIX, len(raw))
    assert listing.add_posix("a", Stat(rdev=0x801), owner=owner, group=group)
    assert not listing.add_posix("a", Stat(), owner=owner, group=group)
    assert listing.finish().hex(" ") == raw.hex(" ")
    assert fixed_size(FileInfo.POSIX) == 88


def test_a_posix_entry_needs_its_owner() -> None:
    with pytest.raises(TypeError):
        Listing(FileInfo.POSIX, 1000).add("a", Stat())


def test_another_class_is_unknown() -> None:
    assert FileInfo.BASIC not in LAYOUTS
    with pytest.raises(KeyError):
        fixed_size(FileInfo.BASIC)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30)),
    st.sampled_from(sorted(ENTRIES)),
    st.integers(0, 2000),
)
def test_names_survive_and_never_pass_the_limit(
    names: list[str], info_class: FileInfo, limit: int
) -> None:
    listing = Listing(info_class, limit)
    added = [name for name in names if listing.add(name, Stat())]
    raw = listing.finish()
    assert len(raw) <= limit
    assert listing.count == len(added)
    fixed = fixed_size(info_class)
    at = 8 if info_class == FileInfo.NAMES else 60
    found = []
    for entry in entries(raw, fixed=fixed, align=8):
        length = int.from_bytes(entry[at : at + 4], "little")
        found.append(bytes(entry[fixed : fixed + length]).decode("utf-16-le"))
        assert not any(entry[fixed + length :])
    assert found == added
