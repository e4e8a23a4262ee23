"""The second lock: with the server's own access checks off, the kernel still says no.

Two clients, two system users.  bob asks for everything that alice's modes forbid, on handles that
the server, gullible for the sake of these tests, has granted every right.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ksmbd.vfs import acl
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.xattr import pack_dosattrib
from ksmbd.wire.access import (
    ATTR_HIDDEN,
    ATTR_READONLY,
    DELETE,
    FILE_APPEND_DATA,
    FILE_DIRECTORY_FILE,
    FILE_OVERWRITE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SUPERSEDE,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
    MAXIMUM_ALLOWED,
)
from ksmbd.wire.file_chains import pack_full_eas
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.query_info import INFO_SECURITY
from ksmbd.wire.security import (
    DACL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
)
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.security.users import ALICE, BOB, CLUB, Users, as_root, switch_checks_off
from tests.support.arena import DESCRIPTOR
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.frames import Frame, FrameFactory

pytestmark = as_root
DENIED = NtStatus.ACCESS_DENIED
LOOK = FILE_READ_ATTRIBUTES  # an open that the kernel is not asked about: O_PATH


@pytest.fixture
def gullible(users: Users, monkeypatch: pytest.MonkeyPatch) -> Engine:
    switch_checks_off(monkeypatch)
    return users.engine()


@pytest.fixture
def bob(gullible: Engine) -> Client:
    return ready(gullible, user="bob")


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything of a tree that anybody could change, as root sees it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        st = path.lstat()
        kind = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_mtime_ns)
        attributes = sorted((name, os.getxattr(path, name)) for name in os.listxattr(path))
        found[str(path)] = (*kind, attributes, path.read_bytes() if path.is_file() else b"")
    return found


# -- opening -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "access"),
    [
        (0o600, FILE_READ_DATA),
        (0o600, FILE_WRITE_DATA),
        (0o644, FILE_WRITE_DATA),
        (0o622, FILE_READ_DATA),
        (0o060, FILE_READ_DATA),
    ],
)
def test_a_file_of_somebody_else_is_not_opened(
    users: Users, bob: Client, mode: int, access: int
) -> None:
    users.file("alice/file", ALICE, mode)
    assert bob.status(bob.frames.open(r"alice\file", desired_access=access)) is DENIED


def test_what_the_mode_allows_works(users: Users, bob: Client) -> None:
    users.file("alice/file", ALICE, 0o666)
    file = bob.open(r"alice\file", desired_access=FILE_READ_DATA | FILE_WRITE_DATA)
    assert bob.call(file.frames.read(6)).data == b"secret"
    assert bob.status(file.frames.write(b"known")) is NtStatus.SUCCESS


@pytest.mark.parametrize(
    ("mode", "named", "status"),
    [
        (0o644, 0, NtStatus.SUCCESS),
        (0o644, FILE_READ_DATA, NtStatus.SUCCESS),
        (0o644, FILE_WRITE_DATA, DENIED),
        (0o600, 0, NtStatus.SUCCESS),
        (0o600, FILE_READ_DATA, DENIED),
    ],
)
def test_maximum_allowed_is_no_more_than_the_kernel_gives(
    users: Users, bob: Client, mode: int, named: int, status: NtStatus
) -> None:
    """A list that grants all is not in the way of what the mode leaves of it."""
    users.file("alice/file", ALICE, mode)
    frame = bob.frames.open(r"alice\file", desired_access=MAXIMUM_ALLOWED | named)
    response = bob.call(frame)
    assert response.status is status
    if status is NtStatus.SUCCESS:
        file, reads = bob.file(response), bool(mode & 0o004)
        assert bob.status(file.frames.write(b"changed")) is not NtStatus.SUCCESS
        assert (bob.status(file.frames.read(6)) is NtStatus.SUCCESS) is reads
        granted = bob.engine.server.opens.all()[-1].granted_access
        assert bool(granted & FILE_READ_DATA) is reads
        assert not granted & (FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_EA)


def test_a_supplementary_group_counts(users: Users, bob: Client, gullible: Engine) -> None:
    users.file("alice/file", Credentials(ALICE.uid, CLUB), 0o660)
    file = bob.open(r"alice\file", desired_access=FILE_READ_DATA | FILE_WRITE_DATA)
    assert bob.call(file.frames.read(6)).data == b"secret"
    gullible.mountd.users["bob"].groups = ()
    alone = ready(gullible, user="bob")
    frame = alone.frames.open(r"alice\file", desired_access=FILE_READ_DATA)
    assert alone.status(frame) is DENIED


@pytest.mark.parametrize("disposition", [FILE_OVERWRITE, FILE_SUPERSEDE])
def test_nothing_is_overwritten(users: Users, bob: Client, disposition: int) -> None:
    path = users.file("alice/file", ALICE, 0o644)
    frame = bob.frames.create(
        r"alice\file", create_disposition=disposition, desired_access=FILE_READ_ATTRIBUTES
    )
    assert bob.status(frame) is DENIED
    assert path.read_bytes() == b"secret"


@pytest.mark.parametrize(
    ("name", "options"),
    [(r"alice\new", 0), (r"alice\new", FILE_DIRECTORY_FILE), (r"alice\new:stream", 0)],
)
def test_nothing_is_made_where_one_may_not(
    users: Users, bob: Client, name: str, options: int
) -> None:
    assert bob.status(bob.frames.create(name, create_options=options)) is DENIED
    assert not (users.folder / "alice/new").exists()


def test_a_private_directory_is_neither_entered_nor_listed(users: Users, bob: Client) -> None:
    private = users.directory("alice/private", ALICE, 0o700)
    users.file("alice/private/file", ALICE, 0o666)
    inside = bob.frames.open(r"alice\private\file", desired_access=FILE_READ_DATA)
    assert bob.status(inside) is DENIED
    assert bob.status(bob.frames.create(r"alice\private\new")) is DENIED
    frame = bob.frames.open(r"alice\private", desired_access=FILE_READ_DATA)
    assert bob.status(frame) is DENIED
    seen = bob.open(r"alice\private", desired_access=LOOK)
    assert bob.status(seen.frames.query_directory()) is DENIED
    assert sorted(path.name for path in private.iterdir()) == ["file"]


def test_a_directory_that_may_be_entered_but_not_listed_is_not_listed(
    users: Users, bob: Client
) -> None:
    users.directory("alice/hall", ALICE, 0o711)
    users.file("alice/hall/file", ALICE, 0o644)
    bob.open(r"alice\hall\file", desired_access=FILE_READ_DATA)
    seen = bob.open(r"alice\hall", desired_access=LOOK)
    assert bob.status(seen.frames.query_directory()) is DENIED


# -- changing what one has a handle of ------------------------------------------------------


def basic(*, write: int = 0, attributes: int = 0) -> bytes:
    return struct.pack("<qqqqII", 0, 0, write, 0, attributes, 0)


def named(name: str, *, replace: bool = True) -> bytes:
    raw = utf16(name)
    return struct.pack("<B7xQI", replace, 0, len(raw)) + raw


def security(frames: FrameFactory, information: int, descriptor: bytes) -> Frame:
    return frames.set_info(
        0, descriptor, info_type=INFO_SECURITY, additional_information=information
    )


def owned_by_bob(engine: Engine) -> bytes:
    sid = engine.server.domain.uid_to_sid(BOB.uid).pack()
    return struct.pack("<BBHIIII", 1, 0, 0x8000, 20, 0, 0, 0) + sid


CHANGES: dict[str, Callable[[FrameFactory], Frame]] = {
    "times": lambda f: f.set_info(FileInfo.BASIC, basic(write=130_000_000_000_000_000)),
    "attributes": lambda f: f.set_info(FileInfo.BASIC, basic(attributes=2)),
    "rename": lambda f: f.set_info(FileInfo.RENAME, named(r"bob\taken")),
    "rename within": lambda f: f.set_info(FileInfo.RENAME, named(r"alice\other")),
    "eas": lambda f: f.set_info(FileInfo.FULL_EA, pack_full_eas([("ONE", b"1")])[0]),
    "write": lambda f: f.write(b"changed"),
    "end of file": lambda f: f.set_info(FileInfo.END_OF_FILE, bytes(8)),
    "allocation": lambda f: f.set_info(FileInfo.ALLOCATION, bytes(8)),
    "mode": lambda f: security(f, DACL_SECURITY_INFORMATION, bytes.fromhex(DESCRIPTOR)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_handle_to_look_with_changes_nothing(users: Users, bob: Client, change: str) -> None:
    """The handle has every right by the server's word; it was opened O_PATH."""
    users.file("alice/file", ALICE, 0o644)
    users.directory("alice/dir", ALICE, 0o755)
    file = bob.open(r"alice\file", desired_access=LOOK)
    before = snapshot(users.folder)
    status = bob.status(CHANGES[change](file.frames))
    assert status in (DENIED, NtStatus.INVALID_HANDLE), status
    assert snapshot(users.folder) == before


