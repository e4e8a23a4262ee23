"""commands/set_security.py: who may change which part of a descriptor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.vfs.sid import CREATOR_OWNER, EVERYONE, Domain
from ksmbd.wire import ipc
from ksmbd.wire.access import (
    DELETE,
    FILE_ALL_ACCESS,
    FILE_DIRECTORY_FILE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_READ_DATA,
    READ_CONTROL,
    WRITE_DAC,
    WRITE_OWNER,
)
from ksmbd.wire.query_info import INFO_SECURITY
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ATTRIBUTE_SECURITY_INFORMATION,
    BACKUP_SECURITY_INFORMATION,
    CONTAINER_INHERIT,
    DACL_PRESENT,
    DACL_PROTECTED,
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    LABEL_SECURITY_INFORMATION,
    OBJECT_INHERIT,
    OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION,
    PROTECTED_SACL_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
    SCOPE_SECURITY_INFORMATION,
    SELF_RELATIVE,
    UNPROTECTED_DACL_SECURITY_INFORMATION,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.fixtures import assert_no_bug
from tests.support.mountd import DISK, User, share, unprivileged_id

OWNER, GROUP = OWNER_SECURITY_INFORMATION, GROUP_SECURITY_INFORMATION
DACL = DACL_SECURITY_INFORMATION
DOMAIN = Domain((11, 22, 33))
JANE = 1001

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as two users")


@pytest.fixture
def stored(folder: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Engine]:
    """A server whose share keeps descriptors; jane is somebody else than joe."""
    users = [User("joe"), User("jane", uid=JANE, gid=JANE)]
    folder.chmod(0o777)
    flags = DISK | ipc.SHARE_ACL_XATTR
    yield Engine(folder, users=users, shares=[share("data", str(folder), flags)])
    assert_no_bug(caplog)


def descriptor(
    *aces: tuple[Sid, int], owner: Sid | None = None, group: Sid | None = None
) -> SecurityDescriptor:
    """One that allows."""
    acl = Acl(tuple(Ace(ACCESS_ALLOWED, 0, mask, sid) for sid, mask in aces)) if aces else None
    control = SELF_RELATIVE | (DACL_PRESENT if aces else 0)
    return SecurityDescriptor(control, owner, group, None, acl)


def setting(client: Client, file: File, parts: int, sd: SecurityDescriptor | bytes) -> NtStatus:
    data = sd if isinstance(sd, bytes) else sd.pack()
    frame = file.frames.set_info(0, data, info_type=INFO_SECURITY, additional_information=parts)
    return client.status(frame)


def told(client: Client, file: File) -> SecurityDescriptor:
    frame = file.frames.query_info(
        0, info_type=INFO_SECURITY, additional_information=OWNER | GROUP | DACL
    )
    return SecurityDescriptor.unpack(client.call(frame).data)


JOE = DOMAIN.uid_to_sid(unprivileged_id())
FULL = (JOE, FILE_ALL_ACCESS)


def test_a_dacl_that_is_set_is_told_again(stored: Engine) -> None:
    client = ready(stored)
    file = client.open("file")
    wanted = descriptor(FULL, (EVERYONE, FILE_GENERIC_READ))
    assert setting(client, file, DACL, wanted) is NtStatus.SUCCESS
    assert told(client, file).dacl == wanted.dacl
    assert (stored.folder / "file").stat().st_mode & 0o007 == 0o004


@root_only
def test_what_a_file_inherits_holds_though_its_owner_is_inherited_too(
    stored: Engine, folder: Path
) -> None:
    """`inherit owner`: who owns the directory is the CREATOR OWNER of what others make there."""
    flags = DISK | ipc.SHARE_ACL_XATTR | ipc.SHARE_INHERIT_OWNER
    users = [User("joe"), User("jane", uid=JANE, gid=JANE)]
    engine = Engine(folder, users=users, shares=[share("data", str(folder), flags)])
    joe, jane = ready(engine), ready(engine, user="jane")
    directory = joe.open("folder", create_options=FILE_DIRECTORY_FILE)
    inheritable = OBJECT_INHERIT | CONTAINER_INHERIT
    hers = FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE  # which no mode and POSIX ACL can say
    aces = (
        Ace(ACCESS_ALLOWED, inheritable, FILE_ALL_ACCESS, CREATOR_OWNER),
        Ace(ACCESS_ALLOWED, inheritable, hers, DOMAIN.uid_to_sid(JANE)),
        *(Ace(ACCESS_ALLOWED, 0, FILE_ALL_ACCESS, who) for who in (JOE, DOMAIN.uid_to_sid(JANE))),
    )
    wanted = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT, None, None, None, Acl(aces))
    assert setting(joe, directory, DACL, wanted) is NtStatus.SUCCESS
    file = jane.open(r"folder\file", desired_access=hers)
    assert (folder / "folder/file").stat().st_uid == unprivileged_id()
    found = told(jane, file)
    assert found.owner == JOE
    assert found.dacl is not None
    assert [(ace.sid, ace.mask) for ace in found.dacl.aces] == [
        FULL,
        (DOMAIN.uid_to_sid(JANE), hers),
    ]
    joe.open(r"folder\file", desired_access=FILE_GENERIC_WRITE)


def test_a_dacl_takes_effect_at_the_next_open(stored: Engine) -> None:
    client = ready(stored)
    file = client.open("file")
    setting(client, file, DACL, descriptor((JOE, FILE_GENERIC_READ | WRITE_DAC)))
    writing = client.frames.open("file", desired_access=FILE_GENERIC_WRITE)
    assert client.status(writing) is NtStatus.ACCESS_DENIED
    client.open("file", desired_access=FILE_GENERIC_READ)


def test_without_acl_xattr_the_mode_is_all_that_is_kept(client: Client, engine: Engine) -> None:
    file = client.open("file")
    assert setting(client, file, DACL, descriptor(FULL)) is NtStatus.SUCCESS
    assert (engine.folder / "file").stat().st_mode & 0o777 == 0o700


def test_parts_that_are_not_named_stay(stored: Engine) -> None:
    client = ready(stored)
    file = client.open("file")
    before = told(client, file)
    sd = descriptor((EVERYONE, FILE_READ_DATA), owner=DOMAIN.uid_to_sid(JANE))
    assert setting(client, file, 0, sd) is NtStatus.SUCCESS
    assert told(client, file) == before


def test_protection_is_set_and_taken_away_by_itself(stored: Engine) -> None:
    client = ready(stored)
    file = client.open("file")
    setting(client, file, DACL, descriptor(FULL))
    for part, protected in (
        (PROTECTED_DACL_SECURITY_INFORMATION, DACL_PROTECTED),
        (UNPROTECTED_DACL_SECURITY_INFORMATION, 0),
    ):
        assert setting(client, file, DACL | part, descriptor(FULL)) is NtStatus.SUCCESS
        assert told(client, file).control & DACL_PROTECTED == protected


@pytest.mark.parametrize(
    ("parts", "needed"),
    [
        (OWNER, WRITE_OWNER),
        (GROUP, WRITE_OWNER),
        (LABEL_SECURITY_INFORMATION, WRITE_OWNER),
        (DACL, WRITE_DAC),
        (PROTECTED_DACL_SECURITY_INFORMATION, WRITE_DAC),
        (UNPROTECTED_DACL_SECURITY_INFORMATION, WRITE_DAC),
        (ATTRIBUTE_SECURITY_INFORMATION, WRITE_DAC),
    ],
)
def test_each_part_needs_its_right(client: Client, parts: int, needed: int) -> None:
    client.open("file")
    file = client.open("file", desired_access=FILE_ALL_ACCESS & ~needed)
    sd = descriptor(FULL, owner=JOE, group=DOMAIN.gid_to_sid(unprivileged_id()))
    assert setting(client, file, parts, sd) is NtStatus.ACCESS_DENIED
    assert setting(client, file, parts | OWNER | DACL, sd) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize(
    "parts",
    [
        SACL_SECURITY_INFORMATION,
        SCOPE_SECURITY_INFORMATION,
        PROTECTED_SACL_SECURITY_INFORMATION,
        BACKUP_SECURITY_INFORMATION,
    ],
)
def test_the_sacl_needs_a_privilege(client: Client, parts: int) -> None:
    file = client.open("file")
    assert setting(client, file, parts, descriptor(FULL)) is NtStatus.ACCESS_DENIED


def test_a_malformed_descriptor_is_refused(client: Client) -> None:
    file = client.open("file")
    whole = descriptor(FULL, owner=JOE).pack()
    for length in range(1, len(whole)):
        refused = setting(client, file, DACL, whole[:length])
        assert refused is NtStatus.INVALID_SECURITY_DESCR, length


def test_nothing_is_set_on_a_read_only_share(engine: Engine) -> None:
    engine.make_file("file")
    client = ready(engine, share="ro")
    file = client.open("file", create_disposition=1, desired_access=READ_CONTROL)
    assert setting(client, file, 0, descriptor(FULL)) is NtStatus.ACCESS_DENIED


def test_a_pipe_has_no_descriptor(engine: Engine) -> None:
    client = ready(engine, share="IPC$")
    file = client.open("srvsvc")
    refused = setting(client, file, DACL, descriptor(FULL))
    assert refused in (NtStatus.INVALID_DEVICE_REQUEST, NtStatus.ACCESS_DENIED)


# -- owners ------------------------------------------------------------------------------


@pytest.mark.parametrize("sid", [EVERYONE, Sid.parse("S-1-5-21-1-2-3-1000")])
def test_who_is_nobody_here_owns_nothing(client: Client, sid: Sid) -> None:
    file = client.open("file")
    assert setting(client, file, OWNER, descriptor(owner=sid)) is NtStatus.INVALID_OWNER


def test_a_file_is_not_given_away(stored: Engine) -> None:
    client = ready(stored)
    file = client.open("file")
    sd = descriptor(owner=DOMAIN.uid_to_sid(JANE))
    assert setting(client, file, OWNER, sd) is NtStatus.INVALID_OWNER
    assert (stored.folder / "file").stat().st_uid == unprivileged_id()


def test_setting_the_owner_it_has_is_no_change(client: Client) -> None:
    file = client.open("file")
    sd = descriptor(owner=JOE)
    assert setting(client, file, OWNER, sd) is NtStatus.SUCCESS


@root_only
def test_who_was_granted_it_takes_ownership(stored: Engine) -> None:
    joe, jane = ready(stored), ready(stored, user="jane")
    sd = descriptor(FULL, (DOMAIN.uid_to_sid(JANE), WRITE_OWNER | READ_CONTROL))
    file = joe.open("file")
    assert setting(joe, file, DACL, sd) is NtStatus.SUCCESS
    taken = jane.open("file", create_disposition=1, desired_access=WRITE_OWNER)
    sd = descriptor(owner=DOMAIN.uid_to_sid(JANE))
    assert setting(jane, taken, OWNER, sd) is NtStatus.SUCCESS
    assert (stored.folder / "file").stat().st_uid == JANE


@root_only
def test_who_was_granted_it_changes_another_s_dacl(stored: Engine) -> None:
    joe, jane = ready(stored), ready(stored, user="jane")
    hers = (DOMAIN.uid_to_sid(JANE), WRITE_DAC | READ_CONTROL)
    file = joe.open("file")
    setting(joe, file, DACL, descriptor(FULL, hers))
    changed = jane.open("file", create_disposition=1, desired_access=WRITE_DAC)
    wanted = descriptor(FULL, hers, (EVERYONE, FILE_GENERIC_READ))
    assert setting(jane, changed, DACL, wanted) is NtStatus.SUCCESS
    assert told(joe, file).dacl == wanted.dacl


@root_only
def test_a_group_that_is_not_one_s_own_is_not_given(stored: Engine) -> None:
    joe, jane = ready(stored), ready(stored, user="jane")
    file = joe.open("file")
    setting(joe, file, DACL, descriptor(FULL, (DOMAIN.uid_to_sid(JANE), FILE_ALL_ACCESS)))
    taken = jane.open("file", create_disposition=1, desired_access=WRITE_OWNER)
    sd = descriptor(owner=DOMAIN.uid_to_sid(JANE), group=DOMAIN.gid_to_sid(0))
    assert setting(jane, taken, OWNER | GROUP, sd) is NtStatus.ACCESS_DENIED
    found = (stored.folder / "file").stat()
    assert (found.st_uid, found.st_gid) == (unprivileged_id(), unprivileged_id())


@root_only
def test_without_acl_xattr_only_the_owner_changes_anything(engine: Engine) -> None:
    engine.mountd.users["jane"].uid = engine.mountd.users["jane"].gid = JANE
    path = engine.make_file("file")
    path.chmod(0o777)
    engine.folder.chmod(0o755)
    jane = ready(engine, user="jane")
    for access in (WRITE_DAC, WRITE_OWNER):
        wanted = jane.frames.open("file", desired_access=access)
        assert jane.status(wanted) is NtStatus.ACCESS_DENIED
    jane.open("file", create_disposition=1, desired_access=FILE_GENERIC_WRITE | READ_CONTROL)
    assert jane.status(jane.frames.open("file", desired_access=DELETE)) is NtStatus.ACCESS_DENIED
