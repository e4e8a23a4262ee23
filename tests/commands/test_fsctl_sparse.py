"""commands/fsctl_sparse.py through the engine: holes, trimming, compression."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.commands import fsctl_sparse, query_filesystem
from ksmbd.ipc.requests import ShareConfig
from ksmbd.vfs import abilities, sparse
from ksmbd.vfs.abilities import COMPRESSES
from ksmbd.vfs.compression import _FS_IOC_SETFLAGS
from ksmbd.vfs.handle import Handle
from ksmbd.wire import fs_info, fsctl
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_COMPRESSED,
    ATTR_SPARSE,
    FILE_APPEND_DATA,
    FILE_CREATE,
    FILE_DIRECTORY_FILE,
    FILE_NO_COMPRESSION,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_READ_EA,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
)
from ksmbd.wire.change_notify import CHANGE_ATTRIBUTES, CHANGE_LAST_WRITE
from ksmbd.wire.create import OPLOCK_II, CreateResponse
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import Command
from ksmbd.wire.ipc import SHARE_STORE_DOS_ATTRS
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY
from ksmbd.wire.query_info import INFO_FILESYSTEM
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share
from tests.support.replies import Response

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
DENIED = NtStatus.ACCESS_DENIED
DEVICE = NtStatus.INVALID_DEVICE_REQUEST
BLOCK = 65536
RANGE = struct.Struct("<qq")


@pytest.fixture
def file(client: Client) -> File:
    client.engine.make_file("file", b"x" * 4 * BLOCK)
    return client.open("file")


@pytest.fixture
def disk(client: Client) -> Path:
    return client.engine.folder / "file"


def attributes(client: Client, file: File) -> int:
    response = client.call(file.frames.query_info(FileInfo.BASIC))
    return int.from_bytes(response.data[32:36], "little")


def set_sparse(client: Client, file: File, data: bytes = b"") -> NtStatus:
    return client.status(file.frames.ioctl(fsctl.SET_SPARSE, data))


def zero(client: Client, file: File, start: int, end: int) -> NtStatus:
    return client.status(file.frames.ioctl(fsctl.SET_ZERO_DATA, RANGE.pack(start, end)))


def allocated(
    client: Client, file: File, offset: int = 0, length: int = 1 << 40, room: int = 4096
) -> tuple[NtStatus, list[tuple[int, int]]]:
    data = RANGE.pack(offset, length)
    frame = file.frames.ioctl(fsctl.QUERY_ALLOCATED_RANGES, data, max_output_response=room)
    response = client.call(frame)
    return response.status, [(a, b) for a, b in RANGE.iter_unpack(output(response))]


def output(response: Response) -> bytes:
    """Of a refusal, nothing."""
    return b"" if response.status & 0xC0000000 == 0xC0000000 else response.data


def has_holes(path: Path) -> bool:
    """Whether this disk keeps holes at all."""
    return os.stat(path).st_blocks * 512 < os.stat(path).st_size


# -- the attribute -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sparse_"), [(b"", True), (b"\1", True), (b"\xff" + bytes(99), True), (b"\0", False)]
)
def test_a_file_becomes_sparse_and_stays_what_it_was_besides(
    client: Client, file: File, data: bytes, sparse_: bool
) -> None:
    assert set_sparse(client, file, data) is OK
    wanted = ATTR_ARCHIVE | (ATTR_SPARSE if sparse_ else 0)
    assert attributes(client, file) == wanted
    assert attributes(client, client.open("file")) == wanted


def test_a_sparse_file_is_made_whole_again(client: Client, file: File, disk: Path) -> None:
    assert set_sparse(client, file) is OK
    assert zero(client, file, 0, 2 * BLOCK) is OK
    holes = has_holes(disk)
    assert set_sparse(client, file, b"\0") is OK
    assert not attributes(client, file) & ATTR_SPARSE
    assert allocated(client, file) == (OK, [(0, 4 * BLOCK)])
    if holes:
        assert not has_holes(disk)


def test_a_full_disk_keeps_a_file_sparse(
    client: Client, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert set_sparse(client, file) is OK
    monkeypatch.setattr(sparse, "fallocate", full)
    assert set_sparse(client, file, b"\0") is NtStatus.DISK_FULL
    assert attributes(client, file) & ATTR_SPARSE


@pytest.mark.parametrize(
    ("access", "status"),
    [
        (FILE_WRITE_DATA, OK),
        (FILE_APPEND_DATA, OK),
        (FILE_WRITE_ATTRIBUTES, OK),
        (FILE_WRITE_EA, DENIED),
        (FILE_READ_DATA, DENIED),
    ],
)
def test_who_may_make_a_file_sparse(client: Client, access: int, status: NtStatus) -> None:
    client.engine.make_file("file")
    file = client.open("file", desired_access=access)
    assert set_sparse(client, file) is status
    assert bool(attributes(client, client.open("file")) & ATTR_SPARSE) is (status is OK)


def test_a_directory_is_not_sparse(client: Client) -> None:
    directory = client.open("d", create_options=FILE_DIRECTORY_FILE)
    assert set_sparse(client, directory) is INVALID


def test_where_no_attributes_are_kept_nothing_is_sparse(engine: Engine, folder: Path) -> None:
    config: ShareConfig = share("plain", str(folder), DISK & ~SHARE_STORE_DOS_ATTRS)
    engine = Engine(folder, shares=[config])
    client = ready(engine, share="plain")
    assert set_sparse(client, client.open("new")) is NtStatus.NOT_SUPPORTED


# -- zeroing -----------------------------------------------------------------------------


def test_a_range_is_zeroed(client: Client, file: File, disk: Path) -> None:
    assert zero(client, file, 10, BLOCK) is OK
    assert disk.read_bytes() == b"x" * 10 + bytes(BLOCK - 10) + b"x" * 3 * BLOCK
    assert allocated(client, file) == (OK, [(0, 4 * BLOCK)])


def test_a_sparse_file_loses_the_storage_of_what_is_zeroed(
    client: Client, file: File, disk: Path
) -> None:
    assert set_sparse(client, file) is OK
    before = disk.stat().st_blocks
    assert zero(client, file, 0, 2 * BLOCK) is OK
    assert disk.read_bytes() == bytes(2 * BLOCK) + b"x" * 2 * BLOCK
    if disk.stat().st_blocks < before:  # the disk keeps holes
        assert allocated(client, file) == (OK, [(2 * BLOCK, 2 * BLOCK)])
        assert allocated(client, file, 100, 2 * BLOCK) == (OK, [(2 * BLOCK, 100)])


def test_the_end_of_the_file_stays_where_it_is(client: Client, file: File, disk: Path) -> None:
    assert zero(client, file, 4 * BLOCK - 1, 1 << 50) is OK
    assert zero(client, file, 1 << 50, 1 << 51) is OK
    assert zero(client, file, 7, 7) is OK
    assert disk.read_bytes() == b"x" * (4 * BLOCK - 1) + b"\0"


@pytest.mark.parametrize(
    ("start", "end"), [(1, 0), (-1, 10), (0, -1), (-10, -1), (-(1 << 63), (1 << 63) - 1)]
)
def test_what_is_no_range_is_refused(client: Client, file: File, start: int, end: int) -> None:
    assert zero(client, file, start, end) is INVALID


@pytest.mark.parametrize("access", [FILE_WRITE_ATTRIBUTES, FILE_APPEND_DATA, FILE_WRITE_EA])
def test_zeroing_needs_the_right_to_write(client: Client, file: File, access: int) -> None:
    other = client.open("file", desired_access=access)
    assert zero(client, other, 0, 1) is DENIED


def test_a_directory_is_not_zeroed_nor_trimmed_nor_asked_for_ranges(client: Client) -> None:
    directory = client.open("d", create_options=FILE_DIRECTORY_FILE)
    assert zero(client, directory, 0, 1) is INVALID
    assert allocated(client, directory)[0] is INVALID
    assert client.status(directory.frames.ioctl(fsctl.FILE_LEVEL_TRIM, trims((0, 1)))) is INVALID


def test_another_s_lock_keeps_its_range_from_being_zeroed(
    client: Client, file: File, disk: Path
) -> None:
    other = client.open("file")
    assert client.status(other.frames.lock((0, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY))) is OK
    assert zero(client, file, 5, 20) is NtStatus.FILE_LOCK_CONFLICT
    assert zero(client, other, 5, 6) is OK
    assert zero(client, file, 10, 20) is OK
    assert disk.read_bytes()[:21] == b"xxxxx\0xxxx" + bytes(10) + b"x"


def test_a_stream_is_zeroed_and_has_no_holes(client: Client) -> None:
    stream = client.open("file:stream")
    assert client.status(stream.frames.write(b"0123456789")) is OK
    assert zero(client, stream, 2, 5) is OK
    assert client.call(stream.frames.read(100)).data == b"01\0\0\x0056789"
    assert allocated(client, stream) == (OK, [(0, 10)])
    assert set_sparse(client, stream) is DEVICE
    assert client.status(stream.frames.ioctl(fsctl.FILE_LEVEL_TRIM, trims((0, 1)))) is DEVICE


def test_zeroing_ends_when_the_client_gives_up(
    client: Client, file: File, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where zeros must be written it can take long."""
    monkeypatch.setattr(sparse, "_ZEROS", bytes(BLOCK))

    def unsupported(*_: object, **_options: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(sparse, "fallocate", unsupported)
    write = Handle.write

    def cancelled(handle: Handle, data: bytes, offset: int) -> int:
        (work,) = client.connection.requests.values()
        work.cancel(work.header.message_id)
        return write(handle, data, offset)

    monkeypatch.setattr(Handle, "write", cancelled)
    assert zero(client, file, 0, 3 * BLOCK) is NtStatus.CANCELLED
    assert disk.read_bytes() == bytes(BLOCK) + b"x" * 3 * BLOCK


# -- allocated ranges --------------------------------------------------------------------


def test_an_empty_file_has_no_range_and_needs_no_room(client: Client) -> None:
    assert allocated(client, client.open("empty"), room=0) == (OK, [])


def test_ranges_that_find_no_room(client: Client, file: File, disk: Path) -> None:
    assert allocated(client, file, room=15) == (NtStatus.BUFFER_TOO_SMALL, [])
    assert set_sparse(client, file) is OK
    assert zero(client, file, BLOCK, 2 * BLOCK) is OK
    whole = allocated(client, file)
    if len(whole[1]) > 1:
        assert whole == (OK, [(0, BLOCK), (2 * BLOCK, 2 * BLOCK)])
        assert allocated(client, file, room=31) == (NtStatus.BUFFER_OVERFLOW, [(0, BLOCK)])
        assert allocated(client, file, room=32) == whole


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (512, (1 << 63) - 1), (1, -1)])
def test_ranges_outside_every_file_are_refused(
    client: Client, file: File, offset: int, length: int
) -> None:
    assert allocated(client, file, offset, length) == (INVALID, [])


