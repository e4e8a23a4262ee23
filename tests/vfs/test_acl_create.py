"""What a new file's descriptor is: asked for, inherited, or as the kernel made it."""

from __future__ import annotations

import os

import pytest

from ksmbd.vfs import acl
from ksmbd.vfs.access import token
from ksmbd.vfs.sid import CREATOR_OWNER
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_GENERIC_READ,
)
from ksmbd.wire.security import (
    DACL_AUTO_INHERITED,
    DACL_PROTECTED,
    INHERIT_ONLY,
    INHERITED_ACE,
    SACL_SECURITY_INFORMATION,
    SELF_RELATIVE,
    Acl,
    SecurityDescriptor,
    Sid,
)
from tests.support.descriptors import allow, with_dacl
from tests.vfs.test_acl import (
    AI,
    AUDIT,
    BOB,
    DACL,
    DOMAIN,
    GID,
    HEIRS,
    ME,
    OWN,
    POSIX,
    READ,
    REQ,
    STORED,
    UID,
    File,
    dacl_of,
    needs_root,
    with_sacl,
)
from tests.vfs.test_acl import file as file
from tests.vfs.test_acl import folder as folder
from tests.vfs.test_acl import kept as kept

HANDED_DOWN = (
    allow(CREATOR_OWNER, FILE_ALL_ACCESS, HEIRS | INHERIT_ONLY),
    allow(BOB, FILE_GENERIC_READ, HEIRS),
)


def test_a_new_file_inherits_what_is_stored_above(folder: File, file: File, kept: str) -> None:
    acl.store(folder, with_dacl(OWN, *HANDED_DOWN, control=AI | REQ), DACL, DOMAIN, STORED)
    acl.settle(file, folder, ME, DOMAIN, STORED)
    found = acl.stored(file, DOMAIN, STORED)
    assert found is not None
    assert found.dacl == Acl(
        (
            allow(ME.user, FILE_ALL_ACCESS, INHERITED_ACE),
            allow(BOB, FILE_GENERIC_READ, INHERITED_ACE),
        )
    )
    assert found.owner == ME.user
    assert found.control & DACL_AUTO_INHERITED
    assert file.mode == 0o740  # the mask: Bob's entry


def test_a_new_directory_hands_down_further(folder: File, kept: str) -> None:
    acl.store(folder, with_dacl(OWN, *HANDED_DOWN), DACL, DOMAIN, STORED)
    (folder.path / "below").mkdir()
    below = File(folder.path / "below")
    acl.settle(below, folder, ME, DOMAIN, STORED)
    assert dacl_of(below) == (OWN, HANDED_DOWN[0], HANDED_DOWN[1])
    os.close(below.fd)


@pytest.mark.parametrize("keep", [POSIX, STORED])
def test_a_new_file_keeps_what_the_kernel_gave_it(folder: File, file: File, keep: acl.Keep) -> None:
    if keep:
        acl.store(folder, with_dacl(OWN, READ), DACL, DOMAIN, STORED)  # nothing to hand down
    else:
        acl.store(folder, with_dacl(OWN, *HANDED_DOWN), DACL, DOMAIN, STORED)
    acl.settle(file, folder, ME, DOMAIN, keep)
    assert acl.stored(file, DOMAIN, STORED) is None
    assert file.mode == 0o644


def test_an_asked_for_dacl_takes_the_place_of_the_inherited(
    folder: File, file: File, kept: str
) -> None:
    acl.store(folder, with_dacl(OWN, *HANDED_DOWN), DACL, DOMAIN, STORED)
    acl.settle(file, folder, ME, DOMAIN, STORED, with_dacl(OWN, READ, control=DACL_PROTECTED))
    found = acl.descriptor(file, DOMAIN, STORED)
    assert found.dacl == Acl((OWN, READ))
    assert found.control & DACL_PROTECTED
    assert file.mode == 0o744


def test_an_asked_for_dacl_sets_the_mode_on_a_share_that_stores_none(
    folder: File, file: File
) -> None:
    acl.settle(file, folder, ME, DOMAIN, POSIX, with_dacl(OWN))
    assert (file.mode, file.xattrs()) == (0o700, set())


def test_an_asked_for_descriptor_without_dacl_leaves_the_inherited(
    folder: File, file: File, kept: str
) -> None:
    acl.store(folder, with_dacl(OWN, *HANDED_DOWN), DACL, DOMAIN, STORED)
    acl.settle(file, folder, ME, DOMAIN, STORED, SecurityDescriptor(SELF_RELATIVE, ME.user))
    assert dacl_of(file) == (OWN, allow(BOB, FILE_GENERIC_READ))


def test_an_inherited_sacl_does_not_open_the_file(folder: File, file: File, kept: str) -> None:
    heir = AUDIT._replace(flags=AUDIT.flags | HEIRS)
    acl.store(folder, with_sacl(heir), SACL_SECURITY_INFORMATION, DOMAIN, STORED)
    acl.store(folder, with_dacl(OWN), DACL, DOMAIN, STORED)
    acl.settle(file, folder, ME, DOMAIN, STORED)
    found = acl.stored(file, DOMAIN, STORED)
    assert found is not None
    assert found.sacl == Acl((AUDIT,))
    assert found.dacl is not None
    assert file.mode == 0o644


@pytest.mark.parametrize("privileged", [False, True])
def test_an_asked_for_sacl_needs_the_privilege(folder: File, file: File, privileged: bool) -> None:
    who = token(DOMAIN, UID, GID, privileged=privileged)
    acl.settle(file, folder, who, DOMAIN, STORED, with_sacl(AUDIT))
    found = acl.stored(file, DOMAIN, STORED)
    assert found is not None
    assert found.sacl == (Acl((AUDIT,)) if privileged else None)


def test_a_foreign_owner_cannot_be_asked_for(folder: File, file: File) -> None:
    asked = with_dacl(OWN)._replace(owner=Sid(5, 21, 9, 9, 9, 1000))
    with pytest.raises(acl.InvalidOwner):
        acl.settle(file, folder, ME, DOMAIN, STORED, asked)


@needs_root
def test_the_group_below_a_setgid_directory_is_the_directorys(folder: File) -> None:
    os.chown(folder.path, 0, 500)
    os.fchmod(folder.fd, 0o2755)
    acl.store(folder, with_dacl(OWN, *HANDED_DOWN), DACL, DOMAIN, STORED)
    (folder.path / "child").touch()
    child = File(folder.path / "child")
    acl.settle(child, folder, ME, DOMAIN, STORED)
    assert acl.descriptor(child, DOMAIN, STORED).group == DOMAIN.gid_to_sid(500)
    os.close(child.fd)
