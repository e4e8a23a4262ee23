"""Descriptors of real files: stored, made from POSIX permissions, inherited."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from ksmbd.vfs import acl, ntacl, posix_acl
from ksmbd.vfs.access import maximum, token
from ksmbd.vfs.attributes import AttributeStore
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.sid import CREATOR_OWNER, EVERYONE, Domain
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    GENERIC_ALL,
    GENERIC_READ,
)
from ksmbd.wire.security import (
    ACCESS_DENIED,
    BACKUP_SECURITY_INFORMATION,
    CONTAINER_INHERIT,
    DACL_AUTO_INHERIT_REQ,
    DACL_AUTO_INHERITED,
    DACL_PRESENT,
    DACL_PROTECTED,
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    INHERIT_ONLY,
    LABEL_SECURITY_INFORMATION,
    OBJECT_INHERIT,
    OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION,
    SACL_PRESENT,
    SACL_SECURITY_INFORMATION,
    SELF_RELATIVE,
    SUCCESSFUL_ACCESS,
    SYSTEM_AUDIT,
    SYSTEM_MANDATORY_LABEL,
    UNPROTECTED_DACL_SECURITY_INFORMATION,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from tests.support.descriptors import allow, with_dacl
from tests.vfs.samba_files import FILES

DOMAIN = Domain((1, 2, 3))
UID = os.geteuid()
GID = os.getegid()
ME = token(DOMAIN, UID, GID)
BOB = DOMAIN.uid_to_sid(1001)
DACL = DACL_SECURITY_INFORMATION
POSIX, STORED, ALONE = acl.Keep.POSIX, acl.Keep.STORED, acl.Keep.ALONE
HEIRS = OBJECT_INHERIT | CONTAINER_INHERIT

needs_root = pytest.mark.skipif(UID != 0, reason="chown needs root")
needs_security = pytest.mark.skipif(
    not acl._may_write_security(), reason="security.* needs CAP_SYS_ADMIN"
)


class File:
    """An open descriptor, as a handle is one."""

    def __init__(self, path: Path, flags: int = os.O_RDONLY) -> None:
        self.path = path
        self.fd = os.open(path, flags | os.O_CLOEXEC)

    @property
    def mode(self) -> int:
        return stat.S_IMODE(os.fstat(self.fd).st_mode)

    def xattrs(self) -> set[str]:
        return set(os.listxattr(self.path))


@pytest.fixture
def folder(real_folder: Path, request: pytest.FixtureRequest) -> Iterator[File]:
    path = real_folder / f"acl-{abs(hash(request.node.nodeid)):x}"
    path.mkdir(mode=0o755)
    opened = File(path)
    yield opened
    os.close(opened.fd)


@pytest.fixture
def file(folder: File) -> Iterator[File]:
    (folder.path / "file").touch()
    opened = File(folder.path / "file")
    os.fchmod(opened.fd, 0o644)
    yield opened
    os.close(opened.fd)


@pytest.fixture(params=["security", "user"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which descriptors are stored: both kinds of server."""
    privileged = request.param == "security"
    if privileged and not acl._may_write_security():
        pytest.skip("security.* needs CAP_SYS_ADMIN")
    monkeypatch.setattr(acl, "_may_write_security", lambda: privileged)
    return ntacl.NAME if privileged else ntacl.NAME_UNPRIVILEGED


OWN = allow(ME.user, FILE_ALL_ACCESS)
READ = allow(EVERYONE, FILE_GENERIC_READ)
BOB_WRITES = allow(BOB, FILE_GENERIC_READ | FILE_GENERIC_WRITE)


def dacl_of(opened: File, keep: acl.Keep = STORED) -> tuple[Ace, ...]:
    found = acl.descriptor(opened, DOMAIN, keep).dacl
    assert found is not None
    return found.aces


# Made from POSIX


