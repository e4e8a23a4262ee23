"""The SMB 3.1.1 POSIX extensions through the engine, from NEGOTIATE to a removed file."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import pytest

from ksmbd.wire import create_context, file_info, fs_info, fsctl, negotiate
from ksmbd.wire.access import (
    DELETE,
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_READ_ATTRIBUTES,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.posix import (
    NO_MODE,
    FilePosixInformation,
    PosixCreateResponse,
    unix_group_sid,
    unix_user_sid,
    wire_mode,
)
from ksmbd.wire.query_info import INFO_FILESYSTEM
from ksmbd.wire.reparse import (
    IO_REPARSE_TAG_AF_UNIX,
    IO_REPARSE_TAG_NFS,
    IO_REPARSE_TAG_SYMLINK,
    NFS_CHR,
    NFS_FIFO,
    NfsData,
    ReparsePoint,
    SymlinkData,
)
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import from_utf16, ns_from_filetime, utf16
from tests.support.client import Client, File
from tests.support.engine import Engine, give_to_joe
from tests.support.frames import standard_contexts
from tests.support.mountd import PASSWORD

OK = NtStatus.SUCCESS
GUID = negotiate.POSIX_GUID


def connected(engine: Engine, *, offers: bytes = GUID, dialect: int = 0x0311) -> Client:
    """A client that has offered the extensions."""
    client = Client(engine)
    contexts = [*standard_contexts([2]), (negotiate.POSIX_EXTENSIONS_AVAILABLE, offers)]
    frame = client.frames.negotiate(dialect, contexts=contexts if dialect == 0x0311 else None)
    response = client.call(frame)
    client._agreed(response, response.body(negotiate.NegotiateResponse))
    client.log_on("joe", PASSWORD)
    client.connect()
    return client


@pytest.fixture
def posix(engine: Engine) -> Client:
    return connected(engine)


def opened(client: Client, name: str, mode: int = 0o755, **changes: int) -> File:
    contexts = [(create_context.POSIX, struct.pack("<I", mode))]
    response = client.call(client.frames.create(name, contexts=contexts, **changes))
    assert response.status is OK, response
    return client.file(response)


def refused(client: Client, name: str, **changes: int) -> NtStatus:
    contexts = [(create_context.POSIX, struct.pack("<I", 0o644))]
    return client.status(client.frames.create(name, contexts=contexts, **changes))


def answers(file: File) -> dict[bytes, bytes]:
    return {bytes(c.name): bytes(c.data) for c in create_context.contexts(file.response.data)}


# -- negotiating -------------------------------------------------------------------------


def told_in_negotiate(engine: Engine, offers: bytes) -> bool:
    client = Client(engine)
    contexts = [*standard_contexts([2]), (negotiate.POSIX_EXTENSIONS_AVAILABLE, offers)]
    response = client.call(client.frames.negotiate(0x0311, contexts=contexts))
    body = response.body(negotiate.NegotiateResponse)
    found = negotiate.contexts(
        response.raw[body.negotiate_context_offset :], body.negotiate_context_count
    )
    given = [bytes(c.data) for c in found if c.type == negotiate.POSIX_EXTENSIONS_AVAILABLE]
    assert given in ([], [GUID])
    return bool(given)


@pytest.mark.parametrize(
    ("offers", "agreed"),
    [(GUID, True), (bytes(16) + GUID, True), (bytes(16), False), (b"", False), (GUID[:15], False)],
)
def test_who_offers_them_is_told(engine: Engine, offers: bytes, agreed: bool) -> None:
    assert told_in_negotiate(engine, offers) is agreed


def test_they_can_be_switched_off(folder: Path) -> None:
    engine = Engine(folder, posix=False)
    assert not told_in_negotiate(engine, GUID)
    client = connected(engine)
    file = opened(client, "FILE")
    assert create_context.POSIX not in answers(file)
    assert client.status(file.frames.query_info(FileInfo.POSIX)) is NtStatus.NOT_SUPPORTED


def test_who_has_not_offered_them_has_none(client: Client) -> None:
    file = opened(client, "FILE")
    assert create_context.POSIX not in answers(file)
    client.open("file")
    assert os.listdir(client.engine.folder) == ["FILE"]


# -- creating and opening ----------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o1777, 0o100644, 0o000])
@pytest.mark.parametrize("kind", [0, FILE_DIRECTORY_FILE])
def test_a_new_file_has_the_mode_that_is_asked_for(posix: Client, mode: int, kind: int) -> None:
    file = opened(posix, "new", mode, create_options=kind, create_disposition=FILE_CREATE)
    st = os.stat(posix.engine.folder / "new")
    assert stat.S_IMODE(st.st_mode) == mode & 0o7777
    answer = answers(file)[create_context.POSIX]
    head = PosixCreateResponse.unpack(answer)
    assert (head.number_of_links, head.reparse_tag) == (st.st_nlink, 0)
    assert head.mode == wire_mode(st.st_mode)
    assert answer[head.SIZE :] == unix_user_sid(st.st_uid) + unix_group_sid(st.st_gid)


@pytest.mark.parametrize(("kind", "mode"), [(0, 0o1755), (FILE_DIRECTORY_FILE, 0o3755)])
def test_no_client_makes_setuid_programs(posix: Client, kind: int, mode: int) -> None:
    opened(posix, "new", 0o7755, create_options=kind, create_disposition=FILE_CREATE)
    assert stat.S_IMODE(os.stat(posix.engine.folder / "new").st_mode) == mode


@pytest.mark.parametrize("mode", [NO_MODE, 0xFFFF_FFFF])
def test_without_a_mode_the_share_says(posix: Client, mode: int) -> None:
    opened(posix, "plain", mode)
    posix.open("usual")
    modes = [os.stat(posix.engine.folder / name).st_mode for name in ("plain", "usual")]
    assert modes[0] == modes[1]


def test_the_mode_of_what_exists_stays(posix: Client) -> None:
    posix.engine.make_file("file").chmod(0o604)
    opened(posix, "file", 0o777, desired_access=FILE_READ_ATTRIBUTES)
    assert os.stat(posix.engine.folder / "file").st_mode & 0o777 == 0o604


def test_case_counts(posix: Client) -> None:
    for name in ("name", "Name", "NAME"):
        opened(posix, name, create_disposition=FILE_CREATE)
    assert sorted(os.listdir(posix.engine.folder)) == ["NAME", "Name", "name"]
    missing = NtStatus.OBJECT_NAME_NOT_FOUND
    assert refused(posix, "nAME", create_disposition=FILE_OPEN) is missing


def test_it_does_not_count_for_opens_without_them(posix: Client) -> None:
    opened(posix, "Name")
    assert posix.open("NAME", create_disposition=FILE_OPEN)


@pytest.mark.parametrize("name", ["a:b", "a*b?", '<>|"', "trailing. ", "con", "a:$DATA", " "])
def test_characters_that_windows_reserves(posix: Client, name: str) -> None:
    posix.engine.make_directory("d")
    file = opened(posix, f"d/{name}", create_disposition=FILE_CREATE)
    assert os.listdir(posix.engine.folder / "d") == [name]
    posix.call(file.frames.close())
    gone = opened(posix, f"d\\{name}", create_options=FILE_DELETE_ON_CLOSE)
    posix.call(gone.frames.close())
    assert os.listdir(posix.engine.folder / "d") == []


@pytest.mark.parametrize("name", ["..", "a/../../b", ".", "a//b", "a/./b", "a\0b"])
def test_names_that_no_file_has(posix: Client, name: str) -> None:
    posix.engine.make_directory("a")
    assert refused(posix, name) is NtStatus.OBJECT_NAME_INVALID


def test_a_leading_slash_is_refused(posix: Client) -> None:
    assert refused(posix, "/a") is NtStatus.INVALID_PARAMETER
    assert refused(posix, "\\a") is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("data", [b"", b"\0\0\0", bytes(5)])
def test_a_context_of_another_size(posix: Client, data: bytes) -> None:
    frame = posix.frames.create("new", contexts=[(create_context.POSIX, data)])
    assert posix.status(frame) is NtStatus.INVALID_PARAMETER


# -- asking ------------------------------------------------------------------------------


def test_level_100_of_a_file_is_its_stat(posix: Client) -> None:
    path = posix.engine.make_file("file", b"x" * 5000)
    os.link(path, posix.engine.folder / "other")
    data = posix.call(opened(posix, "file").frames.query_info(FileInfo.POSIX)).data
    found, st = FilePosixInformation.unpack(data), os.stat(path)
    assert (found.end_of_file, found.allocation_size) == (5000, st.st_blocks * 512)
    assert (found.inode, found.number_of_links, found.mode) == (
        st.st_ino,
        2,
        wire_mode(st.st_mode),
    )
    assert abs(ns_from_filetime(found.last_write_time) - st.st_mtime_ns) < 100
    assert data[found.SIZE :] == unix_user_sid(st.st_uid) + unix_group_sid(st.st_gid)


def test_special_files_are_told(posix: Client) -> None:
    os.mkfifo(posix.engine.folder / "fifo")
    give_to_joe(posix.engine.folder / "fifo")
    file = opened(posix, "fifo", desired_access=FILE_READ_ATTRIBUTES)
    found = FilePosixInformation.unpack(posix.call(file.frames.query_info(FileInfo.POSIX)).data)
    assert found.mode >> 12 == 5
    assert found.reparse_tag == 0x80000024


@pytest.mark.parametrize(
    ("room", "status"), [(79, NtStatus.INFO_LENGTH_MISMATCH), (80, NtStatus.BUFFER_OVERFLOW)]
)
def test_room_for_less_than_a_stat(posix: Client, room: int, status: NtStatus) -> None:
    frame = opened(posix, "file").frames.query_info(FileInfo.POSIX, output_buffer_length=room)
    assert posix.status(frame) is status


def test_the_file_system_is_its_statvfs(posix: Client) -> None:
    file = opened(posix, "file")
    frame = file.frames.query_info(fs_info.FsInfo.POSIX, info_type=INFO_FILESYSTEM)
    found = fs_info.FilePosixFsInformation.unpack(posix.call(frame).data)
    now = os.statvfs(posix.engine.folder)
    assert (found.block_size, found.total_blocks) == (now.f_frsize, now.f_blocks)
    assert found.total_file_nodes == now.f_files


def test_other_opens_have_no_level_100(posix: Client) -> None:
    file, root = posix.open("file"), posix.open("", create_options=FILE_DIRECTORY_FILE)
    unsupported = NtStatus.NOT_SUPPORTED
    assert posix.status(file.frames.query_info(FileInfo.POSIX)) is unsupported
    frame = file.frames.query_info(fs_info.FsInfo.POSIX, info_type=INFO_FILESYSTEM)
    assert posix.status(frame) is unsupported
    listing = root.frames.query_directory("*", file_information_class=FileInfo.POSIX)
    assert posix.status(listing) is NtStatus.INVALID_INFO_CLASS


def listed(client: Client) -> dict[str, tuple[FilePosixInformation, bytes]]:
    root = opened(client, "", create_options=FILE_DIRECTORY_FILE)
    frame = root.frames.query_directory("*", file_information_class=FileInfo.POSIX)
    data = client.call(frame).data
    found, at = {}, 0
    while True:
        (step,) = struct.unpack_from("<I", data, at)
        info = FilePosixInformation.unpack(data, at + 8)
        sids = at + 8 + info.SIZE
        (length,) = struct.unpack_from("<I", data, sids + 32)
        name = from_utf16(data[sids + 36 : sids + 36 + length])
        found[name] = info, data[sids : sids + 32]
        if not step:
            return found
        at += step


def test_a_listing_of_level_100_is_each_file_s_stat(posix: Client) -> None:
    folder = posix.engine.folder
    posix.engine.make_file("file", b"12345").chmod(0o641)
    posix.engine.make_file("FILE")
    posix.engine.make_file("a:b*c?")
    posix.engine.make_directory("dir")
    (folder / "link").symlink_to("file")
    found = listed(posix)
    assert set(found) == {".", "..", "file", "FILE", "a:b*c?", "dir", "link"}
    for name in ("file", "FILE", "dir", "link"):
        st, (info, sids) = os.lstat(folder / name), found[name]
        assert (info.inode, info.mode) == (st.st_ino, wire_mode(st.st_mode))
        assert sids == unix_user_sid(st.st_uid) + unix_group_sid(st.st_gid)
    assert found["file"][0].end_of_file == 5
    assert found["link"][0].reparse_tag == 0xA000000C


@pytest.mark.parametrize(
    ("point", "kind", "device"),
    [
        (ReparsePoint(IO_REPARSE_TAG_SYMLINK, SymlinkData("a", "a", True).pack()), 2, 0),
        (ReparsePoint(IO_REPARSE_TAG_NFS, NfsData(NFS_FIFO).pack()), 5, 0),
        (ReparsePoint(IO_REPARSE_TAG_NFS, NfsData(NFS_CHR, major=4, minor=64).pack()), 3, 0x440),
        (ReparsePoint(IO_REPARSE_TAG_AF_UNIX), 6, 0),
        (ReparsePoint(0x80000017, b"unknown"), 0, 0),
    ],
)
def test_kept_points_are_told_as_what_they_stand_for(
    posix: Client, point: ReparsePoint, kind: int, device: int
) -> None:
    file = opened(posix, "point", 0o644)
    frame = file.frames.ioctl(fsctl.SET_REPARSE_POINT, point.pack())
    assert posix.status(frame) is OK
    info, _ = listed(posix)["point"]
    asked = FilePosixInformation.unpack(posix.call(file.frames.query_info(FileInfo.POSIX)).data)
    for found in (info, asked):
        assert (found.mode >> 12, found.mode & 0o7777) == (kind, 0o644)
        assert (found.reparse_tag, found.device_id) == (point.tag, device)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("target", ["../a/b", "..\\a\\b"])
def test_a_symlink_s_target_has_slashes(posix: Client, kept: bool, target: str) -> None:
    if kept:
        file = opened(posix, "link")
        point = ReparsePoint(IO_REPARSE_TAG_SYMLINK, SymlinkData(target, target, True).pack())
        assert posix.status(file.frames.ioctl(fsctl.SET_REPARSE_POINT, point.pack())) is OK
    else:
        (posix.engine.folder / "link").symlink_to("../a/b")
    contexts = [(create_context.POSIX, struct.pack("<I", 0o644))]
    response = posix.call(posix.frames.open("link", contexts=contexts))
    assert response.status is NtStatus.STOPPED_ON_SYMLINK
    assert utf16("../a/b") in response.error_data
    response = posix.call(posix.frames.open("link"))
    assert utf16("..\\a\\b") in response.error_data


# -- renaming and removing ---------------------------------------------------------------


def renamed(client: Client, file: File, name: str, *, replace: bool = True) -> NtStatus:
    raw = utf16(name)
    head = file_info.FileRenameInformation(replace_if_exists=replace, file_name_length=len(raw))
    return client.status(file.frames.set_info(FileInfo.RENAME, head.pack() + raw))


def test_a_name_in_other_case_is_another_name(posix: Client) -> None:
    posix.engine.make_file("TARGET", b"kept")
    assert renamed(posix, opened(posix, "file"), "target", replace=False) is OK
    assert sorted(os.listdir(posix.engine.folder)) == ["TARGET", "target"]


@pytest.mark.parametrize("name", ["a:b", ":x", "c?*"])
def test_a_file_is_renamed_to_what_windows_reserves(posix: Client, name: str) -> None:
    assert renamed(posix, opened(posix, "file"), name) is OK
    assert os.listdir(posix.engine.folder) == [name]


def test_an_open_file_is_replaced_and_lives_on(posix: Client) -> None:
    target = opened(posix, "target")
    assert posix.status(target.frames.write(b"old")) is OK
    assert renamed(posix, opened(posix, "file"), "target") is OK
    assert posix.call(target.frames.read(3)).data == b"old"


def test_a_name_goes_while_others_have_the_file_open(posix: Client) -> None:
    reader = opened(posix, "file")
    assert posix.status(reader.frames.write(b"data")) is OK
    gone = opened(posix, "file", desired_access=DELETE, create_options=FILE_DELETE_ON_CLOSE)
    assert posix.status(gone.frames.close()) is OK
    assert os.listdir(posix.engine.folder) == []
    assert posix.call(reader.frames.read(4)).data == b"data"
    opened(posix, "file", create_disposition=FILE_CREATE)


def test_so_does_one_that_is_disposed_of(posix: Client) -> None:
    reader, gone = opened(posix, "file"), opened(posix, "file")
    assert posix.status(gone.frames.set_info(FileInfo.DISPOSITION, b"\1")) is OK
    assert posix.status(gone.frames.close()) is OK
    assert os.listdir(posix.engine.folder) == []
    assert posix.status(reader.frames.close()) is OK
