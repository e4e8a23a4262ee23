"""commands/fsctl_reparse.py and create_reparse.py through the engine."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from ksmbd.vfs import reparse as vfs
from ksmbd.wire import file_info, fsctl
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_DIRECTORY,
    ATTR_HIDDEN,
    ATTR_REPARSE_POINT,
    FILE_APPEND_DATA,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_REPARSE_POINT,
    FILE_OVERWRITE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
)
from ksmbd.wire.change_notify import CHANGE_ATTRIBUTES
from ksmbd.wire.error import ErrorContext, SymbolicLinkError
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import Command
from ksmbd.wire.ipc import SHARE_STORE_DOS_ATTRS
from ksmbd.wire.reparse import (
    IO_REPARSE_TAG_AF_UNIX,
    IO_REPARSE_TAG_LX_CHR,
    IO_REPARSE_TAG_LX_FIFO,
    IO_REPARSE_TAG_LX_SYMLINK,
    IO_REPARSE_TAG_MOUNT_POINT,
    IO_REPARSE_TAG_NFS,
    IO_REPARSE_TAG_SYMLINK,
    NFS_CHR,
    NFS_FIFO,
    NfsData,
    ReparsePoint,
    SymlinkData,
    pack_lx_symlink,
)
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import from_utf16
from tests.support.client import Client, File, ready
from tests.support.engine import Engine, give_to_joe
from tests.support.mountd import DISK, share
from tests.support.replies import Response

OK = NtStatus.SUCCESS
DENIED = NtStatus.ACCESS_DENIED
STOPPED = NtStatus.STOPPED_ON_SYMLINK
UNHANDLED = NtStatus.IO_REPARSE_TAG_NOT_HANDLED
BAD_DATA = NtStatus.IO_REPARSE_DATA_INVALID
ITSELF = {"create_options": FILE_OPEN_REPARSE_POINT}

LINK = ReparsePoint(IO_REPARSE_TAG_SYMLINK, SymlinkData("a\\b", "a\\b", relative=True).pack())
NFS = ReparsePoint(IO_REPARSE_TAG_NFS, NfsData(NFS_CHR, major=4, minor=64).pack())
POINTS = [
    LINK,
    NFS,
    ReparsePoint(IO_REPARSE_TAG_NFS, NfsData(NFS_FIFO).pack()),
    ReparsePoint(IO_REPARSE_TAG_LX_SYMLINK, pack_lx_symlink("../x")),
    ReparsePoint(IO_REPARSE_TAG_LX_FIFO),
    ReparsePoint(IO_REPARSE_TAG_AF_UNIX),
    ReparsePoint(IO_REPARSE_TAG_LX_CHR),
    ReparsePoint(0x80000017, b"of a file system filter"),
    ReparsePoint(0x00000099, b"of a vendor", bytes(range(16))),
]


def set_point(client: Client, file: File, point: ReparsePoint | bytes) -> NtStatus:
    data = point if isinstance(point, bytes) else point.pack()
    return client.status(file.frames.ioctl(fsctl.SET_REPARSE_POINT, data))


def get_point(client: Client, file: File, room: int = 4096) -> tuple[NtStatus, bytes]:
    frame = file.frames.ioctl(fsctl.GET_REPARSE_POINT, max_output_response=room)
    response = client.call(frame)
    return response.status, response.data if response.structure_size == 49 else b""


def delete_point(client: Client, file: File, point: ReparsePoint | bytes) -> NtStatus:
    data = point if isinstance(point, bytes) else point.pack()
    return client.status(file.frames.ioctl(fsctl.DELETE_REPARSE_POINT, data))


def tag_of(client: Client, file: File) -> tuple[int, int]:
    """Attributes and tag."""
    response = client.call(file.frames.query_info(FileInfo.ATTRIBUTE_TAG))
    found = file_info.FileAttributeTagInformation.unpack(response.data)
    return found.file_attributes, found.reparse_tag


def listed_tag(client: Client, name: str) -> tuple[int, int]:
    """Attributes and EaSize, where the tag stands, in a listing."""
    root = client.open("", create_options=FILE_DIRECTORY_FILE)
    data = client.call(root.frames.query_directory(name)).data
    attributes, _length, tag = struct.unpack_from("<III", data, 56)
    return attributes, tag


# -- setting, asking, deleting -----------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", [0, FILE_DIRECTORY_FILE])
def test_a_point_is_kept_as_it_came(client: Client, point: ReparsePoint, kind: int) -> None:
    file = client.open("new", create_options=kind)
    assert set_point(client, file, point) is OK
    assert get_point(client, file) == (OK, point.pack())
    assert client.status(file.frames.close()) is OK
    again = client.open("new", create_options=kind | FILE_OPEN_REPARSE_POINT)
    wanted = ATTR_REPARSE_POINT | (ATTR_DIRECTORY if kind else ATTR_ARCHIVE)
    assert get_point(client, again) == (OK, point.pack())
    assert tag_of(client, again) == (wanted, point.tag)
    assert listed_tag(client, "new") == (wanted, point.tag)


@pytest.mark.parametrize("point", POINTS)
def test_a_point_that_is_deleted_was_a_file(client: Client, point: ReparsePoint) -> None:
    file = client.open("new")
    assert set_point(client, file, point) is OK
    assert delete_point(client, file, point._replace(data=b"")) is OK
    assert get_point(client, file)[0] is NtStatus.NOT_A_REPARSE_POINT
    assert tag_of(client, file) == (ATTR_ARCHIVE, 0)
    assert client.status(client.frames.open("new")) is OK
    assert "user.SmbReparse" not in os.listxattr(client.engine.folder / "new")


def test_a_point_may_change_its_data_and_not_its_tag(client: Client) -> None:
    file = client.open("new")
    assert set_point(client, file, LINK) is OK
    other = LINK._replace(data=SymlinkData("c", "c", relative=True).pack())
    assert set_point(client, file, other) is OK
    assert get_point(client, file) == (OK, other.pack())
    assert set_point(client, file, NFS) is NtStatus.IO_REPARSE_TAG_MISMATCH
    assert delete_point(client, file, NFS._replace(data=b"")) is NtStatus.IO_REPARSE_TAG_MISMATCH
    assert get_point(client, file) == (OK, other.pack())


def test_other_attributes_come_and_go_beside_it(client: Client) -> None:
    file = client.open("new")
    assert set_point(client, file, NFS) is OK
    basic = file_info.FileBasicInformation(
        creation_time=0,
        last_access_time=0,
        last_write_time=0,
        change_time=0,
        file_attributes=ATTR_HIDDEN,
    )
    assert client.status(file.frames.set_info(FileInfo.BASIC, basic.pack())) is OK
    assert tag_of(client, file) == (ATTR_HIDDEN | ATTR_REPARSE_POINT, NFS.tag)
    assert client.status(file.frames.ioctl(fsctl.SET_SPARSE)) is OK
    assert get_point(client, file) == (OK, NFS.pack())


def test_room_for_less_than_all_of_it(client: Client) -> None:
    file = client.open("new")
    assert set_point(client, file, NFS) is OK
    packed = NFS.pack()
    assert get_point(client, file, 7) == (NtStatus.BUFFER_TOO_SMALL, b"")
    assert get_point(client, file, 8) == (NtStatus.BUFFER_OVERFLOW, packed[:8])
    assert get_point(client, file, len(packed)) == (OK, packed)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", BAD_DATA),
        (b"1234567", BAD_DATA),
        (LINK.pack()[:-1], BAD_DATA),
        (LINK.pack() + b"\0", BAD_DATA),
        (bytes(8), NtStatus.IO_REPARSE_TAG_INVALID),
        (struct.pack("<IHH", 2, 0, 0), NtStatus.IO_REPARSE_TAG_INVALID),
        (struct.pack("<IHH", 0x99, 0, 0), BAD_DATA),  # a vendor's, without its GUID
        (ReparsePoint(0x80000017, bytes(16 * 1024)).pack(), BAD_DATA),
        (ReparsePoint(IO_REPARSE_TAG_SYMLINK, bytes(11)).pack(), BAD_DATA),
        (ReparsePoint(IO_REPARSE_TAG_SYMLINK, b"\xff" * 12).pack(), BAD_DATA),
        (ReparsePoint(IO_REPARSE_TAG_NFS, bytes(8)).pack(), BAD_DATA),
        (ReparsePoint(IO_REPARSE_TAG_LX_SYMLINK, b"\1\0\0\0x").pack(), BAD_DATA),
        (ReparsePoint(IO_REPARSE_TAG_LX_FIFO, b"x").pack(), BAD_DATA),
        (ReparsePoint(IO_REPARSE_TAG_MOUNT_POINT, b"").pack(), DENIED),
    ],
)
def test_what_is_no_point_is_refused(client: Client, data: bytes, status: NtStatus) -> None:
    file = client.open("new")
    assert set_point(client, file, data) is status
    assert tag_of(client, file) == (ATTR_ARCHIVE, 0)


def test_a_deletion_has_no_data(client: Client) -> None:
    file = client.open("new")
    assert delete_point(client, file, NFS._replace(data=b"")) is NtStatus.NOT_A_REPARSE_POINT
    assert set_point(client, file, NFS) is OK
    assert delete_point(client, file, NFS) is BAD_DATA
    assert delete_point(client, file, bytes(8)) is NtStatus.IO_REPARSE_TAG_INVALID
    assert delete_point(client, file, b"") is BAD_DATA


def test_a_directory_that_holds_something_stays_one(client: Client) -> None:
    directory = client.open("d", create_options=FILE_DIRECTORY_FILE)
    client.open("d\\file")
    assert set_point(client, directory, LINK) is NtStatus.DIRECTORY_NOT_EMPTY


@pytest.mark.parametrize(
    ("access", "status"),
    [
        (FILE_WRITE_DATA, OK),
        (FILE_WRITE_ATTRIBUTES, OK),
        (FILE_WRITE_EA, DENIED),
        (FILE_APPEND_DATA, DENIED),
        (FILE_READ_DATA, DENIED),
    ],
)
def test_who_may_set_and_delete(client: Client, access: int, status: NtStatus) -> None:
    client.engine.make_file("file")
    file = client.open("file", desired_access=access)
    assert set_point(client, file, NFS) is status
    client.open("other")
    if status is OK:
        assert delete_point(client, file, NFS._replace(data=b"")) is OK


def test_streams_and_pipes_are_no_points(client: Client) -> None:
    stream = client.open("file:stream")
    for code in (fsctl.SET_REPARSE_POINT, fsctl.GET_REPARSE_POINT, fsctl.DELETE_REPARSE_POINT):
        assert client.status(stream.frames.ioctl(code, NFS.pack())) is NtStatus.INVALID_PARAMETER
    client.connect("IPC$")
    pipe = client.open("srvsvc")
    assert get_point(client, pipe)[0] is NtStatus.INVALID_DEVICE_REQUEST


def test_a_full_disk_keeps_no_point(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = client.open("new")
    monkeypatch.setattr(vfs, "set_value", full)
    assert set_point(client, file, NFS) is NtStatus.DISK_FULL
    assert tag_of(client, file) == (ATTR_ARCHIVE, 0)


def test_where_no_attributes_are_kept_there_are_no_points(folder: Path) -> None:
    config = share("plain", str(folder), DISK & ~SHARE_STORE_DOS_ATTRS)
    client = ready(Engine(folder, shares=[config]), share="plain")
    assert set_point(client, client.open("new"), NFS) is NtStatus.NOT_SUPPORTED
    assert "user.SmbReparse" not in os.listxattr(folder / "new")


def test_it_is_no_extended_attribute_of_the_client_s(client: Client) -> None:
    file = client.open("new")
    assert set_point(client, file, NFS) is OK
    assert client.status(file.frames.query_info(FileInfo.FULL_EA)) is NtStatus.NO_EAS_ON_FILE


def test_who_watches_the_directory_hears_of_it(client: Client) -> None:
    file = client.open("new")
    directory = client.open("", create_options=FILE_DIRECTORY_FILE)
    client.pend(directory.frames.change_notify(completion_filter=CHANGE_ATTRIBUTES))
    answers = client.send(file.frames.ioctl(fsctl.SET_REPARSE_POINT, NFS.pack()))
    commands = {answer.header.command for answer in answers}
    assert commands == {Command.IOCTL, Command.CHANGE_NOTIFY}


# -- what lies on the disk ---------------------------------------------------------------


def test_symlinks_of_the_disk_are_read(client: Client) -> None:
    folder = client.engine.folder
    (folder / "relative").symlink_to("../a/b")
    (folder / "absolute").symlink_to("/etc/passwd")
    for name, target, relative in (
        ("relative", "..\\a\\b", True),
        ("absolute", "\\etc\\passwd", False),
    ):
        file = client.open(name, desired_access=FILE_READ_ATTRIBUTES, **ITSELF)
        status, raw = get_point(client, file)
        point = ReparsePoint.unpack(raw)
        assert (status, point.tag) == (OK, IO_REPARSE_TAG_SYMLINK)
        assert SymlinkData.unpack(point.data) == SymlinkData(target, target, relative)
        assert tag_of(client, file) == (ATTR_REPARSE_POINT, IO_REPARSE_TAG_SYMLINK)


def test_fifos_of_the_disk_are_points_that_stay(client: Client) -> None:
    os.mkfifo(client.engine.folder / "fifo")
    give_to_joe(client.engine.folder / "fifo")
    file = client.open("fifo", desired_access=FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES)
    point = ReparsePoint(IO_REPARSE_TAG_LX_FIFO)
    assert get_point(client, file) == (OK, point.pack())
    assert delete_point(client, file, point) is DENIED
    assert set_point(client, file, NFS) is DENIED


def test_an_attribute_without_a_point_is_none(client: Client) -> None:
    """A file that lost it on its way from another disk."""
    file = client.open("new")
    assert set_point(client, file, NFS) is OK
    assert client.status(file.frames.close()) is OK
    os.removexattr(client.engine.folder / "new", "user.SmbReparse")
    again = client.open("new", create_disposition=FILE_OPEN)
    assert tag_of(client, again) == (ATTR_ARCHIVE, 0)
    assert get_point(client, again)[0] is NtStatus.NOT_A_REPARSE_POINT


def test_junk_beside_a_file_is_no_point(client: Client) -> None:
    file = client.open("new")
    assert set_point(client, file, NFS) is OK
    os.setxattr(client.engine.folder / "new", "user.SmbReparse", NFS.pack()[:-1])
    assert get_point(client, file)[0] is NtStatus.NOT_A_REPARSE_POINT


# -- opening -----------------------------------------------------------------------------


def told(client: Client, response: Response) -> tuple[str, str, int]:
    """Where to go on: the target, the length of the rest of the path, the flags."""
    assert response.status is STOPPED
    data = response.error_data
    if client.dialect == 0x0311:
        context = ErrorContext.unpack(data)
        data = data[ErrorContext.SIZE :]
        assert (context.error_id, context.error_data_length) == (0, len(data))
    error = SymbolicLinkError.unpack(data)
    assert error.sym_link_length == len(data) - 4
    names = data[SymbolicLinkError.SIZE :]
    start = error.print_name_offset
    target = from_utf16(names[start : start + error.print_name_length])
    return target, str(error.unparsed_path_length // 2), error.flags


@pytest.mark.parametrize("dialect", [0x0210, 0x0302, 0x0311])
@pytest.mark.parametrize("access", [FILE_READ_DATA, FILE_READ_ATTRIBUTES])
def test_a_symlink_is_the_client_s_to_follow(engine: Engine, dialect: int, access: int) -> None:
    client = ready(engine, dialect)
    (engine.folder / "link").symlink_to("some/where")
    response = client.call(client.frames.open("link", desired_access=access))
    assert told(client, response) == ("some\\where", "0", 1)
    assert client.status(client.frames.open("link", desired_access=0x80, **ITSELF)) is OK


def test_a_client_s_own_symlink_stops_it_too(client: Client) -> None:
    file = client.open("link")
    assert set_point(client, file, LINK) is OK
    assert told(client, client.call(client.frames.open("link"))) == ("a\\b", "0", 1)
    frame = client.frames.create("link", create_disposition=FILE_OVERWRITE)
    assert told(client, client.call(frame)) == ("a\\b", "0", 1)


def test_the_rest_of_the_path_is_told(client: Client) -> None:
    folder = client.engine.folder
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    response = client.call(client.frames.create("link\\one\\two"))
    assert told(client, response) == ("real", str(len("\\one\\two")), 1)
    response = client.call(client.frames.create("link\\one"))
    assert told(client, response) == ("real", "4", 1)


@pytest.mark.parametrize("kind", [0, FILE_DIRECTORY_FILE])
@pytest.mark.parametrize("rest", ["\\one", "\\one\\two"])
def test_a_client_s_own_symlink_on_the_way(client: Client, kind: int, rest: str) -> None:
    link = client.open("link", create_options=kind)
    assert set_point(client, link, LINK) is OK
    response = client.call(client.frames.open("link" + rest))
    assert told(client, response) == ("a\\b", str(len(rest)), 1)


def test_what_is_missing_without_a_link_is_missing(client: Client) -> None:
    client.engine.make_directory("d")
    missing = NtStatus.OBJECT_PATH_NOT_FOUND
    assert client.status(client.frames.open("d\\no\\way")) is missing
    assert client.status(client.frames.open("no\\such\\way")) is missing


@pytest.mark.parametrize("point", [p for p in POINTS if p.tag != IO_REPARSE_TAG_SYMLINK])
def test_other_points_are_opened_as_themselves(client: Client, point: ReparsePoint) -> None:
    file = client.open("new")
    assert set_point(client, file, point) is OK
    assert client.status(client.frames.open("new", desired_access=FILE_READ_DATA)) is UNHANDLED
    frame = client.frames.open("new", desired_access=FILE_READ_ATTRIBUTES)
    assert client.status(frame) is UNHANDLED
    assert client.status(client.frames.open("new", desired_access=FILE_READ_DATA, **ITSELF)) is OK