@pytest.mark.parametrize("keep", [POSIX, STORED])
def test_without_a_stored_descriptor_the_mode_speaks(file: File, keep: acl.Keep) -> None:
    found = acl.descriptor(file, DOMAIN, keep)
    assert found.owner == ME.user
    assert found.group == DOMAIN.gid_to_sid(GID)
    assert found.control == SELF_RELATIVE | DACL_PRESENT
    assert found.dacl == posix_acl.dacl(UID, GID, posix_acl.from_mode(0o644), None, DOMAIN, False)
    assert acl.stored(file, DOMAIN, STORED) is None


def test_an_o_path_descriptor_will_do(file: File, kept: str) -> None:
    acl.store(file, with_dacl(OWN, READ, BOB_WRITES), DACL, DOMAIN, STORED)
    path = File(file.path, os.O_PATH)
    assert acl.descriptor(path, DOMAIN, STORED) == acl.descriptor(file, DOMAIN, STORED)
    acl.store(path, with_dacl(OWN), DACL, DOMAIN, STORED)
    assert dacl_of(path) == (OWN,)
    os.close(path.fd)


def test_a_mode_set_by_dacl_reads_back_for_all_modes(file: File) -> None:
    for mode in range(0o1000):
        wanted = posix_acl.dacl(UID, GID, posix_acl.from_mode(mode), None, DOMAIN, False)
        acl.store(file, with_dacl()._replace(dacl=wanted), DACL, DOMAIN, POSIX)
        assert file.mode == mode
        assert dacl_of(file, POSIX) == wanted.aces


def test_a_local_setfacl_is_seen(file: File) -> None:
    if which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    subprocess.run(["setfacl", "-m", "u:1001:rw-", str(file.path)], check=True)
    assert BOB_WRITES in dacl_of(file)


