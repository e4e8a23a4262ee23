"""commands/create_stream.py: named streams of files and directories, end to end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ksmbd.vfs.depot import DIRECTORY
from ksmbd.wire import file_chains, file_info, fs_info, ipc
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_HIDDEN,
    ATTR_READONLY,
    DELETE,
    FILE_CREATE,
    FILE_CREATED,
    FILE_DELETE_ON_CLOSE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_OPENED,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_OVERWRITTEN,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SHARE_READ,
    FILE_SHARE_WRITE,
    FILE_SUPERSEDE,
    FILE_SUPERSEDED,
    FILE_WRITE_DATA,
)
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.file_chains import Stream
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.fs_info import FsInfo
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY
from ksmbd.wire.query_info import INFO_FILESYSTEM
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

SUCCESS = NtStatus.SUCCESS
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
COLLISION = NtStatus.OBJECT_NAME_COLLISION
VIOLATION = NtStatus.SHARING_VIOLATION
PENDING = NtStatus.DELETE_PENDING
SHARE_NO_DELETE = FILE_SHARE_READ | FILE_SHARE_WRITE


def stored(path: Path, stream: str = "s") -> bytes:
    return os.getxattr(path, f"user.DosStream.{stream}:$DATA")


def put(path: Path, data: bytes, stream: str = "s") -> None:
    os.setxattr(path, f"user.DosStream.{stream}:$DATA", data)


def names(path: Path) -> list[str]:
    prefix = "user.DosStream."
    return [name[len(prefix) : -6] for name in os.listxattr(path) if name.startswith(prefix)]


def close(client: Client, *files: File) -> None:
    for file in files:
        assert client.status(file.frames.close()) is SUCCESS


def streams_of(client: Client, file: File) -> list[Stream]:
    return file_chains.unpack_streams(client.call(file.frames.query_info(FileInfo.STREAM)).data)


def basic(**changes: int) -> bytes:
    """FileBasicInformation that changes no more than it says."""
    kept = dict.fromkeys(("creation_time", "last_access_time", "last_write_time", "change_time"), 0)
    return file_info.FileBasicInformation(**kept | changes).pack()


def rename_to(client: Client, file: File, name: str) -> NtStatus:
    raw = utf16(name)
    head = file_info.FileRenameInformation(
        replace_if_exists=0, root_directory=0, file_name_length=len(raw)
    )
    return client.status(file.frames.set_info(FileInfo.RENAME, head.pack() + raw))


def disposition(client: Client, file: File, *, delete: bool = True) -> NtStatus:
    data = file_info.FileDispositionInformation(delete_pending=delete).pack()
    return client.status(file.frames.set_info(FileInfo.DISPOSITION, data))


# -- data --------------------------------------------------------------------------------


def test_a_stream_is_written_and_read_beside_the_file(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", b"the file")
    file = client.open("file:Zone.Identifier")
    assert client.status(file.frames.write(b"[ZoneTransfer]\r\nZoneId=3")) is SUCCESS
    assert client.status(file.frames.flush()) is SUCCESS
    close(client, file)
    file = client.open("FILE:zone.identifier:$data", create_disposition=FILE_OPEN)
    assert client.call(file.frames.read(100)).data == b"[ZoneTransfer]\r\nZoneId=3"
    assert client.status(file.frames.read(1, offset=24)) is NtStatus.END_OF_FILE
    assert stored(path, "Zone.Identifier") == b"[ZoneTransfer]\r\nZoneId=3"
    assert path.read_bytes() == b"the file"


def test_a_stream_too_large_for_an_attribute_is_one_like_others(
    client: Client, engine: Engine
) -> None:
    path = engine.make_file("file", b"the file")
    small = client.open("file:s")
    client.call(small.frames.write(b"small"))
    other = ready(engine)
    large = other.open("file:s", create_disposition=FILE_OPEN)
    size = 10 << 20
    for offset in range(5, size, 1 << 20):  # in turns, and it moves under both
        file, its = ((client, small), (other, large))[offset // (1 << 20) % 2]
        assert file.status(its.frames.write(b"x" * (1 << 20), offset=offset)) is SUCCESS
    assert client.call(small.frames.read(10)).data == b"small" + b"x" * 5
    assert other.call(large.frames.read(1 << 20, offset=size - 10)).data == b"x" * 15
    told = {each.name: each for each in streams_of(client, small)}
    assert told[":s:$DATA"].size == size + 5
    assert told[":s:$DATA"].allocation_size >= size + 5
    assert told["::$DATA"].size == 8
    data = client.call(small.frames.query_info(FileInfo.STANDARD)).data
    standard = file_info.FileStandardInformation.unpack(data)
    assert standard.end_of_file == size + 5
    assert standard.allocation_size >= size + 5
    assert path.read_bytes() == b"the file"
    close(client, small)
    close(other, large)
    again = client.open("file:S", create_disposition=FILE_OPEN)
    assert again.response.body(CreateResponse).end_of_file == size + 5


def test_a_large_stream_goes_with_whatever_removes_its_file(client: Client, engine: Engine) -> None:
    engine.make_file("file")
    for removal in (FILE_OVERWRITE, FILE_SUPERSEDE, FILE_OPEN):
        stream = client.open("file:s")
        client.call(stream.frames.write(b"x", offset=1 << 20))
        close(client, stream)
        assert len(list((engine.folder / DIRECTORY).iterdir())) == 1
        options = FILE_DELETE_ON_CLOSE if removal == FILE_OPEN else 0
        file = client.open("file", create_disposition=removal, create_options=options)
        close(client, file)
        assert list((engine.folder / DIRECTORY).iterdir()) == []
    assert not (engine.folder / "file").exists()


def test_the_server_s_own_directory_cannot_be_named(client: Client, engine: Engine) -> None:
    stream = client.open("file:s")
    client.call(stream.frames.write(b"x", offset=1 << 20))
    [name] = os.listdir(engine.folder / DIRECTORY)
    for path, status in (
        (DIRECTORY, NOT_FOUND),
        (f"{DIRECTORY}:stream", NOT_FOUND),
        (f"{DIRECTORY}\\{name}", NtStatus.OBJECT_PATH_NOT_FOUND),
    ):
        for wanted in (FILE_OPEN, FILE_OPEN_IF, FILE_CREATE, FILE_SUPERSEDE):
            frame = client.frames.create(path, create_disposition=wanted)
            assert client.status(frame) is status, path
    file = client.open("other")
    assert rename_to(client, file, DIRECTORY) is NtStatus.ACCESS_DENIED
    assert rename_to(client, file, f"{DIRECTORY}\\x") is NtStatus.OBJECT_PATH_NOT_FOUND


def test_the_end_of_a_stream_moves(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", b"12345678")
    put(path, b"12345678")
    file = client.open("file:s")
    for info_class, size, left in (
        (FileInfo.END_OF_FILE, 4, b"1234"),
        (FileInfo.END_OF_FILE, 6, b"1234\0\0"),
        (FileInfo.ALLOCATION, 4096, b"1234\0\0"),
        (FileInfo.ALLOCATION, 2, b"12"),
    ):
        data = size.to_bytes(8, "little")
        assert client.status(file.frames.set_info(info_class, data)) is SUCCESS
        assert stored(path) == left
    assert path.read_bytes() == b"12345678"


def test_a_write_to_a_stream_is_one_to_the_file(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    os.utime(path, (1e9, 1e9))
    client.call(client.open("file:s").frames.write(b"x"))
    assert path.stat().st_mtime > 1e9


def test_locks_are_each_stream_s_own(client: Client, engine: Engine) -> None:
    engine.make_file("file", b"data")
    lock = (0, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)
    first, second, base = client.open("file:a"), client.open("file:A"), client.open("file")
    assert client.status(first.frames.lock(lock)) is SUCCESS
    assert client.status(second.frames.lock(lock)) is NtStatus.LOCK_NOT_GRANTED
    assert client.status(second.frames.write(b"x")) is NtStatus.FILE_LOCK_CONFLICT
    assert client.status(base.frames.lock(lock)) is SUCCESS
    assert client.status(client.open("file:b").frames.lock(lock)) is SUCCESS


# -- dispositions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disposition", "action"),
    [
        (FILE_SUPERSEDE, FILE_CREATED),
        (FILE_OPEN, None),
        (FILE_CREATE, FILE_CREATED),
        (FILE_OPEN_IF, FILE_CREATED),
        (FILE_OVERWRITE, None),
        (FILE_OVERWRITE_IF, FILE_CREATED),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_missing_stream(
    client: Client, engine: Engine, disposition: int, action: int | None, there: bool
) -> None:
    path = engine.make_file("file", b"data") if there else engine.folder / "file"
    frame = client.frames.create("file:s", create_disposition=disposition)
    if action is None:
        assert client.status(frame) is NOT_FOUND
        assert there == path.exists()
        assert not there or names(path) == []
        return
    assert client.ok(frame, CreateResponse).create_action == action
    assert stored(path) == b""
    assert path.read_bytes() == (b"data" if there else b"")


@pytest.mark.parametrize(
    ("disposition", "action", "left"),
    [
        (FILE_SUPERSEDE, FILE_SUPERSEDED, b""),
        (FILE_OPEN, FILE_OPENED, b"old"),
        (FILE_OPEN_IF, FILE_OPENED, b"old"),
        (FILE_OVERWRITE, FILE_OVERWRITTEN, b""),
        (FILE_OVERWRITE_IF, FILE_OVERWRITTEN, b""),
    ],
)
def test_a_stream_that_is_there(
    client: Client, engine: Engine, disposition: int, action: int, left: bytes
) -> None:
    path = engine.make_file("file", b"data")
    put(path, b"old")
    put(path, b"other", "t")
    answer = client.ok(
        client.frames.create("file:S", create_disposition=disposition), CreateResponse
    )
    assert (answer.create_action, answer.end_of_file) == (action, len(left))
    assert (stored(path), stored(path, "t"), path.read_bytes()) == (left, b"other", b"data")


def test_a_stream_is_made_once(client: Client, engine: Engine) -> None:
    put(engine.make_file("file"), b"")
    frame = client.frames.create("file:S", create_disposition=FILE_CREATE)
    assert client.status(frame) is COLLISION


@pytest.mark.parametrize("disposition", [FILE_SUPERSEDE, FILE_OVERWRITE, FILE_OVERWRITE_IF])
def test_who_overwrites_a_file_removes_its_streams(
    client: Client, engine: Engine, disposition: int
) -> None:
    path = engine.make_file("file", b"data")
    put(path, b"1")
    put(path, b"2", "t")
    client.open("file", create_disposition=disposition)
    assert names(path) == []


def test_a_stream_in_use_goes_when_it_is_closed_if_the_file_is_overwritten(
    client: Client, engine: Engine
) -> None:
    path = engine.make_file("file", b"data")
    put(path, b"1")
    stream = client.open("file:s")
    close(client, client.open("file", create_disposition=FILE_OVERWRITE))
    assert client.call(stream.frames.read(10)).data == b"1"
    assert client.status(client.frames.open("file:s")) is PENDING
    close(client, stream)
    assert names(path) == []


def test_a_directory_has_streams_that_are_none(client: Client, engine: Engine) -> None:
    path = engine.make_directory("dir")
    answer = client.ok(client.frames.create("dir:s"), CreateResponse)
    assert answer.file_attributes & ~ATTR_ARCHIVE in (0, 0x80)
    stream = client.open("dir:s")
    assert client.status(stream.frames.write(b"data")) is SUCCESS
    assert client.status(stream.frames.query_directory()) is NtStatus.INVALID_PARAMETER
    assert stored(path) == b"data"
    assert streams_of(client, client.open("dir")) == [Stream(":s:$DATA", 4, 512)]
    assert client.status(client.open(":s").frames.write(b"root")) is SUCCESS
    assert stored(engine.folder) == b"root"


def test_a_new_file_has_what_is_asked_for(client: Client, engine: Engine) -> None:
    client.open("file:s", file_attributes=ATTR_HIDDEN)
    info = client.call(client.open("file").frames.query_info(FileInfo.BASIC)).data
    basic = file_info.FileBasicInformation.unpack(info)
    assert basic.file_attributes == ATTR_HIDDEN | ATTR_ARCHIVE
    assert stat.S_ISREG((engine.folder / "file").stat().st_mode)


# -- rights ------------------------------------------------------------------------------


def test_a_read_only_file_gets_no_stream_and_its_streams_are_not_written(
    client: Client, engine: Engine
) -> None:
    path = engine.make_file("file")
    put(path, b"data")
    close(client, client.open("new", file_attributes=ATTR_READONLY))
    frame = client.frames.create("new:s", desired_access=FILE_READ_DATA)
    assert client.status(frame) is NtStatus.ACCESS_DENIED
    base = client.open("file")
    info = basic(file_attributes=ATTR_READONLY)
    assert client.status(base.frames.set_info(FileInfo.BASIC, info)) is SUCCESS
    for access, status in (
        (FILE_WRITE_DATA, NtStatus.ACCESS_DENIED),
        (FILE_READ_DATA, SUCCESS),
    ):
        assert client.status(client.frames.open("file:s", desired_access=access)) is status


def test_a_read_only_share_shows_streams(engine: Engine) -> None:
    put(engine.make_file("file"), b"data")
    client = ready(engine, share="ro")
    frame = client.frames.open("file:s", desired_access=FILE_READ_DATA)
    assert client.status(frame) is SUCCESS
    for name in ("file:new", "new:s"):
        frame = client.frames.create(name, desired_access=FILE_READ_DATA)
        assert client.status(frame) is NtStatus.ACCESS_DENIED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
def test_who_may_not_write_to_a_file_makes_no_streams(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    put(path, b"data")
    path.chmod(0o755)
    os.chown(path, 0, 0)
    read = client.frames.open("file:s", desired_access=FILE_READ_DATA)
    assert client.status(read) is SUCCESS
    for name in ("file:s", "file:new"):
        frame = client.frames.create(name, desired_access=FILE_WRITE_DATA)
        assert client.status(frame) is NtStatus.ACCESS_DENIED


# -- sharing -----------------------------------------------------------------------------


def test_only_the_same_stream_conflicts(client: Client, engine: Engine) -> None:
    engine.make_file("file")
    write = {"desired_access": FILE_WRITE_DATA, "share_access": 0}
    client.open("file:a", **write)
    client.open("file:b", **write)
    client.open("file", **write)
    for name in ("file:A", "file:b:$DATA", "file"):
        assert client.status(client.frames.open(name, **write)) is VIOLATION


def test_a_stream_that_shares_no_deletion_keeps_the_file(client: Client, engine: Engine) -> None:
    engine.make_file("file")
    stream = client.open("file:s", share_access=SHARE_NO_DELETE)
    assert client.status(client.frames.open("file", desired_access=DELETE)) is VIOLATION
    close(client, stream)
    # one that is open for its attributes alone keeps nobody
    client.open("file:s", share_access=0, desired_access=FILE_READ_ATTRIBUTES)
    file = client.open("file", desired_access=DELETE)
    frame = client.frames.open("file:s", share_access=SHARE_NO_DELETE)
    assert client.status(frame) is VIOLATION
    close(client, file)
    assert client.status(frame.changed()) is SUCCESS


def test_a_file_that_shares_no_deletion_lets_its_streams_be_deleted(
    client: Client, engine: Engine
) -> None:
    path = engine.make_file("file")
    put(path, b"")
    client.open("file", desired_access=FILE_READ_DATA, share_access=SHARE_NO_DELETE)
    stream = client.open("file:s", desired_access=DELETE)
    assert disposition(client, stream) is SUCCESS
    close(client, stream)
    assert names(path) == []


# -- deletion ----------------------------------------------------------------------------


def test_a_deleted_stream_leaves_the_file(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", b"data")
    stream, other = client.open("file:s"), client.open("file:s")
    assert disposition(client, stream) is SUCCESS
    assert client.status(client.frames.open("file:s")) is PENDING
    assert client.status(client.frames.open("file")) is SUCCESS
    assert streams_of(client, client.open("file"))[1:] == [Stream(":s:$DATA", 0, 0)]
    close(client, stream)
    assert names(path) == ["s"]
    close(client, other)
    assert names(path) == []
    assert path.read_bytes() == b"data"


def test_delete_on_close_is_the_stream_s(client: Client, engine: Engine) -> None:
    path = engine.folder / "file"
    close(client, client.open("file:s", create_options=FILE_DELETE_ON_CLOSE))
    assert path.exists()
    assert names(path) == []
    assert client.status(client.frames.open("file:s")) is NOT_FOUND


def test_a_deleted_file_stays_until_its_streams_are_closed(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    put(path, b"data")
    first, second = client.open("file:s"), client.open("file:t")
    close(client, client.open("file", create_options=FILE_DELETE_ON_CLOSE))
    assert client.call(first.frames.read(10)).data == b"data"
    for name in ("file", "file:s", "file:new"):
        assert client.status(client.frames.create(name)) is PENDING
    close(client, first)
    assert path.exists()
    close(client, second)
    assert not path.exists()


def test_a_stream_and_its_file_go_together(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    stream = client.open("file:s")
    assert disposition(client, stream) is SUCCESS
    close(client, client.open("file", create_options=FILE_DELETE_ON_CLOSE))
    close(client, stream)
    assert not path.exists()


def test_a_directory_is_deleted_through_the_last_of_its_streams(
    client: Client, engine: Engine
) -> None:
    path = engine.make_directory("dir")
    stream = client.open("dir:s")
    close(client, client.open("dir", create_options=FILE_DELETE_ON_CLOSE))
    assert path.exists()
    client.lose()
    assert not path.exists()
    assert not engine.server.inodes.find((0, 0))
    assert stream


def test_the_root_s_streams_may_go(client: Client, engine: Engine) -> None:
    put(engine.folder, b"")
    stream = client.open(":s")
    assert disposition(client, stream) is SUCCESS
    close(client, stream)
    assert names(engine.folder) == []
    assert engine.folder.exists()


# -- information -------------------------------------------------------------------------


def test_information_is_the_file_s_but_for_name_and_size(client: Client, engine: Engine) -> None:
    path = engine.make_file("Dir/File", b"12345")
    put(path, b"123", "Stream")
    base, stream = client.open("dir\\file"), client.open("dir\\file:STREAM")
    told = [
        file_info.FileAllInformation.unpack(client.call(file.frames.query_info(FileInfo.ALL)).data)
        for file in (base, stream)
    ]
    for field in ("creation_time", "last_write_time", "change_time", "file_attributes"):
        assert getattr(told[0], field) == getattr(told[1], field)
    assert told[0].index_number == told[1].index_number
    assert (told[1].end_of_file, told[1].allocation_size) == (3, 512)
    raw = client.call(stream.frames.query_info(FileInfo.NAME)).data
    _, name = file_info.unpack_named(file_info.FileNameInformation, raw)
    assert name == "\\Dir\\File:Stream"


def test_times_and_attributes_set_on_a_stream_are_the_file_s(
    client: Client, engine: Engine
) -> None:
    engine.make_file("file")
    stream, base = client.open("file:s"), client.open("file")
    info = basic(
        creation_time=133 * 10**15, last_write_time=134 * 10**15, file_attributes=ATTR_HIDDEN
    )
    assert client.status(stream.frames.set_info(FileInfo.BASIC, info)) is SUCCESS
    raw = client.call(base.frames.query_info(FileInfo.BASIC)).data
    told = file_info.FileBasicInformation.unpack(raw)
    assert (told.creation_time, told.last_write_time) == (133 * 10**15, 134 * 10**15)
    assert told.file_attributes == ATTR_HIDDEN


def test_all_streams_are_listed_by_any(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", b"12345")
    put(path, b"", "a")
    put(path, bytes(600), "b")
    expected = {("::$DATA", 5), (":a:$DATA", 0), (":b:$DATA", 600)}
    for name in ("file", "file:b"):
        found = streams_of(client, client.open(name))
        assert found[0].name == "::$DATA"
        assert {(each.name, each.size) for each in found} == expected
    assert {each.allocation_size for each in found[1:]} == {0, 1024}


def test_an_entry_of_the_list_is_given_whole_or_not_at_all(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    put(path, b"", "a")
    file = client.open("file")
    whole = client.call(file.frames.query_info(FileInfo.STREAM)).data
    for length in range(len(whole) + 2):
        answer = client.call(file.frames.query_info(FileInfo.STREAM, output_buffer_length=length))
        if length < 32:
            assert answer.status is NtStatus.INFO_LENGTH_MISMATCH
            continue
        fits = length >= len(whole)
        assert answer.status is (SUCCESS if fits else NtStatus.BUFFER_OVERFLOW)
        assert len(file_chains.unpack_streams(answer.data)) == (
            2 if fits else 1 if length >= 38 else 0
        )


@pytest.mark.parametrize("on", [True, False])
def test_the_volume_says_whether_there_are_streams(folder: Path, on: bool) -> None:
    flags = DISK if on else DISK & ~ipc.SHARE_STREAMS
    engine = Engine(folder, shares=[share("data", str(folder), flags)])
    put(engine.make_file("file"), b"x")
    client = ready(engine)
    file = client.open("file")
    frame = file.frames.query_info(FsInfo.ATTRIBUTE, info_type=INFO_FILESYSTEM)
    attributes = int.from_bytes(client.call(frame).data[:4], "little")
    assert bool(attributes & fs_info.FS_NAMED_STREAMS) == on
    assert len(streams_of(client, file)) == (2 if on else 1)
    close(client, client.open("file", create_disposition=FILE_OVERWRITE))
    assert names(folder / "file") == ([] if on else ["s"])


def test_streams_as_samba_keeps_them(folder: Path) -> None:
    flags = DISK | ipc.SHARE_STREAMS_SAMBA
    engine = Engine(folder, shares=[share("data", str(folder), flags)])
    path = engine.make_file("file")
    put(path, b"by Samba\0")
    client = ready(engine)
    stream = client.open("file:s")
    assert client.call(stream.frames.read(100)).data == b"by Samba"
    client.call(stream.frames.write(b"us", offset=3))
    assert stored(path) == b"by usmba\0"
    client.open("file:new")
    assert stored(path, "new") == b"\0"
    assert {each.name: each.size for each in streams_of(client, stream)} == {
        "::$DATA": 0, ":s:$DATA": 8, ":new:$DATA": 0
    }  # fmt: skip
