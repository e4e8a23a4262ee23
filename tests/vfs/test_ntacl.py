"""security.NTACL, checked against what Samba 4.25 wrote."""

from __future__ import annotations

import hashlib
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs import ntacl, posix_acl
from ksmbd.vfs.posix_acl import Entry
from ksmbd.wire.base import WireError
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    DACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from tests.vfs.samba_files import FILES, VERSION_3, SambaFile

SD = SecurityDescriptor(
    SELF_RELATIVE | DACL_PRESENT,
    Sid(22, 1, 0),
    Sid(22, 2, 0),
    None,
    Acl((Ace(ACCESS_ALLOWED, 0, 0x1200A9, Sid(1, 0)),)),
)
HASH = bytes(range(32))


def hash_of(file: SambaFile) -> bytes:
    default: tuple[Entry, ...] | None = None
    if stat.S_ISDIR(file.mode):
        default = posix_acl.unpack(file.default) if file.default else ()
    access = posix_acl.unpack(file.access)
    return ntacl.permissions_hash(file.uid, file.gid, file.mode, access, default)


@pytest.mark.parametrize("name", FILES)
def test_sambas_blob_is_read(name: str) -> None:
    found = ntacl.decode(FILES[name].ntacl)
    assert found.version == 4
    assert str(found.sd.owner) == "S-1-5-21-110338104-2132315085-789316477-1000"
    assert str(found.sd.group) == "S-1-5-21-110338104-2132315085-789316477-513"
    assert found.sd.dacl is not None
    assert found.sd.dacl.aces


def test_the_entries_of_sambas_blob_are_those_that_were_set() -> None:
    dacl = ntacl.decode(FILES["file_with_deny"].ntacl).sd.dacl
    assert dacl is not None
    assert [(ace.type, ace.mask, ace.sid.rid if ace.sid else None) for ace in dacl.aces] == [
        (1, 0x120116, 1001),
        (0, 0x1200A9, 0),
        (0, 0x1200A9, 513),
        (0, 0x1F01FF, 1000),
    ]


@pytest.mark.parametrize("name", FILES)
def test_our_hash_of_the_posix_permissions_is_sambas(name: str) -> None:
    assert ntacl.decode(FILES[name].ntacl).posix_hash == hash_of(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_our_blob_is_sambas_but_for_the_hash_of_its_own_mapping(name: str) -> None:
    theirs = FILES[name].ntacl
    ours = ntacl.encode(ntacl.decode(theirs).sd, hash_of(FILES[name]))
    assert ours[:14] == theirs[:14]
    assert ours[78:] == theirs[78:]
    assert ours[14:78] == hashlib.sha256(ours[160:]).digest() + bytes(32)


def test_the_permissions_hash_knows_every_field() -> None:
    access = posix_acl.from_mode(0o644)
    arguments = (1, 2, 0o100644, access, None)
    changed = [
        (3, 2, 0o100644, access, None),
        (1, 3, 0o100644, access, None),
        (1, 2, 0o100600, access, None),
        (1, 2, 0o100644, posix_acl.from_mode(0o600), None),
        (1, 2, 0o100644, access, ()),
        (1, 2, 0o100644, access, access),
        (1, 2, 0o100644, (*access, Entry(posix_acl.USER, 4, 5)), None),
        (1, 2, 0o100644, (*access, Entry(posix_acl.USER, 4, 6)), None),
        (1, 2, 0o100644, (*access, Entry(posix_acl.GROUP, 4, 5)), None),
        (1, 2, 0o100644, (*access, Entry(posix_acl.MASK, 4)), None),
    ]
    hashes = {ntacl.permissions_hash(*case) for case in (arguments, *changed)}
    assert len(hashes) == 1 + len(changed)


def older(version: int) -> bytes:
    """SD as Samba stored it in *version*."""
    head = bytes((version, 0, version, 0)) + b"\0\0\x02\0"
    if version > 1:
        head += b"\x04\0\x02\0"
    if version == 2:
        head += bytes(16)
    if version == 3:
        head += b"\x01\0" + bytes(64) + b"\0\0"
    return head + SD.pack(base=len(head))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_older_versions_are_read_and_carry_no_posix_hash(version: int) -> None:
    assert ntacl.decode(older(version)) == (SD, version, None)


def test_sambas_version_3_is_read() -> None:
    found = ntacl.decode(VERSION_3)
    assert (found.version, found.posix_hash) == (3, None)
    assert str(found.sd.group) == "S-1-22-2-2001"
    assert found.sd.dacl is not None
    assert len(found.sd.dacl.aces) == 5


@pytest.mark.parametrize("description", [b"", b"x", b"zfs_acl", b"a much longer description"])
def test_a_description_of_any_length_is_passed_over(description: bytes) -> None:
    blob = ntacl.encode(SD, HASH)
    head = blob[:78] + description + b"\0"
    head += bytes(-len(head) % 4) + bytes(8) + blob[96:160]
    head += bytes(-len(head) % 4)
    assert ntacl.decode(head + SD.pack(base=len(head))) == (SD, 4, HASH)


@pytest.mark.parametrize("blob", [ntacl.encode(SD, HASH), older(1), older(2), older(3)])
def test_every_truncation_is_refused(blob: bytes) -> None:
    for length in range(len(blob)):
        with pytest.raises(WireError):
            ntacl.decode(blob[:length])


BLOB = ntacl.encode(SD, HASH)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"\x05\0\x05\0"),
        (0, b"\0\0\0\0"),
        (0, b"\x03\0"),  # union tag of another version
        (4, bytes(4)),
        (8, bytes(4)),
        (78, b"x" * (len(BLOB) - 78)),  # a description without end
        (160, b"\x02"),
        (164, b"\xa0\0\0\0"),  # owner inside the descriptor's header
        (164, b"\x10\0\0\0"),  # owner inside the NTACL's header
        (164, b"\xff\xff\xff\xff"),
        (164 + 16 + 1, b"\xff"),
    ],
)
def test_a_lying_field_is_refused(at: int, value: bytes) -> None:
    with pytest.raises(WireError):
        ntacl.decode(BLOB[:at] + value + BLOB[at + len(value) :])


def test_a_descriptor_too_long_for_its_size_fields_is_refused() -> None:
    ace = Ace(ACCESS_ALLOWED, 0, 1, Sid(1, 0))
    with pytest.raises(WireError):
        ntacl.encode(SD._replace(dacl=Acl((ace,) * 4000)), HASH)


def test_a_large_value_is_read_too() -> None:
    ace = Ace(ACCESS_ALLOWED, 0, 1, Sid(1, 0))
    large = SD._replace(dacl=Acl((ace,) * 3000))
    assert ntacl.decode(ntacl.encode(large, HASH)) == (large, 4, HASH)


@given(st.integers(0, len(BLOB) - 1), st.integers(0, 255))
def test_one_wrong_byte_yields_a_value_or_a_wire_error(at: int, value: int) -> None:
    blob = BLOB[:at] + bytes([value]) + BLOB[at + 1 :]
    try:
        found = ntacl.decode(blob)
    except WireError:
        return
    assert found.version == 4