def test_posix_acls_are_what_getfacl_shows(folder: File) -> None:
    if which("getfacl") is None:
        pytest.skip("getfacl is not installed")
    heir = allow(BOB, FILE_GENERIC_READ, HEIRS)
    acl.store(folder, with_dacl(OWN, heir, READ), DACL, DOMAIN, POSIX)
    shown = subprocess.run(
        ["getfacl", "-nc", "--absolute-names", str(folder.path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split() == [
        "user::rwx",
        "user:1001:r--",
        "group::r--",
        "mask::r--",
        "other::r--",
        "default:user::rwx",
        "default:user:1001:r--",
        "default:group::---",
        "default:mask::r--",
        "default:other::---",
    ]


def test_a_dacl_without_heirs_removes_the_default_acl(folder: File) -> None:
    acl.store(
        folder, with_dacl(OWN, allow(EVERYONE, FILE_GENERIC_READ, HEIRS)), DACL, DOMAIN, POSIX
    )
    assert "system.posix_acl_default" in folder.xattrs()
    acl.store(folder, with_dacl(OWN, READ), DACL, DOMAIN, POSIX)
    assert folder.xattrs() == set()


def test_the_sticky_and_setgid_bits_survive_a_new_dacl(folder: File) -> None:
    os.fchmod(folder.fd, 0o3755)
    acl.store(folder, with_dacl(OWN, READ), DACL, DOMAIN, POSIX)
    assert folder.mode == 0o3744
    acl.store(folder, with_dacl(OWN, READ, BOB_WRITES), DACL, DOMAIN, POSIX)
    assert folder.mode & 0o3700 == 0o3700
    acl.store(folder, with_dacl(OWN, allow(Sid(5, 88, 3, 0o1750), 0)), DACL, DOMAIN, POSIX)
    assert folder.mode == 0o1750


def test_a_file_system_without_acls_gets_the_mode(
    folder: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no ACLs here")

    monkeypatch.setattr(acl, "set_value", refuse)
    acl.store(folder, with_dacl(OWN, READ, BOB_WRITES), DACL, DOMAIN, POSIX)
    assert folder.mode == 0o744  # without the mask, in which Bob would show
    with pytest.raises(OSError, match="no ACLs"):
        acl.store(folder, with_dacl(OWN), DACL, DOMAIN, STORED)


# Stored


FANCY = (
    Ace(ACCESS_DENIED, 0, 0x10, BOB),
    OWN,
    allow(Sid(5, 21, 9, 9, 9, 1000), 0x1200A9),
    allow(EVERYONE, FILE_GENERIC_READ, HEIRS | INHERIT_ONLY),
)


def test_what_is_stored_is_read_back_whole(file: File, kept: str) -> None:
    acl.store(file, with_dacl(*FANCY, control=DACL_PROTECTED), DACL, DOMAIN, STORED)
    found = acl.descriptor(file, DOMAIN, STORED)
    assert found.dacl == Acl(FANCY)
    assert found.control == SELF_RELATIVE | DACL_PRESENT | DACL_PROTECTED
    assert (found.owner, found.group) == (ME.user, DOMAIN.gid_to_sid(GID))
    assert acl.stored(file, DOMAIN, STORED) == found
    assert kept in file.xattrs()
    assert file.mode == 0o700


def test_a_share_without_acl_xattr_stores_and_reads_none(file: File, kept: str) -> None:
    acl.store(file, with_dacl(*FANCY), DACL, DOMAIN, POSIX)
    assert kept not in file.xattrs()
    acl.store(file, with_dacl(*FANCY), DACL, DOMAIN, STORED)
    assert dacl_of(file, POSIX) != FANCY


def test_a_local_chmod_is_honoured(file: File, kept: str) -> None:
    acl.store(file, with_dacl(*FANCY), DACL, DOMAIN, STORED)
    os.fchmod(file.fd, 0o640)
    assert acl.stored(file, DOMAIN, STORED) is None
    assert dacl_of(file) == dacl_of(file, POSIX) != FANCY
    os.fchmod(file.fd, 0o700)
    assert dacl_of(file) == FANCY


def test_a_local_setfacl_overrides_the_stored_descriptor(folder: File, kept: str) -> None:
    acl.store(folder, with_dacl(OWN, READ), DACL, DOMAIN, STORED)
    default = posix_acl.pack(posix_acl.from_mode(0o700))
    os.setxattr(folder.path, "system.posix_acl_default", default)
    assert acl.stored(folder, DOMAIN, STORED) is None
    os.removexattr(folder.path, "system.posix_acl_default")
    assert dacl_of(folder) == (OWN, READ)


def test_a_null_and_an_empty_dacl_are_kept(file: File, kept: str) -> None:
    null = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT)
    acl.store(file, null, DACL, DOMAIN, STORED)
    found = acl.descriptor(file, DOMAIN, STORED)
    assert (found.dacl, found.dacl_present, file.mode) == (None, True, 0o777)
    acl.store(file, with_dacl(), DACL, DOMAIN, STORED)
    assert acl.descriptor(file, DOMAIN, STORED).dacl == Acl()
    assert file.mode == 0


def test_a_dacl_that_is_named_but_absent_becomes_a_null_dacl(file: File, kept: str) -> None:
    acl.store(file, SecurityDescriptor(), DACL, DOMAIN, STORED)
    found = acl.descriptor(file, DOMAIN, STORED)
    assert (found.dacl, found.dacl_present, file.mode) == (None, True, 0o777)


def test_parts_that_are_not_named_are_not_taken(file: File, kept: str) -> None:
    acl.store(file, with_dacl(*FANCY), OWNER_SECURITY_INFORMATION, DOMAIN, STORED)
    assert acl.stored(file, DOMAIN, STORED) is None
    assert file.mode == 0o644


def test_generic_rights_are_stored_as_what_they_mean(file: File, kept: str) -> None:
    below = allow(CREATOR_OWNER, GENERIC_ALL, HEIRS | INHERIT_ONLY)
    acl.store(file, with_dacl(OWN, allow(EVERYONE, GENERIC_READ), below), DACL, DOMAIN, STORED)
    assert dacl_of(file) == (OWN, READ, below)


AI, REQ = DACL_AUTO_INHERITED, DACL_AUTO_INHERIT_REQ


@pytest.mark.parametrize(
    ("sent", "info", "kept_bits"),
    [
        (0, 0, 0),
        (AI, 0, 0),
        (REQ, 0, 0),
        (AI | REQ, 0, AI),
        (DACL_PROTECTED, 0, DACL_PROTECTED),
        (0, PROTECTED_DACL_SECURITY_INFORMATION, DACL_PROTECTED),
        (DACL_PROTECTED, UNPROTECTED_DACL_SECURITY_INFORMATION, 0),
    ],
)
def test_control_bits(file: File, sent: int, info: int, kept_bits: int) -> None:
    acl.store(file, with_dacl(OWN, control=sent), DACL | info, DOMAIN, STORED)
    assert acl.descriptor(file, DOMAIN, STORED).control == SELF_RELATIVE | DACL_PRESENT | kept_bits


def test_a_new_dacl_starts_with_new_control_bits(file: File) -> None:
    acl.store(file, with_dacl(OWN, control=AI | REQ | DACL_PROTECTED), DACL, DOMAIN, STORED)
    acl.store(file, with_dacl(OWN), DACL, DOMAIN, STORED)
    assert acl.descriptor(file, DOMAIN, STORED).control == SELF_RELATIVE | DACL_PRESENT


@pytest.mark.parametrize(
    "blob",
    [b"", b"\4\0\4\0", bytes(400), FILES["plain_file"].ntacl[:-1], b"\xff" * 3000],
    ids=["empty", "short", "zeros", "truncated", "long"],
)
def test_a_poisoned_value_is_ignored(file: File, folder: File, kept: str, blob: bytes) -> None:
    os.setxattr(file.path, kept, blob)
    os.setxattr(folder.path, kept, blob)
    assert acl.stored(file, DOMAIN, STORED) is None
    assert dacl_of(file) == dacl_of(file, POSIX)
    acl.settle(file, folder, ME, DOMAIN, STORED)
    assert acl.stored(file, DOMAIN, STORED) is None


def test_a_server_with_the_privilege_does_not_trust_the_users_name(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acl, "_may_write_security", lambda: False)
    acl.store(file, with_dacl(*FANCY), DACL, DOMAIN, STORED)
    monkeypatch.setattr(acl, "_may_write_security", lambda: True)
    assert acl.stored(file, DOMAIN, STORED) is None


@needs_root
@needs_security
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_comes_from_samba_keeps_its_descriptor(folder: File, name: str) -> None:
    origin = FILES[name]
    path = folder.path / "moved"
    if stat.S_ISDIR(origin.mode):
        path.mkdir()
    else:
        path.touch()
    os.chown(path, origin.uid, origin.gid)
    os.setxattr(path, "system.posix_acl_access", origin.access)
    if origin.default:
        os.setxattr(path, "system.posix_acl_default", origin.default)
    os.setxattr(path, ntacl.NAME, origin.ntacl)
    moved = File(path)
    found = acl.stored(moved, DOMAIN, STORED)
    assert found is not None
    theirs = ntacl.decode(origin.ntacl).sd
    assert found.dacl is not None
    assert theirs.dacl is not None
    assert [ace.mask for ace in found.dacl.aces] == [ace.mask for ace in theirs.dacl.aces]
    # The owner's SID was the other machine's; the owner is who owns the file.
    assert found.owner == DOMAIN.uid_to_sid(2001)
    assert maximum(found, token(DOMAIN, 2001, 2001)) == FILE_ALL_ACCESS
    assert found.group == theirs.group
    os.close(moved.fd)


# SACL


AUDIT = Ace(SYSTEM_AUDIT, SUCCESSFUL_ACCESS, 2, EVERYONE)
LABEL = Ace(SYSTEM_MANDATORY_LABEL, 0, 1, Sid(16, 0x2000))


def with_sacl(*aces: Ace) -> SecurityDescriptor:
    return SecurityDescriptor(SELF_RELATIVE | SACL_PRESENT, None, None, Acl(aces), None)


def test_a_sacl_is_stored_beside_what_the_mode_says(file: File, kept: str) -> None:
    before = dacl_of(file)
    acl.store(file, with_sacl(AUDIT, LABEL), SACL_SECURITY_INFORMATION, DOMAIN, STORED)
    found = acl.descriptor(file, DOMAIN, STORED)
    assert found.sacl == Acl((AUDIT,))
    assert found.dacl == Acl(before)
    acl.store(file, with_sacl(LABEL), LABEL_SECURITY_INFORMATION, DOMAIN, STORED)
    assert acl.descriptor(file, DOMAIN, STORED).sacl == Acl((AUDIT, LABEL))
    acl.store(file, with_sacl(), SACL_SECURITY_INFORMATION, DOMAIN, STORED)
    assert acl.descriptor(file, DOMAIN, STORED).sacl == Acl((LABEL,))
    acl.store(file, with_sacl(), LABEL_SECURITY_INFORMATION, DOMAIN, STORED)
    found = acl.descriptor(file, DOMAIN, STORED)
    assert (found.sacl, found.control & SACL_PRESENT) == (None, 0)


def test_a_sacl_is_refused_where_none_is_stored(file: File) -> None:
    with pytest.raises(OSError, match="SACL") as refused:
        acl.store(file, with_sacl(AUDIT), SACL_SECURITY_INFORMATION, DOMAIN, POSIX)
    assert refused.value.errno == errno.EOPNOTSUPP


def test_the_parts_asked_for_are_selected() -> None:
    whole = SecurityDescriptor(
        SELF_RELATIVE | DACL_PRESENT | SACL_PRESENT | DACL_PROTECTED,
        BOB,
        EVERYONE,
        Acl((AUDIT, LABEL)),
        Acl((OWN,)),
    )
    assert acl.select(whole, 0) == SecurityDescriptor()
    assert acl.select(whole, OWNER_SECURITY_INFORMATION).owner == BOB
    assert acl.select(whole, OWNER_SECURITY_INFORMATION).group is None
    assert acl.select(whole, GROUP_SECURITY_INFORMATION).group == EVERYONE
    only_dacl = acl.select(whole, DACL)
    assert only_dacl.control == SELF_RELATIVE | DACL_PRESENT | DACL_PROTECTED
    assert (only_dacl.dacl, only_dacl.sacl) == (whole.dacl, None)
    assert acl.select(whole, SACL_SECURITY_INFORMATION).sacl == Acl((AUDIT,))
    assert acl.select(whole, LABEL_SECURITY_INFORMATION).sacl == Acl((LABEL,))
    assert acl.select(whole._replace(sacl=Acl((AUDIT,))), LABEL_SECURITY_INFORMATION).sacl is None
    assert acl.select(whole, BACKUP_SECURITY_INFORMATION) == whole


# Owner and group


@needs_root
def test_root_gives_a_file_away_and_the_descriptor_follows(file: File) -> None:
    acl.store(file, with_dacl(OWN, BOB_WRITES), DACL, DOMAIN, STORED)
    given = SecurityDescriptor(SELF_RELATIVE, BOB, DOMAIN.gid_to_sid(500))
    both = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION
    acl.store(file, given, both, DOMAIN, STORED)
    st = os.fstat(file.fd)
    assert (st.st_uid, st.st_gid) == (1001, 500)
    found = acl.stored(file, DOMAIN, STORED)
    assert found is not None
    assert (found.owner, found.group) == (BOB, DOMAIN.gid_to_sid(500))
    assert found.dacl == Acl((OWN, BOB_WRITES))
    assert file.mode & 0o700 == 0o600  # Bob's entry is the owner's now


@pytest.mark.parametrize(
    ("owner", "keep"),
    [
        ("S-1-5-21-9-9-9-1000", STORED),
        ("S-1-22-2-0", STORED),
        ("S-1-1-0", POSIX),
        ("S-1-5-32-544", POSIX),
    ],
)
def test_who_is_no_user_here_cannot_own(file: File, owner: str, keep: acl.Keep) -> None:
    asked = SecurityDescriptor(SELF_RELATIVE, Sid.parse(owner))
    with pytest.raises(acl.InvalidOwner):
        acl.store(file, asked, OWNER_SECURITY_INFORMATION, DOMAIN, keep)


def test_a_foreign_group_is_only_stored(file: File) -> None:
    asked = with_dacl(OWN)._replace(group=DOMAIN.users)
    info = DACL | GROUP_SECURITY_INFORMATION
    with pytest.raises(acl.InvalidOwner):
        acl.store(file, asked, info, DOMAIN, POSIX)
    acl.store(file, asked, info, DOMAIN, STORED)
    assert acl.descriptor(file, DOMAIN, STORED).group == DOMAIN.users
    assert os.fstat(file.fd).st_gid == GID


def test_only_oneself_may_be_made_owner_without_privilege(file: File) -> None:
    alice = token(DOMAIN, 1000, 1000)
    asked = SecurityDescriptor(SELF_RELATIVE, BOB)
    with pytest.raises(acl.InvalidOwner):
        acl.store(file, asked, OWNER_SECURITY_INFORMATION, DOMAIN, STORED, alice)


@needs_root
def test_ownership_may_be_taken_for_a_token(file: File) -> None:
    alice = token(DOMAIN, 1000, 1000)
    asked = SecurityDescriptor(SELF_RELATIVE, alice.user)
    acl.store(file, asked, OWNER_SECURITY_INFORMATION, DOMAIN, STORED, alice)
    assert os.fstat(file.fd).st_uid == 1000


@needs_security
def test_the_privilege_stays_with_a_thread_that_acts_as_a_user(file: File) -> None:
    os.chown(file.path, 1001, 1001)
    try:
        become(Credentials(1001, 1001, (1001,)))
        acl.store(file, with_dacl(OWN, allow(BOB, FILE_ALL_ACCESS)), DACL, DOMAIN, STORED)
    finally:
        become(None)
    assert ntacl.NAME in file.xattrs()


@needs_root
def test_the_kernel_judges_by_the_threads_identity(folder: File, file: File) -> None:
    os.chown(file.path, 1001, 1001)
    mine = allow(BOB, FILE_ALL_ACCESS)
    given = SecurityDescriptor(SELF_RELATIVE, Sid(22, 1, 0))
    try:
        become(Credentials(1001, 1001, (1001,)))
        acl.store(file, with_dacl(mine, READ), DACL, DOMAIN, STORED)
        with pytest.raises(PermissionError):
            acl.store(folder, with_dacl(mine), DACL, DOMAIN, STORED)
        with pytest.raises(PermissionError):
            acl.store(file, given, OWNER_SECURITY_INFORMATION, DOMAIN, STORED)
    finally:
        become(None)
    assert dacl_of(file) == (mine, READ)
    assert acl.stored(folder, DOMAIN, STORED) is None


def test_a_list_too_long_to_store_changes_nothing(file: File) -> None:
    aces = [OWN] * 3000
    with pytest.raises(OSError, match="ACL") as refused:
        acl.store(file, with_dacl(*aces), DACL, DOMAIN, STORED)
    assert refused.value.errno == errno.E2BIG
    assert file.mode == 0o644


# What was read of a file as it was seen


def test_what_was_seen_of_a_file_names_its_descriptor(file: File) -> None:
    """A later change of the file, which its next stat tells, has a descriptor of its own."""
    store = AttributeStore(
        stored=True, hide_dot_files=False, clock=lambda: os.stat(file.fd).st_ctime_ns + 10**10
    )
    before = store.stat_fd(file.fd, "file", path_only=False)
    first = acl.descriptor(file, DOMAIN, STORED)
    assert acl.descriptor(file, DOMAIN, STORED, before) == first
    time.sleep(0.03)
    os.fchmod(file.fd, 0o600)
    after = store.stat_fd(file.fd, "file", path_only=False)
    assert after.ctime != before.ctime
    now = acl.descriptor(file, DOMAIN, STORED, after)
    assert now == acl.descriptor(file, DOMAIN, STORED) != first
