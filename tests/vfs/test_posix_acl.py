"""Mode bits and POSIX ACLs as DACLs, and back."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs import posix_acl
from ksmbd.vfs.access import Token, maximum, token
from ksmbd.vfs.posix_acl import (
    GROUP,
    GROUP_OBJ,
    INHERITABLE,
    MASK,
    MINIMUM,
    OTHER,
    USER,
    USER_OBJ,
    Entry,
    dacl,
    from_mode,
    permissions,
    to_mode,
)
from ksmbd.vfs.sid import (
    ADMINISTRATORS,
    AUTHENTICATED_USERS,
    CREATOR_GROUP,
    CREATOR_OWNER,
    EVERYONE,
    OWNER_RIGHTS,
    SYSTEM,
    USERS,
    Domain,
)
from ksmbd.wire.access import (
    DELETE,
    FILE_ADD_FILE,
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_DELETE_CHILD,
    FILE_EXECUTE,
    FILE_GENERIC_EXECUTE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_READ_DATA,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    GENERIC_ALL,
    WRITE_DAC,
    WRITE_OWNER,
)
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    DACL_PRESENT,
    INHERIT_ONLY,
    MAX_ACL_SIZE,
    SELF_RELATIVE,
    SYSTEM_AUDIT,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from tests.support.descriptors import allow, deny
from tests.vfs.samba_files import FILES

DOMAIN = Domain((1, 2, 3))
OWNER = token(DOMAIN, 1000, 100)  # also in the owning group
MEMBER = token(DOMAIN, 1001, 100)
STRANGER = token(DOMAIN, 1002, 300)
DATA_BITS = ((4, FILE_READ_DATA), (2, FILE_WRITE_DATA | FILE_APPEND_DATA), (1, FILE_EXECUTE))


def describe(acl: Acl) -> SecurityDescriptor:
    return SecurityDescriptor(
        SELF_RELATIVE | DACL_PRESENT,
        DOMAIN.uid_to_sid(1000),
        DOMAIN.gid_to_sid(100),
        None,
        acl,
    )


def perms_of(acl: Acl, who: Token) -> int:
    """What the access check grants *who*, as rwx."""
    held = maximum(describe(acl), who)
    return sum(perm for perm, mask in DATA_BITS if held & mask == mask)


def of_mode(mode: int, is_directory: bool = False) -> Acl:
    return dacl(1000, 100, from_mode(mode), () if is_directory else None, DOMAIN, is_directory)


def mode_of(*aces: Ace) -> int:
    return to_mode(permissions(Acl(aces), 1000, 100, DOMAIN, False).access)


@pytest.mark.parametrize("is_directory", [False, True])
def test_every_mode_survives_as_a_dacl(is_directory: bool) -> None:
    for mode in range(0o1000):
        found = permissions(of_mode(mode, is_directory), 1000, 100, DOMAIN, is_directory)
        assert found.access == from_mode(mode), oct(mode)
        assert found.default == (from_mode(mode) if is_directory else None), oct(mode)
        assert found.special is None


@pytest.mark.parametrize("is_directory", [False, True])
def test_the_access_check_decides_as_the_kernel_does_for_every_mode(is_directory: bool) -> None:
    for mode in range(0o1000):
        acl = of_mode(mode, is_directory)
        found = [perms_of(acl, who) for who in (OWNER, MEMBER, STRANGER)]
        assert found == [mode >> 6, mode >> 3 & 7, mode & 7], oct(mode)


def test_ordinary_modes_need_no_denying_entry() -> None:
    for mode in (0o777, 0o775, 0o755, 0o750, 0o700, 0o644, 0o640, 0o600, 0o444, 0o000):
        assert all(ace.type == ACCESS_ALLOWED for ace in of_mode(mode).aces)
    assert any(ace.type == ACCESS_DENIED for ace in of_mode(0o077).aces)


def test_everybody_may_look_and_the_owner_keeps_the_owners_rights() -> None:
    for mode in range(0o1000):
        sd = describe(of_mode(mode))
        for who in (OWNER, MEMBER, STRANGER):
            assert maximum(sd, who) & MINIMUM == MINIMUM
        own = DELETE | WRITE_DAC | WRITE_OWNER | FILE_WRITE_ATTRIBUTES
        assert maximum(sd, OWNER) & own == own
        assert not maximum(sd, STRANGER) & (DELETE | WRITE_DAC | WRITE_OWNER)


def test_an_owner_with_rwx_has_full_control() -> None:
    assert maximum(describe(of_mode(0o700)), OWNER) == FILE_ALL_ACCESS


def test_rights_are_the_generic_ones() -> None:
    assert posix_acl.rights(4, False) == FILE_GENERIC_READ
    assert posix_acl.rights(2, False) == FILE_GENERIC_WRITE | MINIMUM
    assert posix_acl.rights(1, False) == FILE_GENERIC_EXECUTE
    assert posix_acl.rights(0, True) == MINIMUM
    assert posix_acl.rights(2, True) == FILE_GENERIC_WRITE | FILE_DELETE_CHILD | MINIMUM


def test_who_may_write_a_directory_may_delete_its_children_unless_it_is_sticky() -> None:
    for sticky, expected in ((False, FILE_DELETE_CHILD), (True, 0)):
        acl = dacl(1000, 100, from_mode(0o777), (), DOMAIN, True, sticky)
        assert maximum(describe(acl), STRANGER) & FILE_DELETE_CHILD == expected
        assert maximum(describe(acl), STRANGER) & FILE_ADD_FILE
        assert maximum(describe(acl), OWNER) & FILE_DELETE_CHILD


def test_the_list_of_a_file_of_mode_644() -> None:
    assert of_mode(0o644).aces == (
        allow(OWNER.user, 0x1F019F),
        allow(DOMAIN.gid_to_sid(100), FILE_GENERIC_READ),
        allow(EVERYONE, FILE_GENERIC_READ),
    )


def test_the_list_of_a_directory_hands_its_mode_down() -> None:
    read = FILE_GENERIC_READ | FILE_GENERIC_EXECUTE
    assert of_mode(0o755, True).aces == (
        allow(OWNER.user, FILE_ALL_ACCESS),
        allow(DOMAIN.gid_to_sid(100), read),
        allow(EVERYONE, read, INHERITABLE),
        allow(CREATOR_OWNER, FILE_ALL_ACCESS, INHERITABLE | INHERIT_ONLY),
        allow(CREATOR_GROUP, read, INHERITABLE | INHERIT_ONLY),
    )


def test_a_default_acl_is_what_children_get() -> None:
    default = posix_acl.unpack(
        posix_acl.pack(
            [*from_mode(0o750), Entry(USER, 6, 1001), Entry(GROUP, 5, 300), Entry(MASK, 7)]
        )
    )
    acl = dacl(1000, 100, from_mode(0o755), default, DOMAIN, True)
    heirs = [ace for ace in acl.aces if ace.flags & INHERITABLE]
    assert {ace.sid for ace in heirs} == {
        CREATOR_OWNER,
        CREATOR_GROUP,
        DOMAIN.uid_to_sid(1001),
        DOMAIN.gid_to_sid(300),
        EVERYONE,
    }
    found = permissions(acl, 1000, 100, DOMAIN, True)
    assert found.access == from_mode(0o755)
    assert found.default == default


# POSIX ACLs


def kernel(entries: tuple[Entry, ...], who: Token, groups: set[int]) -> int:
    """acl(5), "access check algorithm", one right at a time, for a file of uid 1000, gid 100."""
    perms = {entry.tag: entry.perms for entry in entries if entry.tag not in (USER, GROUP)}
    mask = perms.get(MASK, 7)
    if who.uid == 1000:
        return perms[USER_OBJ]
    for tag, allowed, uid in entries:
        if tag == USER and uid == who.uid:
            return allowed & mask
    matching = [perms[GROUP_OBJ]] if 100 in groups else []
    matching += [allowed for tag, allowed, gid in entries if tag == GROUP and gid in groups]
    if matching:
        found = 0
        for allowed in matching:
            found |= allowed & mask
        return found
    return perms[OTHER]


PERMS = st.integers(0, 7)


@st.composite
def posix_acls(draw: st.DrawFn) -> tuple[Entry, ...]:
    users = draw(st.dictionaries(st.sampled_from([1001, 1002, 1003]), PERMS))
    groups = draw(st.dictionaries(st.sampled_from([200, 300]), PERMS))
    entries = [Entry(USER_OBJ, draw(PERMS)), Entry(GROUP_OBJ, draw(PERMS))]
    entries += [Entry(OTHER, draw(PERMS))]
    entries += [Entry(USER, perms, uid) for uid, perms in users.items()]
    entries += [Entry(GROUP, perms, gid) for gid, perms in groups.items()]
    if users or groups:
        entries.append(Entry(MASK, draw(PERMS)))
    return posix_acl.unpack(posix_acl.pack(entries))


@given(
    posix_acls(),
    st.integers(1000, 1004),
    st.sets(st.sampled_from([100, 200, 300, 400]), min_size=1),
    st.booleans(),
)
def test_the_access_check_decides_as_the_kernel_does_for_every_acl(
    entries: tuple[Entry, ...], uid: int, groups: set[int], is_directory: bool
) -> None:
    who = token(DOMAIN, uid, min(groups), tuple(groups))
    acl = dacl(1000, 100, entries, () if is_directory else None, DOMAIN, is_directory)
    assert perms_of(acl, who) == kernel(entries, who, groups)


def masked(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """*entries* with the mask applied, and the mask that then is the least."""
    mask = next((entry.perms for entry in entries if entry.tag == MASK), None)
    if mask is None:
        return entries
    under = (GROUP_OBJ, USER, GROUP)
    applied = [e._replace(perms=e.perms & mask) if e.tag in under else e for e in entries]
    least = 0
    for entry in applied:
        least |= entry.perms if entry.tag in under else 0
    return tuple(e._replace(perms=least) if e.tag == MASK else e for e in applied)


@given(posix_acls(), posix_acls())
def test_every_acl_survives_as_a_dacl(
    access: tuple[Entry, ...], default: tuple[Entry, ...]
) -> None:
    acl = dacl(1000, 100, access, default, DOMAIN, True)
    found = permissions(acl, 1000, 100, DOMAIN, True)
    assert found.access == masked(access)
    assert found.default == masked(default)


def test_the_owners_named_entry_and_the_groups_are_folded_as_the_kernel_folds_them() -> None:
    entries = (*from_mode(0o640), Entry(USER, 7, 1000), Entry(GROUP, 2, 100), Entry(MASK, 7))
    acl = dacl(1000, 100, entries, None, DOMAIN, False)
    assert permissions(acl, 1000, 100, DOMAIN, False).access == from_mode(0o660)


def test_two_thousand_entries_fit_into_an_acl() -> None:
    entries = [*from_mode(0o750), Entry(MASK, 7)]
    entries += [Entry(USER, 5, 2000 + n) for n in range(2000)]
    entries += [Entry(GROUP, 0, 2000 + n) for n in range(2000)]
    acl = dacl(1000, 100, tuple(entries), (), DOMAIN, True)
    assert acl.size <= MAX_ACL_SIZE
    assert Acl.unpack(acl.pack()) == acl
    assert perms_of(acl, OWNER) == 7
    assert perms_of(acl, token(DOMAIN, 2000, 50)) == 5
    assert perms_of(acl, token(DOMAIN, 9999, 2000)) == 0
    assert perms_of(acl, STRANGER) == 0


# DACL -> mode


GROUP_SID = DOMAIN.gid_to_sid(100)
OWNER_SID = DOMAIN.uid_to_sid(1000)
MODES = {
    "an empty list": ((), 0o000),
    "everyone": ((allow(EVERYONE, FILE_ALL_ACCESS),), 0o777),
    "everyone, generic": ((allow(EVERYONE, GENERIC_ALL),), 0o777),
    "authenticated users": ((allow(AUTHENTICATED_USERS, 0x1200A9),), 0o555),
    "users": ((allow(USERS, 0x1200A9),), 0o555),
    "domain users": ((allow(DOMAIN.users, 0x1200A9),), 0o555),
    "the owner": ((allow(OWNER_SID, FILE_ALL_ACCESS),), 0o700),
    "the owner as Unix user": ((allow(Sid(22, 1, 1000), FILE_ALL_ACCESS),), 0o700),
    "the owner as NFS user": ((allow(Sid(5, 88, 1, 1000), FILE_ALL_ACCESS),), 0o700),
    "the owner by OWNER RIGHTS": ((allow(OWNER_RIGHTS, FILE_GENERIC_READ),), 0o400),
    "the group, of whom the owner may be one": ((allow(GROUP_SID, FILE_GENERIC_READ),), 0o440),
    "CREATOR OWNER is nobody here": ((allow(CREATOR_OWNER, FILE_ALL_ACCESS),), 0o000),
    "inherit-only says nothing here": ((allow(EVERYONE, FILE_ALL_ACCESS, INHERIT_ONLY),), 0o000),
    "an audit entry says nothing": ((Ace(SYSTEM_AUDIT, 0, FILE_ALL_ACCESS, EVERYONE),), 0o000),
    "a SID of elsewhere says nothing": ((allow(SYSTEM, FILE_ALL_ACCESS),), 0o000),
    "append is write": ((allow(OWNER_SID, FILE_APPEND_DATA),), 0o200),
    "write without append is write": ((allow(OWNER_SID, FILE_WRITE_DATA),), 0o200),
    "attributes are no data": ((allow(EVERYONE, 0x1E0198),), 0o000),
    "a group denied": ((deny(GROUP_SID, FILE_WRITE_DATA), allow(EVERYONE, 0x1F01FF)), 0o757),
    "everyone denied": ((deny(EVERYONE, FILE_WRITE_DATA), allow(OWNER_SID, 0x1F01FF)), 0o500),
    "denied too late": ((allow(OWNER_SID, 0x1F01FF), deny(EVERYONE, 0x1F01FF)), 0o700),
    "the owner denied": ((deny(OWNER_SID, FILE_WRITE_DATA), allow(EVERYONE, 0x1F01FF)), 0o577),
}


@pytest.mark.parametrize("case", MODES)
def test_the_mode_of_a_dacl(case: str) -> None:
    aces, mode = MODES[case]
    assert oct(mode_of(*aces)) == oct(mode)


def test_a_null_dacl_is_open_to_all() -> None:
    assert permissions(None, 1000, 100, DOMAIN, True) == (from_mode(0o777), None, None)


def test_named_users_and_groups_become_entries_with_a_mask() -> None:
    acl = Acl(
        (
            deny(DOMAIN.uid_to_sid(1002), FILE_WRITE_DATA),
            allow(OWNER_SID, FILE_ALL_ACCESS),
            allow(DOMAIN.uid_to_sid(1001), FILE_GENERIC_READ | FILE_GENERIC_WRITE),
            allow(DOMAIN.gid_to_sid(300), FILE_GENERIC_EXECUTE),
            allow(ADMINISTRATORS, FILE_ALL_ACCESS),
            allow(EVERYONE, FILE_GENERIC_READ),
        )
    )
    assert permissions(acl, 1000, 100, DOMAIN, False).access == (
        Entry(USER_OBJ, 7),
        Entry(USER, 6, 1001),
        Entry(USER, 4, 1002),
        Entry(GROUP_OBJ, 4),
        Entry(GROUP, 5, 300),
        Entry(MASK, 7),
        Entry(OTHER, 4),
    )


def test_heirs_without_creator_owner_leave_a_creator_the_new_file() -> None:
    acl = Acl((allow(DOMAIN.uid_to_sid(1000), FILE_ALL_ACCESS, INHERITABLE),))
    assert permissions(acl, 1000, 100, DOMAIN, True).default == (
        Entry(USER_OBJ, 7),
        Entry(USER, 7, 1000),
        Entry(GROUP_OBJ, 0),
        Entry(MASK, 7),
        Entry(OTHER, 0),
    )
    assert permissions(acl, 1000, 100, DOMAIN, False).default is None


@pytest.mark.parametrize(
    ("is_directory", "special"), [(False, 0o1000), (True, 0o3000)], ids=["file", "directory"]
)
def test_the_mode_a_linux_client_sends_is_taken(is_directory: bool, special: int) -> None:
    acl = Acl((deny(Sid(5, 88, 3, 0o7640), 0), allow(EVERYONE, FILE_ALL_ACCESS)))
    found = permissions(acl, 1000, 100, DOMAIN, is_directory)
    assert (to_mode(found.access), found.special) == (0o640, special)


def test_the_mode_a_linux_client_sends_goes_to_the_mask() -> None:
    acl = Acl((allow(DOMAIN.uid_to_sid(1001), FILE_ALL_ACCESS), deny(Sid(5, 88, 3, 0o640), 0)))
    found = permissions(acl, 1000, 100, DOMAIN, False)
    assert Entry(MASK, 4) in found.access
    assert to_mode(found.access) == 0o640


def test_a_list_of_a_thousand_principals_and_a_thousand_worlds_is_judged_in_one_pass() -> None:
    aces = []
    for n in range(900):
        aces += [allow(DOMAIN.uid_to_sid(2000 + n), 1 << n % 3), deny(EVERYONE, 0)]
    found = permissions(Acl(tuple(aces)), 1000, 100, DOMAIN, False)
    assert len(found.access) == 904


# The xattr


@pytest.mark.parametrize("name", FILES)
def test_the_kernels_form_is_read_and_written(name: str) -> None:
    blob = FILES[name].access
    entries = posix_acl.unpack(blob)
    assert posix_acl.pack(entries) == blob
    assert to_mode(entries) == stat.S_IMODE(FILES[name].mode)


def test_entries_are_written_in_the_kernels_order() -> None:
    entries = (Entry(OTHER, 0), Entry(GROUP, 1, 7), Entry(USER, 1, 9), Entry(USER, 1, 8))
    written = posix_acl.unpack(posix_acl.pack(entries))
    assert [(entry.tag, entry.id & 0xFF) for entry in written] == [
        (USER, 8),
        (USER, 9),
        (GROUP, 7),
        (OTHER, 0xFF),
    ]


@pytest.mark.parametrize("blob", [b"", b"\2\0\0", b"\1\0\0\0", bytes(4), b"\2\0\0\0" + bytes(7)])
def test_what_is_no_acl_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match="POSIX ACL"):
        posix_acl.unpack(blob)


@pytest.mark.parametrize("mode", [0o000, 0o640, 0o755, 0o777])
def test_a_mode_is_three_entries(mode: int) -> None:
    assert to_mode(from_mode(mode)) == mode
    assert len(from_mode(stat.S_IFREG | mode)) == 3