def test_nobody_takes_ownership(users: Users, bob: Client, gullible: Engine) -> None:
    users.file("alice/file", ALICE, 0o666)
    file = bob.open(r"alice\file", desired_access=LOOK)
    frame = security(file.frames, OWNER_SECURITY_INFORMATION, owned_by_bob(gullible))
    before = snapshot(users.folder)
    assert bob.status(frame) is DENIED
    assert snapshot(users.folder) == before


def test_a_readable_file_is_not_deleted(users: Users, bob: Client) -> None:
    """Neither by disposition, nor by delete-on-close, nor when the client goes away."""
    path = users.file("alice/file", ALICE, 0o666)
    file = bob.open(r"alice\file", desired_access=FILE_READ_DATA | DELETE)
    bob.send(file.frames.set_info(FileInfo.DISPOSITION, b"\1"))
    bob.send(file.frames.close())
    assert path.exists()
    bob.open(r"alice\file", desired_access=DELETE, create_options=0x1000)
    bob.lose()
    assert path.exists()


def test_a_link_into_another_users_directory_is_refused(users: Users, bob: Client) -> None:
    users.file("bob/mine", BOB, 0o644)
    file = bob.open(r"bob\mine", desired_access=FILE_READ_DATA)
    assert bob.status(file.frames.set_info(FileInfo.LINK, named(r"alice\planted"))) is DENIED
    assert not (users.folder / "alice/planted").exists()


