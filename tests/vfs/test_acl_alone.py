"""Stored descriptors that alone decide: `acl_xattr:ignore system acls`."""

from __future__ import annotations

import os

import pytest

from ksmbd.vfs import acl, posix_acl
from ksmbd.vfs.access import token
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.sid import EVERYONE, USERS
from ksmbd.wire.access import FILE_ALL_ACCESS, FILE_GENERIC_READ
from ksmbd.wire.security import (
    GROUP_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    SELF_RELATIVE,
    SecurityDescriptor,
    Sid,
)
from tests.support.descriptors import allow, with_dacl
from tests.vfs.test_acl import (
    ALONE,
    BOB,
    DACL,
    DOMAIN,
    FANCY,
    HEIRS,
    ME,
    OWN,
    READ,
    STORED,
    File,
    dacl_of,
    needs_root,
)
from tests.vfs.test_acl import file as file
from tests.vfs.test_acl import folder as folder
from tests.vfs.test_acl import kept as kept

OWNER, GROUP = OWNER_SECURITY_INFORMATION, GROUP_SECURITY_INFORMATION
STRANGER = Sid(5, 21, 9, 9, 9, 1000)
JOE = token(DOMAIN, 1000, 1000)


def test_what_is_stored_changes_no_mode_but_opens_it(folder: File, file: File, kept: str) -> None:
    for opened, mode in ((file, 0o666), (folder, 0o777)):
        acl.store(opened, with_dacl(*FANCY), DACL, DOMAIN, ALONE)
        assert dacl_of(opened, ALONE) == FANCY
        assert opened.mode == mode


def test_who_may_execute_a_file_still_may(file: File, kept: str) -> None:
    os.fchmod(file.fd, 0o4710)
    acl.store(file, with_dacl(*FANCY), DACL, DOMAIN, ALONE)
    assert file.mode == 0o4776


def test_acls_of_the_file_system_are_taken_away(folder: File, kept: str) -> None:
    acl.store(folder, with_dacl(OWN, allow(BOB, FILE_GENERIC_READ, HEIRS)), DACL, DOMAIN, STORED)
    assert {name for name in folder.xattrs() if "posix_acl" in name}
    acl.store(folder, with_dacl(OWN), DACL, DOMAIN, ALONE)
    assert not {name for name in folder.xattrs() if "posix_acl" in name}


def test_a_local_chmod_changes_nothing_of_what_is_stored(file: File, kept: str) -> None:
    acl.store(file, with_dacl(*FANCY), DACL, DOMAIN, ALONE)
    os.fchmod(file.fd, 0o600)
    assert dacl_of(file, ALONE) == FANCY
    assert acl.stored(file, DOMAIN, STORED) is None


def test_what_is_stored_so_holds_without_the_parameter_too(file: File, kept: str) -> None:
    acl.store(file, with_dacl(*FANCY), DACL, DOMAIN, ALONE)
    assert dacl_of(file, STORED) == FANCY


def test_without_a_stored_descriptor_the_mode_speaks(file: File) -> None:
    assert acl.descriptor(file, DOMAIN, ALONE) == acl.descriptor(file, DOMAIN, STORED)
    assert acl.stored(file, DOMAIN, ALONE) is None


def test_a_new_file_stores_what_its_mode_said_before_it_was_opened(
    folder: File, file: File, kept: str
) -> None:
    os.fchmod(file.fd, 0o640)
    said = acl.descriptor(file, DOMAIN, STORED)
    acl.settle(file, folder, ME, DOMAIN, ALONE)
    assert acl.stored(file, DOMAIN, ALONE) == said
    assert file.mode == 0o666


def test_a_new_file_inherits(folder: File, file: File, kept: str) -> None:
    acl.store(folder, with_dacl(OWN, allow(BOB, FILE_GENERIC_READ, HEIRS)), DACL, DOMAIN, ALONE)
    acl.settle(file, folder, ME, DOMAIN, ALONE)
    assert dacl_of(file, ALONE) == (allow(BOB, FILE_GENERIC_READ),)
    assert file.mode == 0o666


@pytest.mark.parametrize("keep", [STORED, ALONE])
def test_what_is_nobodys_account_may_own_a_file(file: File, kept: str, keep: acl.Keep) -> None:
    """In the descriptor: the inode is his who made it so, for he took it."""
    asked = SecurityDescriptor(SELF_RELATIVE, EVERYONE, USERS)
    taker = JOE if ME.uid == 0 else ME
    acl.store(file, asked, OWNER | GROUP, DOMAIN, keep, taker)
    found = acl.descriptor(file, DOMAIN, keep)
    assert (found.owner, found.group) == (EVERYONE, USERS)
    assert os.fstat(file.fd).st_uid == taker.uid
    acl.store(file, SecurityDescriptor(SELF_RELATIVE, taker.user), OWNER, DOMAIN, keep, taker)
    assert acl.descriptor(file, DOMAIN, keep).owner == taker.user


@pytest.mark.parametrize("keep", [STORED, ALONE])
def test_nobodys_account_owns_a_file_whoever_else_does(
    file: File, kept: str, keep: acl.Keep
) -> None:
    """Without a token nobody takes it."""
    before = os.fstat(file.fd).st_uid
    acl.store(file, with_dacl(OWN), DACL, DOMAIN, keep)
    acl.store(file, SecurityDescriptor(SELF_RELATIVE, EVERYONE), OWNER, DOMAIN, keep)
    assert acl.descriptor(file, DOMAIN, keep).owner == EVERYONE
    assert os.fstat(file.fd).st_uid == before


@pytest.mark.parametrize("owner", [STRANGER, Sid(22, 1, 0xFFFFFFFF), Sid(5, 32, 551)])
@pytest.mark.parametrize("keep", [STORED, ALONE])
def test_others_accounts_and_groups_one_is_not_in_may_not(
    file: File, kept: str, owner: Sid, keep: acl.Keep
) -> None:
    asked = SecurityDescriptor(SELF_RELATIVE, owner)
    with pytest.raises(acl.InvalidOwner):
        acl.store(file, asked, OWNER, DOMAIN, keep, JOE)


@needs_root
def test_an_account_that_another_server_named_is_the_owner(file: File, kept: str) -> None:
    """As on any share: what comes from elsewhere has its owner's SID of there."""
    acl.store(file, with_dacl(allow(STRANGER, FILE_ALL_ACCESS), READ), DACL, DOMAIN, ALONE)
    stored = acl.descriptor(file, DOMAIN, ALONE)._replace(owner=STRANGER)
    acl._write(file.fd, stored, DOMAIN)
    os.fchmod(file.fd, 0o644)
    found = acl.descriptor(file, DOMAIN, ALONE)
    assert found.owner == ME.user
    assert found.dacl is not None
    assert found.dacl.aces[0].sid == ME.user


@needs_root
def test_the_kernel_is_in_nobodys_way(file: File, kept: str) -> None:
    acl.store(file, with_dacl(OWN), DACL, DOMAIN, ALONE)
    become(Credentials(1000, 1000))
    try:
        fd = os.open(f"/proc/self/fd/{file.fd}", os.O_RDWR)
    finally:
        become(None)
    os.close(fd)
    assert posix_acl.from_mode(file.mode) == posix_acl.from_mode(0o666)