def test_nothing_lies_behind_the_end(client: Client, file: File) -> None:
    assert allocated(client, file, 4 * BLOCK, 10) == (OK, [])
    assert allocated(client, file, 0, 0) == (OK, [])
    assert allocated(client, file, 4 * BLOCK - 1, 10) == (OK, [(4 * BLOCK - 1, 1)])


@pytest.mark.parametrize(
    ("access", "status"),
    [(FILE_READ_DATA, OK), (FILE_READ_ATTRIBUTES, DENIED), (FILE_READ_EA, DENIED)],
)
def test_who_may_ask_for_ranges(client: Client, file: File, access: int, status: NtStatus) -> None:
    assert allocated(client, client.open("file", desired_access=access))[0] is status


# -- trimming ----------------------------------------------------------------------------


def trims(*ranges: tuple[int, int]) -> bytes:
    head = fsctl.FileLevelTrim(num_ranges=len(ranges)).pack()
    return head + b"".join(struct.pack("<QQ", *one) for one in ranges)


def trim(client: Client, file: File, *ranges: tuple[int, int]) -> tuple[NtStatus, bytes]:
    response = client.call(file.frames.ioctl(fsctl.FILE_LEVEL_TRIM, trims(*ranges)))
    return response.status, output(response)


def test_what_is_trimmed_reads_as_zeros(client: Client, file: File, disk: Path) -> None:
    answer = trim(client, file, (0, BLOCK), (2 * BLOCK, BLOCK), (1 << 40, 10))
    if answer[0] is DEVICE:
        pytest.skip("this disk cannot trim")
    assert answer == (OK, b"\3\0\0\0")
    assert disk.read_bytes() == (bytes(BLOCK) + b"x" * BLOCK) * 2