def test_a_rename_into_another_users_directory_is_refused(users: Users, bob: Client) -> None:
    users.file("alice/file", ALICE, 0o666)
    users.file("bob/mine", BOB, 0o644)
    file = bob.open(r"bob\mine", desired_access=FILE_READ_DATA | DELETE)
    for target in (r"alice\planted", r"alice\file"):
        assert bob.status(file.frames.set_info(FileInfo.RENAME, named(target))) is DENIED
    assert (users.folder / "bob/mine").exists()
    assert (users.folder / "alice/file").read_bytes() == b"secret"


# -- what lies in attributes --------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o622, 0o600])
def test_the_attributes_of_a_file_are_known_to_who_may_not_read_it(users: Users, mode: int) -> None:
    """They lie in an xattr that takes r to read; nobody writes to what is read-only for that."""
    path = users.file("alice/file", ALICE, mode)
    os.setxattr(path, "user.DOSATTRIB", pack_dosattrib(ATTR_HIDDEN | ATTR_READONLY, 0))
    bob = ready(users.engine(), user="bob")
    frame = bob.frames.open(r"alice\file", desired_access=FILE_WRITE_DATA)
    assert bob.status(frame) is DENIED
    seen = bob.open(r"alice\file", desired_access=LOOK)
    answer = bob.call(seen.frames.query_info(FileInfo.BASIC))
    attributes = struct.unpack_from("<I", answer.data, 32)[0]
    assert attributes & (ATTR_HIDDEN | ATTR_READONLY) == ATTR_HIDDEN | ATTR_READONLY
    assert path.read_bytes() == b"secret"


