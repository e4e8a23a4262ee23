"""Security descriptors on the wire, [MS-DTYP] 2.4.2 - 2.4.6."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire import security
from ksmbd.wire.base import WireError
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_ALLOWED_CALLBACK,
    ACCESS_ALLOWED_OBJECT,
    ACCESS_DENIED,
    CONTAINER_INHERIT,
    DACL_AUTO_INHERITED,
    DACL_PRESENT,
    DACL_PROTECTED,
    INHERITED_ACE,
    OBJECT_INHERIT,
    RM_CONTROL_VALID,
    SACL_PRESENT,
    SELF_RELATIVE,
    SYSTEM_AUDIT,
    SYSTEM_MANDATORY_LABEL,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)

USER = Sid.parse("S-1-5-21-3623811015-3361044348-30300820-1013")
ADMINISTRATORS = Sid.parse("S-1-5-32-544")
SYSTEM = Sid.parse("S-1-5-18")
EVERYONE = Sid.parse("S-1-1-0")

# O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICIID;0x1200a9;;;S-1-5-21-…-1013), built by hand in the
# order Windows writes: the DACL before the SIDs, slack behind the last ACE
WINDOWS = bytes.fromhex(
    "01000494"  # revision, sbz1, control SR|PD|AI|DP
    "5800000068000000"  # owner, group
    "0000000014000000"  # no SACL, DACL
    "0200440002000000"  # ACL revision 2, 68 bytes, 2 ACEs
    "00031400ff011f00010100000000000512000000"
    "00132400a9001200010500000000000515000000c7fdfed77c6755c85458ce01f5030000"
    "00000000"  # slack inside AclSize
    "01020000000000052000000020020000"
    "010100000000000512000000"
)
WINDOWS_VALUE = SecurityDescriptor(
    SELF_RELATIVE | DACL_PROTECTED | DACL_AUTO_INHERITED | DACL_PRESENT,
    ADMINISTRATORS,
    SYSTEM,
    None,
    Acl(
        (
            Ace(ACCESS_ALLOWED, OBJECT_INHERIT | CONTAINER_INHERIT, 0x1F01FF, SYSTEM),
            Ace(
                ACCESS_ALLOWED,
                OBJECT_INHERIT | CONTAINER_INHERIT | INHERITED_ACE,
                0x1200A9,
                Sid.parse("S-1-5-21-3623812551-3361040252-30300244-1013"),
            ),
        )
    ),
)

# as Samba lays it out: owner, group, then the DACL
SAMBA = bytes.fromhex(
    "01000480"
    "1400000030000000"
    "000000004c000000"
    "0105000000000005150000007d030c2f38a09306cd8b187fe8030000"
    "0105000000000005150000007d030c2f38a09306cd8b187f01020000"
    "02004000020000000000140000001200010100000000000100000000"
    "00002400ff011f000105000000000005150000007d030c2f38a09306cd8b187fe8030000"
)


def test_a_descriptor_in_windows_layout_is_read() -> None:
    assert SecurityDescriptor.unpack(WINDOWS) == WINDOWS_VALUE


def test_a_descriptor_in_sambas_layout_is_read_and_written_byte_for_byte() -> None:
    sd = SecurityDescriptor.unpack(SAMBA)
    assert str(sd.owner) == "S-1-5-21-789316477-110338104-2132315085-1000"
    assert str(sd.group) == "S-1-5-21-789316477-110338104-2132315085-513"
    assert sd.dacl is not None
    assert [str(ace.sid) for ace in sd.dacl.aces] == ["S-1-1-0", str(sd.owner)]
    assert sd.pack() == SAMBA


@pytest.mark.parametrize("whole", [WINDOWS, SAMBA], ids=["windows", "samba"])
def test_every_truncation_is_refused(whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises(WireError):
            SecurityDescriptor.unpack(whole[:length])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind: type) -> None:
    assert SecurityDescriptor.unpack(kind(WINDOWS)) == WINDOWS_VALUE


def patched(at: int, value: bytes) -> bytes:
    """SAMBA with *value* written at *at*."""
    return SAMBA[:at] + value + SAMBA[at + len(value) :]


OWNER_AT, GROUP_AT, DACL_AT = 20, 48, 76
ACE_AT = DACL_AT + 8

LIES = {
    "revision 2": (0, b"\x02"),
    "not self-relative": (2, b"\x04\x00"),
    "owner in the header": (4, b"\x04\0\0\0"),
    "owner at the header's last byte": (4, b"\x13\0\0\0"),
    "owner at the end": (4, (140).to_bytes(4, "little")),
    "owner past the end": (4, b"\xff\xff\xff\x7f"),
    "owner at 4 GiB": (4, b"\xff\xff\xff\xff"),
    "group too near the end": (8, (134).to_bytes(4, "little")),
    "DACL in the header": (16, b"\x08\0\0\0"),
    "DACL too near the end": (16, (133).to_bytes(4, "little")),
    "DACL on a SID": (16, b"\x14\0\0\0"),
    "SID of revision 0": (OWNER_AT, b"\0"),
    "SID of 16 sub-authorities": (OWNER_AT + 1, b"\x10"),
    "SID of 255 sub-authorities": (OWNER_AT + 1, b"\xff"),
    "ACL of revision 1": (DACL_AT, b"\x01"),
    "ACL of revision 9": (DACL_AT, b"\x09"),
    "AclSize 0": (DACL_AT + 2, b"\0\0"),
    "AclSize 7": (DACL_AT + 2, b"\x07\0"),
    "AclSize past the end": (DACL_AT + 2, b"\x44\0"),
    "AclSize 65535": (DACL_AT + 2, b"\xff\xff"),
    "AclSize short of its ACEs": (DACL_AT + 2, b"\x3c\0"),
    "one ACE too many": (DACL_AT + 4, b"\x03\0"),
    "65535 ACEs": (DACL_AT + 4, b"\xff\xff"),
    "AceSize 0": (ACE_AT + 2, b"\0\0"),
    "AceSize 4": (ACE_AT + 2, b"\x04\0"),
    "AceSize 12": (ACE_AT + 2, b"\x0c\0"),
    "AceSize odd": (ACE_AT + 2, b"\x13\0"),
    "AceSize no multiple of four": (ACE_AT + 2, b"\x16\0"),
    "AceSize more than the ACL": (ACE_AT + 2, b"\x00\x01"),
    "SID longer than its ACE": (ACE_AT + 9, b"\x02"),
    "SID in an ACE of 255": (ACE_AT + 9, b"\xff"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_field_is_refused(lie: str) -> None:
    with pytest.raises(WireError):
        SecurityDescriptor.unpack(patched(*LIES[lie]))


def test_parts_may_overlap_without_harm() -> None:
    sd = SecurityDescriptor.unpack(patched(8, OWNER_AT.to_bytes(4, "little")))
    assert sd.group == sd.owner


@pytest.mark.parametrize(
    ("control", "offset", "present", "dacl"),
    [
        (SELF_RELATIVE, 0, False, None),
        (SELF_RELATIVE, 20, False, None),  # an offset without the bit says nothing
        (SELF_RELATIVE | DACL_PRESENT, 0, True, None),
        (SELF_RELATIVE | DACL_PRESENT, 20, True, Acl()),
    ],
    ids=["absent", "offset without bit", "NULL", "empty"],
)
def test_absent_null_and_empty_dacls_are_told_apart(
    control: int, offset: int, present: bool, dacl: Acl | None
) -> None:
    head = bytes((1, 0)) + control.to_bytes(2, "little") + bytes(12) + offset.to_bytes(4, "little")
    sd = SecurityDescriptor.unpack(head + bytes.fromhex("0200080000000000"))
    assert (sd.dacl_present, sd.dacl) == (present, dacl)
    assert SecurityDescriptor.unpack(sd.pack()) == sd


def test_offsets_may_count_from_elsewhere() -> None:
    sd = SecurityDescriptor.unpack(SAMBA)
    blob = bytes(160) + sd.pack(base=160)
    assert SecurityDescriptor.unpack(blob, 160, base=0) == sd
    with pytest.raises(WireError):
        SecurityDescriptor.unpack(blob, 160)
    with pytest.raises(WireError):  # before the descriptor
        SecurityDescriptor.unpack(blob[:164] + b"\x10\0\0\0" + blob[168:], 160, base=0)


def test_resource_manager_control_survives_only_when_valid() -> None:
    sd = SecurityDescriptor.unpack(b"\x01\x07" + WINDOWS[2:])
    assert sd.sbz1 == 0
    sd = SecurityDescriptor.unpack(b"\x01\x07\x04\xd4" + WINDOWS[4:])
    assert (sd.sbz1, sd.control & RM_CONTROL_VALID) == (7, RM_CONTROL_VALID)
    assert SecurityDescriptor.unpack(sd.pack()) == sd


def test_object_and_unknown_aces_stay_as_they_came() -> None:
    raw = bytes.fromhex("05002c00ff010f0001000000") + bytes(range(16)) + bytes(USER)[:16]
    unknown = bytes.fromhex("f0130800deadbeef")
    acl = Acl.unpack(bytes.fromhex("04003c0002000000") + raw + unknown)
    assert [ace.sid for ace in acl.aces] == [None, None]
    assert acl.pack() == bytes.fromhex("04003c0002000000") + raw + unknown


def test_an_object_ace_raises_the_acls_revision() -> None:
    assert Acl((Ace(ACCESS_ALLOWED_OBJECT, 0, 0, None, bytes(8)),)).pack()[0] == 4


def test_the_condition_of_a_callback_ace_stays_with_it() -> None:
    ace = Ace(ACCESS_ALLOWED_CALLBACK, 0, 0x1F01FF, EVERYONE, b"artx\xf8\0\0\0")
    assert Acl.unpack(Acl((ace,)).pack()).aces == (ace,)


def test_ace_data_is_padded_to_four_bytes() -> None:
    packed = Ace(SYSTEM_MANDATORY_LABEL, 0, 1, EVERYONE, b"xyz").pack()
    assert len(packed) == 24
    assert packed[-1] == 0


def test_an_acl_longer_than_its_size_field_is_not_written() -> None:
    ace = Ace(ACCESS_ALLOWED, 0, 1, USER)
    assert len(Acl((ace,) * 1819).pack()) == 8 + 36 * 1819
    with pytest.raises(WireError):
        Acl((ace,) * 1821).pack()


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("S-1-1-0", "010100000000000100000000"),
        ("S-1-5-32-544", "01020000000000052000000020020000"),
        ("S-1-22-2-1000", "010200000000001602000000e8030000"),
        ("S-1-0x0123456789AB-4294967295", "01010123456789abffffffff"),
        ("S-1-5", "0100000000000005"),
    ],
)
def test_sids_are_read_and_shown(text: str, wire: str) -> None:
    sid = Sid.parse(text)
    assert sid.pack() == bytes.fromhex(wire)
    assert Sid.unpack(bytes.fromhex(wire)) == sid
    assert str(sid) == text
    assert repr(sid) == f"Sid.parse('{text}')"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S-1",
        "S-2-5-18",
        "X-1-5-18",
        "S-1-5-",
        "S-1-5--1",
        "S-1-5-4294967296",
        "S-1-281474976710656",
        "S-1-5-1_0",
        "S-1-5- 1",
        "S-1-5-٣",
        "S-1-0xZZ",
        "S-1-5-0x10",
        "S-1-5" + "-1" * 16,
    ],
)
def test_what_is_no_sid_is_not_parsed(text: str) -> None:
    with pytest.raises(ValueError, match=r"SID|invalid literal"):
        Sid.parse(text)


def test_a_sid_is_an_immutable_key() -> None:
    one, other = Sid(5, 32, 544), Sid.parse("s-1-5-32-544")
    assert {one: 1}[other] == 1
    assert copy.copy(one) == copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert type(pickle.loads(pickle.dumps(one))) is Sid
    with pytest.raises(AttributeError):
        one.authority = 3  # type: ignore[misc]


def test_a_sid_knows_its_parts() -> None:
    assert (USER.authority, USER.rid) == (5, 1013)
    assert USER.sub_authorities == (21, 3623811015, 3361044348, 30300820, 1013)
    assert Sid(5).rid is None
    assert Sid(5, 21, 1).child(7) == Sid(5, 21, 1, 7)
    assert Sid(5, 21, 1).prefix == Sid(5, 21, 2).prefix != Sid(5, 22, 1).prefix


def test_a_sid_ends_where_it_is_told() -> None:
    buf = bytes(3) + USER + b"rest"
    assert Sid.unpack(buf, 3) == USER
    assert Sid.unpack(buf, 3, 31) == USER
    for start, end in ((3, 30), (3, 10), (-1, None), (3, 99), (40, None)):
        with pytest.raises(WireError):
            Sid.unpack(buf, start, end)


SIDS = st.builds(
    lambda authority, subs: Sid(authority, *subs),
    st.integers(0, 2**48 - 1),
    st.lists(st.integers(0, 2**32 - 1), max_size=15),
)
WORDS = st.integers(0, 2**32 - 1)
ACES = st.one_of(
    st.builds(
        Ace,
        st.sampled_from([ACCESS_ALLOWED, ACCESS_DENIED, SYSTEM_AUDIT, ACCESS_ALLOWED_CALLBACK]),
        st.integers(0, 255),
        WORDS,
        SIDS,
        st.binary(max_size=5).map(lambda data: data * 4),
    ),
    st.builds(
        Ace,
        st.sampled_from([4, 5, 6, 7, 8, 11, 12, 15, 0x14, 0xFF]),
        st.integers(0, 255),
        st.just(0),
        st.none(),
        st.binary(max_size=9).map(lambda data: data * 4),
    ),
)
ACLS = st.builds(Acl, st.lists(ACES, max_size=6).map(tuple), st.just(security.ACL_REVISION_DS))


@st.composite
def descriptors(draw: st.DrawFn) -> SecurityDescriptor:
    sacl, dacl = draw(st.none() | ACLS), draw(st.none() | ACLS)
    control = draw(st.integers(0, 0xFFFF)) | SELF_RELATIVE
    control |= SACL_PRESENT if sacl else 0
    control |= DACL_PRESENT if dacl else 0
    sbz1 = draw(st.integers(0, 255)) if control & RM_CONTROL_VALID else 0
    owner, group = draw(st.none() | SIDS), draw(st.none() | SIDS)
    return SecurityDescriptor(control, owner, group, sacl, dacl, sbz1)


@given(descriptors(), st.integers(0, 64), st.integers(0, 64))
def test_what_is_written_is_read_again(sd: SecurityDescriptor, before: int, base: int) -> None:
    packed = bytes(before) + sd.pack(base=base)
    assert SecurityDescriptor.unpack(packed, before, base=before - base) == sd


@given(SIDS)
def test_the_string_form_is_lossless(sid: Sid) -> None:
    assert Sid.parse(str(sid)) == sid
    assert Sid(sid.authority, *sid.sub_authorities) == sid


@given(st.data())
def test_damage_yields_a_descriptor_or_a_wire_error_and_nothing_else(data: st.DataObject) -> None:
    blob = bytearray(data.draw(descriptors()).pack())
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        sd = SecurityDescriptor.unpack(blob)
    except WireError:
        return
    assert SecurityDescriptor.unpack(sd.pack()) == sd