def test_no_room_for_the_number_is_no_failure(client: Client, file: File, disk: Path) -> None:
    frame = file.frames.ioctl(fsctl.FILE_LEVEL_TRIM, trims((0, BLOCK)), max_output_response=0)
    response = client.call(frame)
    assert (response.status, response.data) == (OK, b"")
    assert disk.read_bytes()[:BLOCK] == bytes(BLOCK)


@pytest.mark.parametrize(
    "data",
    [
        trims(),
        trims((1 << 63, 1)),
        trims((0, 1 << 63)),
        trims((1, (1 << 63) - 1)),
        trims((0, 1))[:-1],
    ],
)
def test_trims_of_no_range_are_refused(client: Client, file: File, data: bytes) -> None:
    assert client.status(file.frames.ioctl(fsctl.FILE_LEVEL_TRIM, data)) is INVALID


def test_trimming_stops_at_a_lock(client: Client, file: File, disk: Path) -> None:
    other = client.open("file")
    assert client.status(other.frames.lock((BLOCK, 1, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY))) is OK
    assert trim(client, file, (0, BLOCK), (BLOCK, 1), (2 * BLOCK, 1)) == (OK, b"\1\0\0\0")
    assert trim(client, file, (BLOCK, 1))[0] is NtStatus.FILE_LOCK_CONFLICT
    assert disk.read_bytes() == bytes(BLOCK) + b"x" * 3 * BLOCK


