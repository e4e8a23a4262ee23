"""Class K: every operation that changes something, by everybody who must not, changes nothing.

CVE-2026-52944 was a control code that asked nobody; here the matrix is whole: each operation by a
handle without the right, on a read-only share, on a read-only tree, by a guest, after the end of
the handle, of the tree, of the session, and with the handle of somebody else.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from ksmbd.commands.ioctl import FSCTLS
from ksmbd.commands.set_file import FILE_SETTINGS
from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.wire import fsctl
from ksmbd.wire.access import (
    FILE_GENERIC_EXECUTE,
    FILE_GENERIC_READ,
    FILE_OVERWRITE_IF,
    FILE_SUPERSEDE,
    MAXIMUM_ALLOWED,
)
from ksmbd.wire.file_chains import pack_full_eas
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.ipc import SHARE_ACL_XATTR, TreeStatus
from ksmbd.wire.query_info import INFO_SECURITY
from ksmbd.wire.status import NtStatus
from tests.support.arena import DESCRIPTOR
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.frames import Frame, FrameFactory
from tests.support.mountd import DISK, GUEST, READ_ONLY, share

READING: Final = FILE_GENERIC_READ | FILE_GENERIC_EXECUTE
DENIED: Final = NtStatus.ACCESS_DENIED
Make = Callable[[FrameFactory], Frame]


def named(name: str) -> bytes:
    raw = name.encode("utf-16-le")
    return struct.pack("<B7xQI", 1, 0, len(raw)) + raw


def setting(info_class: int, data: bytes) -> Make:
    return lambda f: f.set_info(info_class, data)


def security(information: int) -> Make:
    return lambda f: f.set_info(
        0, bytes.fromhex(DESCRIPTOR), info_type=INFO_SECURITY, additional_information=information
    )


def control(code: int, data: bytes) -> Make:
    return lambda f: f.ioctl(code, data)


TIMES: Final = struct.pack("<qqqqII", *(130_000_000_000_000_000,) * 4, 0, 0)
HIDDEN: Final = struct.pack("<qqqqII", 0, 0, 0, 0, 2, 0)
RANGE: Final = struct.pack("<QQ", 0, 1 << 20)

# Every way to change a file by its handle.
CHANGES: Final[dict[str, Make]] = {
    "write": lambda f: f.write(b"changed"),
    "append": lambda f: f.write(b"changed", offset=0xFFFF_FFFF_FFFF_FFFF),
    "end of file": setting(FileInfo.END_OF_FILE, bytes(8)),
    "allocation": setting(FileInfo.ALLOCATION, bytes(8)),
    "valid data length": setting(FileInfo.VALID_DATA_LENGTH, bytes(8)),
    "times": setting(FileInfo.BASIC, TIMES),
    "attributes": setting(FileInfo.BASIC, HIDDEN),
    "eas": setting(FileInfo.FULL_EA, pack_full_eas([("ONE", b"1")])[0]),
    "short name": setting(FileInfo.SHORT_NAME, struct.pack("<I", 2) + b"X\0"),
    "rename": setting(FileInfo.RENAME, named("renamed")),
    "rename ex": setting(FileInfo.RENAME_EX, named("renamed")),
    "delete": setting(FileInfo.DISPOSITION, b"\1"),
    "delete ex": setting(FileInfo.DISPOSITION_EX, struct.pack("<I", 3)),
    "owner": security(1),
    "group": security(2),
    "dacl": security(4),
    "sacl": security(8),
    "everything": security(0x10000),
    "sparse": control(fsctl.SET_SPARSE, b"\1"),
    "zero": control(fsctl.SET_ZERO_DATA, RANGE),
    "trim": control(fsctl.FILE_LEVEL_TRIM, struct.pack("<II", 0, 1) + RANGE),
    "compression": control(fsctl.SET_COMPRESSION, b"\1\0"),
    "copychunk": control(fsctl.SRV_COPYCHUNK, bytes(24) + struct.pack("<II", 0, 0)),
    "copychunk write": control(fsctl.SRV_COPYCHUNK_WRITE, bytes(24) + struct.pack("<II", 0, 0)),
    "duplicate": control(fsctl.DUPLICATE_EXTENTS_TO_FILE, bytes(40)),
    "duplicate ex": control(fsctl.DUPLICATE_EXTENTS_TO_FILE_EX, struct.pack("<Q", 56) + bytes(48)),
    "offload": control(fsctl.OFFLOAD_WRITE, struct.pack("<I", 544) + bytes(540)),
    "reparse point": control(fsctl.SET_REPARSE_POINT, struct.pack("<IHH", 0xA000000C, 0, 0)),
    "no reparse point": control(fsctl.DELETE_REPARSE_POINT, struct.pack("<IHH", 0xA000000C, 0, 0)),
    "object id": control(fsctl.SET_OBJECT_ID, bytes(64)),
    "integrity": control(fsctl.SET_INTEGRITY_INFORMATION, bytes(8)),
}
# A link needs no right to the file ([MS-FSA] 2.1.5.15.6) but one to make files in its directory.
LINKS: Final[dict[str, Make]] = {
    "link": setting(FileInfo.LINK, named("linked")),
    "link ex": setting(FileInfo.LINK_EX, named("linked")),
}
# What nobody at all can do here may be refused before rights are looked at.
IMPOSSIBLE: Final = frozenset(
    {
        "short name", "valid data length", "reparse point", "no reparse point", "object id",
        "integrity",
    }
)  # fmt: skip


def state(folder: Path) -> list[tuple[object, ...]]:
    """Everything on the disk that an operation could change."""
    found: list[tuple[object, ...]] = []
    for path in sorted(folder.rglob("*")):
        st = path.lstat()
        attributes = [(name, os.getxattr(path, name)) for name in sorted(os.listxattr(path))]
        ids = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_size, st.st_blocks)
        content = path.read_bytes() if path.is_file() else b""
        found.append((str(path), ids, st.st_mtime_ns, attributes, content))
    return found


def throw(client: Client, frame: Frame, name: str) -> None:
    """The operation is refused, and the disk is as it was."""
    folder = client.engine.folder
    before = state(folder)
    status = client.status(frame)
    if name in IMPOSSIBLE:
        assert status != 0, (name, status)
    else:
        assert status is DENIED, (name, status)
    assert state(folder) == before, name


@pytest.fixture
def engine(folder: Path) -> Engine:
    flags = SHARE_ACL_XATTR
    shares = [
        share("data", str(folder), DISK | flags), share("ro", str(folder), READ_ONLY | flags)
    ]  # fmt: skip
    made = Engine(folder, shares=shares)
    path = made.make_file("file", b"contents" * 1000)
    path.chmod(0o766)
    return made


def test_the_list_is_whole() -> None:
    """Whoever adds a way to change files adds it here."""
    client_side = FrameFactory()
    made = [make(client_side) for make in (*CHANGES.values(), *LINKS.values())]
    codes = {frame.body.ctl_code for frame in made if hasattr(frame.body, "ctl_code")}
    assert {code for code, row in FSCTLS.items() if row.changes} <= codes
    classes = {frame.body.file_info_class for frame in made if hasattr(frame.body, "info_type")}
    harmless = {FileInfo.POSITION, FileInfo.MODE}  # kept with the open
    assert set(FILE_SETTINGS) - harmless <= classes


@pytest.mark.parametrize("name", CHANGES)
def test_a_handle_without_the_right_changes_nothing(engine: Engine, name: str) -> None:
    client = ready(engine)
    file = client.open("file", desired_access=READING)
    throw(client, CHANGES[name](file.frames), name)


@pytest.mark.parametrize("name", [*CHANGES, *LINKS])
def test_nothing_changes_on_a_read_only_share(engine: Engine, name: str) -> None:
    client = ready(engine, share="ro")
    file = client.open("file", desired_access=MAXIMUM_ALLOWED, create_disposition=1)
    throw(client, (CHANGES | LINKS)[name](file.frames), name)


@pytest.mark.parametrize("name", [*CHANGES, *LINKS])
def test_nothing_changes_by_who_may_only_read_the_share(engine: Engine, name: str) -> None:
    """``read list``: mountd says it of the tree connect, the share itself is writable."""
    engine.mountd.decisions["data"] = TreeConnectReply(TreeStatus.OK, 0)
    client = ready(engine)
    file = client.open("file", desired_access=MAXIMUM_ALLOWED, create_disposition=1)
    throw(client, (CHANGES | LINKS)[name](file.frames), name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
@pytest.mark.parametrize("name", [*CHANGES, *LINKS])
def test_nothing_of_somebodys_changes_by_a_guest(engine: Engine, name: str) -> None:
    (engine.folder / "file").chmod(0o744)
    engine.folder.chmod(0o755)
    engine.mountd.guest = replace(GUEST, uid=65534, gid=65534)
    client = Client(engine)
    client.negotiate()
    client.log_on("nobody-knows-me", "x")
    client.connect()
    file = client.open("file", desired_access=MAXIMUM_ALLOWED, create_disposition=1)
    throw(client, (CHANGES | LINKS)[name](file.frames), name)


@pytest.mark.parametrize("disposition", [FILE_SUPERSEDE, FILE_OVERWRITE_IF, 0, 2, 4])
def test_no_disposition_changes_a_read_only_share(engine: Engine, disposition: int) -> None:
    client = ready(engine, share="ro")
    before = state(engine.folder)
    for name in ("file", "new", "file:stream"):
        for access in (READING, MAXIMUM_ALLOWED):
            frame = client.frames.create(
                name, create_disposition=disposition, desired_access=access
            )
            assert client.status(frame) != 0
    assert state(engine.folder) == before


def test_delete_on_close_is_refused_on_a_read_only_share(engine: Engine) -> None:
    client = ready(engine, share="ro")
    frame = client.frames.open("file", desired_access=MAXIMUM_ALLOWED, create_options=0x1000)
    assert client.status(frame) is DENIED
    assert (engine.folder / "file").exists()


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda c, f: c.send(f.close()), NtStatus.FILE_CLOSED),
        (lambda c, f: c.send(f.tree_disconnect()), NtStatus.NETWORK_NAME_DELETED),
        (lambda c, f: c.send(f.logoff()), NtStatus.USER_SESSION_DELETED),
    ],
    ids=["close", "tree disconnect", "logoff"],
)
def test_nothing_changes_after_the_end(
    engine: Engine, end: Callable[[Client, FrameFactory], object], status: NtStatus
) -> None:
    client = ready(engine)
    file = client.open("file")
    end(client, file.frames)
    before = state(engine.folder)
    for name, make in (CHANGES | LINKS).items():
        found = client.status(make(file.frames))
        assert found is status or (name in IMPOSSIBLE and found != 0), name
    assert state(engine.folder) == before


def test_nothing_changes_by_the_handle_of_another_session(engine: Engine) -> None:
    """The right ids, known to the letter, in the wrong session, tree or connection."""
    joe, jane = ready(engine), ready(engine, user="jane")
    file = joe.open("file")
    theirs = jane.frames.on(*file.ids)
    before = state(engine.folder)
    for name, make in (CHANGES | LINKS).items():
        found = jane.status(make(theirs))
        assert found is NtStatus.FILE_CLOSED or (name in IMPOSSIBLE and found != 0), name
        stolen = make(theirs).set(session_id=joe.frames.session_id, sign=False)
        assert jane.status(stolen) is NtStatus.USER_SESSION_DELETED, name
    assert state(engine.folder) == before
