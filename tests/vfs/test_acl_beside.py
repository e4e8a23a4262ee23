"""Mode and POSIX ACL beside a stored descriptor: the kernel is in nobody's way without need."""

from __future__ import annotations

import os
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs import acl
from ksmbd.vfs.access import Token, maximum, token
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.posix_acl import (
    GROUP,
    GROUP_OBJ,
    MASK,
    OTHER,
    USER,
    USER_OBJ,
    Entry,
    permissions,
    to_mode,
)
from ksmbd.vfs.sid import AUTHENTICATED_USERS, CREATOR_OWNER, EVERYONE, OWNER_RIGHTS, Domain
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.access import (
    DELETE,
    FILE_ADD_FILE,
    FILE_ADD_SUBDIRECTORY,
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_EXECUTE,
    FILE_GENERIC_EXECUTE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_LIST_DIRECTORY,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_READ_EA,
    FILE_TRAVERSE,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
    WRITE_DAC,
)
from ksmbd.wire.security import (
    ACCESS_DENIED,
    CONTAINER_INHERIT,
    DACL_PRESENT,
    OBJECT_INHERIT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from tests.support.descriptors import allow, deny, with_dacl
from tests.vfs.test_acl import DACL, STORED, File, needs_root
from tests.vfs.test_acl import file as file
from tests.vfs.test_acl import folder as folder
from tests.vfs.test_acl import kept as kept

DOMAIN: Final = Domain((1, 2, 3))
UID, GID, OTHER_GROUP = 1000, 100, 300
OWNER_SID, BOB = DOMAIN.uid_to_sid(UID), DOMAIN.uid_to_sid(1001)
GROUP_SID, CLUB = DOMAIN.gid_to_sid(GID), DOMAIN.gid_to_sid(OTHER_GROUP)
HEIRS: Final = OBJECT_INHERIT | CONTAINER_INHERIT
READS: Final = FILE_READ_DATA | FILE_READ_EA | FILE_EXECUTE
WRITES: Final = FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_EA


def mode_of(*aces: Ace, is_directory: bool) -> str:
    found = permissions(Acl(aces), UID, GID, DOMAIN, is_directory, beside=True)
    return f"{to_mode(found.access):03o}"


# the case: the entries, the mode of a file, the mode of a directory
CASES: Final = {
    "to execute is to read, for the owner": (
        (allow(OWNER_SID, FILE_GENERIC_EXECUTE),), "500", "500"),
    "and for others to execute alone": ((allow(EVERYONE, FILE_EXECUTE),), "511", "511"),
    "who may list may enter": ((allow(EVERYONE, FILE_GENERIC_READ),), "444", "555"),
    "who may add files may enter": ((allow(EVERYONE, FILE_ADD_FILE),), "222", "733"),
    "who may add folders, too": ((allow(EVERYONE, FILE_ADD_SUBDIRECTORY),), "222", "733"),
    "unless that is denied": (
        (deny(GROUP_SID, FILE_TRAVERSE), allow(EVERYONE, FILE_GENERIC_READ)), "444", "545"),
    "in the owner's way for none of his rights": (
        (deny(OWNER_SID, FILE_TRAVERSE), allow(OWNER_SID, FILE_ALL_ACCESS)), "600", "700"),
    "the owner may append though not write": (
        (deny(EVERYONE, FILE_WRITE_DATA), allow(EVERYONE, FILE_ALL_ACCESS)), "755", "755"),
    "what nothing is left of is denied": (
        (deny(OWNER_SID, WRITES), allow(EVERYONE, FILE_ALL_ACCESS)), "577", "577"),
    "attributes are no data": (
        (allow(EVERYONE, FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | DELETE),), "000", "000"),
    "extended attributes are, to the kernel": (
        (allow(EVERYONE, FILE_READ_EA | FILE_WRITE_EA),), "600", "700"),
    "the owner by his group": ((allow(GROUP_SID, FILE_GENERIC_WRITE),), "220", "730"),
    "the owner by OWNER RIGHTS": ((allow(OWNER_RIGHTS, FILE_EXECUTE),), "500", "500"),
    "a mode that a client sends counts": (
        (deny(Sid(5, 88, 3, 0o640), 0), allow(EVERYONE, FILE_GENERIC_READ)), "640", "640"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_mode_beside_a_descriptor(case: str) -> None:
    aces, of_file, of_directory = CASES[case]
    assert mode_of(*aces, is_directory=False) == of_file
    assert mode_of(*aces, is_directory=True) == of_directory


def test_what_new_directories_inherit_may_be_entered() -> None:
    found = permissions(
        Acl((allow(BOB, FILE_GENERIC_READ, HEIRS), allow(CREATOR_OWNER, WRITE_DAC, HEIRS))),
        UID, GID, DOMAIN, True, beside=True,
    )  # fmt: skip
    assert found.default == (
        Entry(USER_OBJ, 0),
        Entry(USER, 5, 1001),
        Entry(GROUP_OBJ, 0),
        Entry(MASK, 5),
        Entry(OTHER, 0),
    )


# What holds for every list

_PRINCIPALS = (OWNER_SID, OWNER_RIGHTS, BOB, GROUP_SID, CLUB, EVERYONE, AUTHENTICATED_USERS)
_RIGHTS = (
    FILE_READ_DATA, FILE_WRITE_DATA, FILE_APPEND_DATA, FILE_READ_EA, FILE_WRITE_EA, FILE_EXECUTE,
    FILE_READ_ATTRIBUTES, FILE_WRITE_ATTRIBUTES, DELETE, FILE_ALL_ACCESS, FILE_GENERIC_READ,
)  # fmt: skip
_MASKS = st.lists(st.sampled_from(_RIGHTS), min_size=1, max_size=3).map(
    lambda rights: sum(set(rights)) if FILE_ALL_ACCESS not in rights else FILE_ALL_ACCESS
)
_ACES = st.builds(
    lambda kind, sid, mask: kind(sid, mask & FILE_ALL_ACCESS),
    st.sampled_from((allow, allow, deny)), st.sampled_from(_PRINCIPALS), _MASKS,
)  # fmt: skip
_LISTS = st.lists(_ACES, max_size=7).map(tuple)
# Nobody of them is in two groups: where one allows and another denies, the kernel allows.
OTHERS: Final = tuple(
    token(DOMAIN, uid, gid)
    for uid, gid in ((1001, 999), (1002, GID), (1003, OTHER_GROUP), (1004, 999))
)
# Denials come first, as Windows has them: one of the owner may otherwise be too late.
OWNERS: Final = tuple(token(DOMAIN, UID, gid) for gid in (999, GID, OTHER_GROUP))


def held(aces: tuple[Ace, ...], who: Token) -> int:
    control = SELF_RELATIVE | DACL_PRESENT
    sd = SecurityDescriptor(control, OWNER_SID, GROUP_SID, None, Acl(aces))
    return maximum(sd, who)


def kernels(access: tuple[Entry, ...], who: Token) -> int:
    """What acl(5) says that *who* may, of r4 w2 x1."""
    perms = {(entry.tag, entry.id): entry.perms for entry in access}
    mask = next((entry.perms for entry in access if entry.tag == MASK), 7)
    if who.uid == UID:
        return next(entry.perms for entry in access if entry.tag == USER_OBJ)
    if (USER, who.uid) in perms:
        return perms[USER, who.uid] & mask
    groups = [
        entry.perms & mask
        for entry in access
        if (entry.tag == GROUP_OBJ and who.gid == GID)
        or (entry.tag == GROUP and who.gid == entry.id)
    ]
    if groups:
        return groups[0] | groups[-1]  # one, or two for one group
    return next(entry.perms for entry in access if entry.tag == OTHER)


@given(
    aces=_LISTS.map(lambda aces: tuple(sorted(aces, key=lambda ace: ace.type != ACCESS_DENIED))),
    who=st.sampled_from(OWNERS),
    is_directory=st.booleans(),
)
def test_the_kernel_refuses_its_owner_nothing(
    aces: tuple[Ace, ...], who: Token, is_directory: bool
) -> None:
    rights = held(aces, who)
    bits = kernels(permissions(Acl(aces), UID, GID, DOMAIN, is_directory, beside=True).access, who)
    assert not rights & READS or bits & 4
    assert not rights & WRITES or bits & 2
    assert not rights & FILE_EXECUTE or bits & 1
    assert not is_directory or not bits & 6 or bits & 1


@given(aces=_LISTS, who=st.sampled_from(OTHERS), is_directory=st.booleans())
def test_nobody_else_is_let_do_what_the_descriptor_withholds(
    aces: tuple[Ace, ...], who: Token, is_directory: bool
) -> None:
    """But enter a directory, for which nobody else is asked either."""
    rights = held(aces, who)
    bits = kernels(permissions(Acl(aces), UID, GID, DOMAIN, is_directory, beside=True).access, who)
    assert not bits & 4 or rights & FILE_READ_DATA
    assert not bits & 2 or rights & (FILE_WRITE_DATA | FILE_APPEND_DATA)
    assert not bits & 1 or rights & FILE_EXECUTE or (is_directory and bits & 6)


# On the disk


@needs_root
@pytest.mark.parametrize(
    ("mask", "flags"),
    [
        (FILE_EXECUTE, os.O_RDONLY),
        (FILE_READ_DATA, os.O_RDONLY),
        (FILE_APPEND_DATA, os.O_WRONLY),
        (FILE_WRITE_DATA | FILE_EXECUTE, os.O_RDWR),
    ],
)
def test_the_owner_opens_what_the_descriptor_gives(file: File, mask: int, flags: int) -> None:
    os.fchown(file.fd, UID, GID)
    acl.store(file, with_dacl(allow(OWNER_SID, mask)), DACL, DOMAIN, STORED)
    become(Credentials(UID, GID))
    try:
        os.close(os.open(proc_path(file.fd), flags))
        become(Credentials(1001, 1001))
        with pytest.raises(PermissionError):
            os.open(proc_path(file.fd), flags)
    finally:
        become(None)


def test_the_descriptor_tells_no_more_than_it_was_given(folder: File, kept: str) -> None:
    """The bits that the kernel needs beside it are nobody's rights over SMB."""
    asked = (allow(BOB, FILE_LIST_DIRECTORY), allow(EVERYONE, FILE_EXECUTE))
    acl.store(folder, with_dacl(*asked), DACL, DOMAIN, STORED)
    found = acl.descriptor(folder, DOMAIN, STORED)
    assert found.dacl == Acl(asked)
    assert maximum(found, token(DOMAIN, 1001, 999)) == FILE_LIST_DIRECTORY | FILE_EXECUTE