def test_streams_and_eas_of_an_unreadable_file_stay_unread(users: Users, bob: Client) -> None:
    path = users.file("alice/file", ALICE, 0o600)
    os.setxattr(path, "user.DosStream.s:$DATA", b"hidden")
    os.setxattr(path, "user.EA", b"hidden")
    stream = bob.frames.open(r"alice\file:s", desired_access=FILE_READ_DATA)
    assert bob.status(stream) is DENIED
    file = bob.open(r"alice\file", desired_access=LOOK)
    response = bob.call(file.frames.query_info(FileInfo.FULL_EA))
    assert b"hidden" not in response.raw


@pytest.mark.parametrize("access", [FILE_WRITE_DATA, FILE_WRITE_EA, FILE_WRITE_ATTRIBUTES, DELETE])
def test_streams_of_a_file_one_may_only_read_stay_as_they_are(
    users: Users, bob: Client, access: int
) -> None:
    path = users.file("alice/file", ALICE, 0o644)
    os.setxattr(path, "user.DosStream.s:$DATA", b"whole")
    frame = bob.frames.open(r"alice\file:s", desired_access=access)
    response = bob.call(frame)
    if response.status is NtStatus.SUCCESS:
        stream = bob.file(response)
        bob.send(stream.frames.write(b"X"))
        bob.send(stream.frames.set_info(FileInfo.END_OF_FILE, bytes(8)))
        bob.send(stream.frames.set_info(FileInfo.RENAME, named(":other:$DATA")))
        bob.send(stream.frames.set_info(FileInfo.DISPOSITION, b"\1"))
        bob.send(stream.frames.close())
    assert os.getxattr(path, "user.DosStream.s:$DATA") == b"whole"
    assert "user.DosStream.other:$DATA" not in os.listxattr(path)


def test_a_new_stream_of_a_file_one_may_only_read_is_refused(users: Users, bob: Client) -> None:
    path = users.file("alice/file", ALICE, 0o644)
    assert bob.status(bob.frames.create(r"alice\file:new")) is DENIED
    assert os.listxattr(path) == []


def test_a_descriptor_is_stored_for_the_owner_alone(users: Users, gullible: Engine) -> None:
    """security.* attributes know no owner: who may write any may write all.  So nobody may.

    The DACL asks for nothing that the mode does not say already, so that no chmod is refused.
    """
    path = users.file("alice/file", ALICE, 0o644)
    domain = gullible.server.domain
    with closing(ShareRoot(str(users.folder))) as root, root.resolve("alice/file") as entry:
        handle = root.open(entry, read=False, write=False)
        sd = acl.descriptor(handle, domain, keep=acl.Keep.STORED)
        become(BOB)
        try:
            with pytest.raises(PermissionError):
                acl.store(handle, sd, DACL_SECURITY_INFORMATION, domain, keep=acl.Keep.STORED)
            become(None)
            assert os.listxattr(path) == []
            become(ALICE)
            acl.store(handle, sd, DACL_SECURITY_INFORMATION, domain, keep=acl.Keep.STORED)
        finally:
            become(None)
            handle.close()
    assert os.listxattr(path) == ["security.NTACL"]


# -- root --------------------------------------------------------------------------------


def test_an_admin_user_of_the_configuration_is_no_root_on_the_share(
    users: Users, gullible: Engine
) -> None:
    """``admin users`` opens the RPC services; the files stay the account's own business."""
    users.file("root-file", Credentials(0, 0), 0o600)
    client = ready(gullible, user="alice")
    frame = client.frames.open("root-file", desired_access=FILE_READ_DATA)
    assert client.status(frame) is DENIED


def test_an_account_without_a_system_user_acts_as_nobody_at_all(
    users: Users, gullible: Engine
) -> None:
    """mountd has no ids for it: it is not root that takes its place."""
    users.file("everybodys", ALICE, 0o666)
    gullible.mountd.users["bob"].uid = 0xFFFF_FFFF
    client = ready(gullible, user="bob")
    frame = client.frames.open("everybodys", desired_access=FILE_READ_DATA)
    assert client.status(frame) is DENIED