def test_a_disk_that_cannot_trim_says_so(
    client: Client, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "trim", lambda *_: False)
    assert trim(client, file, (0, 1))[0] is DEVICE


def sector_flags(client: Client, file: File) -> int:
    frame = file.frames.query_info(fs_info.FsInfo.SECTOR_SIZE, info_type=INFO_FILESYSTEM)
    return int.from_bytes(client.call(frame).data[16:20], "little")


@pytest.mark.parametrize("able", [True, False])
def test_clients_are_told_whether_the_disk_can_trim(
    client: Client, file: File, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    monkeypatch.setattr(query_filesystem, "abilities", lambda _: int(able))
    assert bool(sector_flags(client, file) & fs_info.SECTOR_TRIM_ENABLED) is able


# -- compression -------------------------------------------------------------------------


class Compression:
    """A disk that compresses, for few do."""

    def __init__(self) -> None:
        self.inodes: set[int] = set()

    def set(self, handle: Handle, compressed: bool) -> None:
        (self.inodes.add if compressed else self.inodes.discard)(handle.ino)

    def get(self, handle: Handle) -> bool:
        return handle.ino in self.inodes


@pytest.fixture
def compressing(monkeypatch: pytest.MonkeyPatch) -> Compression:
    disk = Compression()
    monkeypatch.setattr(fsctl_sparse, "abilities", lambda _: COMPRESSES)
    monkeypatch.setattr(fsctl_sparse, "set_compressed", disk.set)
    monkeypatch.setattr(fsctl_sparse, "is_compressed", disk.get)
    return disk


def compress(client: Client, file: File, state: int) -> NtStatus:
    data = state.to_bytes(2, "little")
    return client.status(file.frames.ioctl(fsctl.SET_COMPRESSION, data))


def compression(client: Client, file: File) -> bytes:
    response = client.call(file.frames.ioctl(fsctl.GET_COMPRESSION, max_output_response=2))
    assert response.status is OK
    return response.data


def test_a_disk_that_does_not_compress(
    client: Client, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsctl_sparse, "abilities", lambda _: 0)
    assert compression(client, file) == b"\0\0"
    assert compress(client, file, 0) is OK
    assert compress(client, file, 1) is NtStatus.NOT_SUPPORTED
    assert compress(client, file, 2) is NtStatus.NOT_SUPPORTED


@pytest.mark.parametrize("kind", [0, FILE_DIRECTORY_FILE])
def test_compression_comes_and_goes(client: Client, compressing: Compression, kind: int) -> None:
    file = client.open("one", create_options=kind)
    for state in (1, 2):
        assert compress(client, file, state) is OK
        assert compression(client, file) == b"\2\0"
        assert attributes(client, file) & ATTR_COMPRESSED
    assert compress(client, file, 0) is OK
    assert compression(client, file) == b"\0\0"
    assert not attributes(client, file) & ATTR_COMPRESSED


@pytest.mark.parametrize("state", [3, 0x42, 0xFFFF])
def test_an_unknown_format_is_refused(client: Client, file: File, state: int) -> None:
    assert compress(client, file, state) is INVALID


def test_no_room_for_the_format(client: Client, file: File) -> None:
    frame = file.frames.ioctl(fsctl.GET_COMPRESSION, max_output_response=1)
    assert client.status(frame) is INVALID


def test_compressing_needs_the_right_to_write(client: Client, file: File) -> None:
    other = client.open("file", desired_access=FILE_WRITE_ATTRIBUTES | FILE_READ_DATA)
    assert compress(client, other, 0) is DENIED
    assert compression(client, other) == b"\0\0"


@pytest.mark.parametrize("kind", [0, FILE_DIRECTORY_FILE])
def test_what_is_made_where_others_are_compressed_is_so_unless_told_otherwise(
    client: Client, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    client.open("warm", create_options=FILE_DIRECTORY_FILE)
    known = dict.fromkeys(abilities._known, COMPRESSES)
    monkeypatch.setattr(abilities, "_known", known)
    client.open("dir", create_options=FILE_DIRECTORY_FILE)
    monkeypatch.setattr("ksmbd.vfs.compression.fcntl", Inheriting())
    for name, options, compressed in (
        ("usual", kind, ATTR_COMPRESSED),
        ("plain", kind | FILE_NO_COMPRESSION, 0),
    ):
        file = client.open(f"dir/{name}", create_options=options, create_disposition=FILE_CREATE)
        told = file.response.body(CreateResponse).file_attributes
        assert told & ATTR_COMPRESSED == compressed, name
        assert compression(client, file) == (b"\2\0" if compressed else b"\0\0")


class Inheriting:
    """The flags of files that were made in a directory that compresses: FS_COMPR_FL, at first."""

    def __init__(self) -> None:
        self.plain: set[int] = set()

    def ioctl(self, fd: int, request: int, argument: bytes) -> bytes:
        inode = os.fstat(fd).st_ino
        if request == _FS_IOC_SETFLAGS:
            assert argument == bytes(8)
            self.plain.add(inode)
        return struct.pack("=I4x", 0 if inode in self.plain else 4)


# -- who may not -------------------------------------------------------------------------

CHANGING: list[tuple[int, bytes]] = [
    (fsctl.SET_SPARSE, b""),
    (fsctl.SET_ZERO_DATA, RANGE.pack(0, 10)),
    (fsctl.FILE_LEVEL_TRIM, trims((0, 10))),
    (fsctl.SET_COMPRESSION, b"\0\0"),
]


@pytest.mark.parametrize(("code", "data"), CHANGING)
def test_a_pipe_has_no_storage(client: Client, code: int, data: bytes) -> None:
    client.connect("IPC$")
    pipe = client.open("srvsvc")
    assert client.status(pipe.frames.ioctl(code, data)) is DEVICE
    assert client.status(pipe.frames.ioctl(fsctl.GET_COMPRESSION)) is DEVICE


@pytest.mark.parametrize(("code", "data"), CHANGING)
def test_a_read_only_share_stays_as_it_is(
    read_only: Callable[[], File], client: Client, code: int, data: bytes
) -> None:
    file = read_only()
    assert client.status(file.frames.ioctl(code, data)) is DENIED


@pytest.fixture
def read_only(client: Client) -> Callable[[], File]:
    """An open on a share that became read-only for its user afterwards."""

    def make() -> File:
        client.engine.make_file("file", b"x" * 100)
        file = client.open("file")
        for session in client.engine.server.sessions.values():
            for tree in session.trees.values():
                tree.writable = False
        return file

    return make


# -- what follows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "data", "filter_"),
    [
        (fsctl.SET_SPARSE, b"", CHANGE_ATTRIBUTES),
        (fsctl.SET_ZERO_DATA, RANGE.pack(0, 10), CHANGE_LAST_WRITE),
        (fsctl.FILE_LEVEL_TRIM, trims((0, 10)), CHANGE_LAST_WRITE),
    ],
)
def test_who_watches_the_directory_hears_of_it(
    client: Client, file: File, code: int, data: bytes, filter_: int
) -> None:
    directory = client.open("", create_options=FILE_DIRECTORY_FILE)
    client.pend(directory.frames.change_notify(completion_filter=filter_))
    answers = client.send(file.frames.ioctl(code, data))
    assert [answer.status for answer in answers] == [OK, OK]
    assert {answer.header.command for answer in answers} == {
        Command.IOCTL,
        Command.CHANGE_NOTIFY,
    }


@pytest.mark.parametrize(
    ("code", "data"),
    [(fsctl.SET_ZERO_DATA, RANGE.pack(0, 10)), (fsctl.FILE_LEVEL_TRIM, trims((0, 10)))],
)
def test_who_has_the_data_cached_is_told(
    client: Client, folder: Path, file: File, code: int, data: bytes
) -> None:
    engine = Engine(folder, leases=True)
    client, reader = ready(engine), ready(engine)
    file = client.open("file")
    reader.open("file", requested_oplock_level=OPLOCK_II)
    assert client.status(file.frames.ioctl(code, data)) is OK
    assert reader.receive() == []
    assert [told.header.command for told in reader.unsolicited] == [Command.OPLOCK_BREAK]
