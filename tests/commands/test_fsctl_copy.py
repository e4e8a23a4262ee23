"""commands/fsctl_copy.py through the engine, [MS-SMB2] 3.3.5.15.5 and .6."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.commands import fsctl_copy, query_filesystem
from ksmbd.commands.fsctl_copy import MAX_CHUNK, MAX_CHUNKS, MAX_TOTAL
from ksmbd.vfs.abilities import SHARES_BLOCKS
from ksmbd.vfs.handle import Handle
from ksmbd.wire import fs_info, fsctl
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_DIRECTORY_FILE,
    FILE_EXECUTE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
)
from ksmbd.wire.change_notify import CHANGE_LAST_WRITE
from ksmbd.wire.create import OPLOCK_II
from ksmbd.wire.header import Command
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY
from ksmbd.wire.query_info import INFO_FILESYSTEM
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine, give_to_joe
from tests.support.mountd import share
from tests.support.replies import Response

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
DENIED = NtStatus.ACCESS_DENIED
DEVICE = NtStatus.INVALID_DEVICE_REQUEST
CONFLICT = NtStatus.FILE_LOCK_CONFLICT
UNSUPPORTED = NtStatus.NOT_SUPPORTED
DATA = bytes(range(256)) * 64  # 16 KiB
LIMITS = (MAX_CHUNKS, MAX_CHUNK, MAX_TOTAL)

Chunk = tuple[int, int, int]  # source offset, target offset, length


@pytest.fixture
def source(client: Client) -> File:
    client.engine.make_file("source", DATA)
    return client.open("source")


@pytest.fixture
def target(client: Client) -> File:
    return client.open("target")


def content(client: Client, name: str = "target") -> bytes:
    return (client.engine.folder / name).read_bytes()


def key_of(client: Client, file: File) -> bytes:
    frame = file.frames.ioctl(fsctl.SRV_REQUEST_RESUME_KEY, max_output_response=32)
    response = client.call(frame)
    assert response.status is OK
    return fsctl.SrvRequestResumeKeyResponse.unpack(response.data).resume_key


def request(key: bytes, *chunks: Chunk, count: int | None = None) -> bytes:
    head = fsctl.SrvCopychunkCopy(
        source_key=key, chunk_count=len(chunks) if count is None else count
    )
    return head.pack() + b"".join(
        fsctl.SrvCopychunk(source_offset=a, target_offset=b, length=c).pack() for a, b, c in chunks
    )


def copy(
    client: Client, target: File, data: bytes, code: int = fsctl.SRV_COPYCHUNK, room: int = 12
) -> tuple[NtStatus, tuple[int, ...]]:
    """The status and the three numbers, none with a bare refusal."""
    response = client.call(target.frames.ioctl(code, data, max_output_response=room))
    if response.structure_size != 49:
        return response.status, ()
    return response.status, struct.unpack("<III", response.data)


# -- resume keys -------------------------------------------------------------------------


def test_a_file_keeps_its_key_and_another_has_another(
    client: Client, source: File, target: File
) -> None:
    key = key_of(client, source)
    assert key == key_of(client, source) != key_of(client, target)


@pytest.mark.parametrize("room", [0, 31])
def test_no_room_for_a_key(client: Client, source: File, room: int) -> None:
    frame = source.frames.ioctl(fsctl.SRV_REQUEST_RESUME_KEY, max_output_response=room)
    assert client.status(frame) is INVALID


def test_a_pipe_has_no_key(client: Client) -> None:
    client.connect("IPC$")
    assert client.status(client.open("srvsvc").frames.ioctl(fsctl.SRV_REQUEST_RESUME_KEY)) is DEVICE


# -- what is copied ----------------------------------------------------------------------


@pytest.mark.parametrize("code", [fsctl.SRV_COPYCHUNK, fsctl.SRV_COPYCHUNK_WRITE])
def test_chunks_are_copied_in_order(client: Client, source: File, target: File, code: int) -> None:
    data = request(key_of(client, source), (0, 0, 4096), (100, 4096, 200), (0, 10, 1))
    assert copy(client, target, data, code) == (OK, (3, 0, 4297))
    assert content(client) == DATA[:10] + DATA[:1] + DATA[11:4096] + DATA[100:300]


def test_a_gap_before_the_target_reads_as_zeros(client: Client, source: File, target: File) -> None:
    assert copy(client, target, request(key_of(client, source), (0, 4096, 10)))[0] is OK
    assert content(client) == bytes(4096) + DATA[:10]


@pytest.mark.parametrize(("start", "into"), [(0, 2040), (2040, 0), (0, 1), (7, 7)])
def test_a_file_is_copied_onto_itself_as_if_by_way_of_another(
    client: Client, source: File, start: int, into: int
) -> None:
    data = request(key_of(client, source), (start, into, 2048))
    assert copy(client, source, data) == (OK, (1, 0, 2048))
    expected = bytearray(DATA)
    expected[into : into + 2048] = DATA[start : start + 2048]
    assert content(client, "source") == expected


def test_streams_are_copied(client: Client, source: File) -> None:
    stream = client.open("other:stream")
    assert copy(client, stream, request(key_of(client, source), (0, 0, 1000)))[0] is OK
    assert client.call(stream.frames.read(2000)).data == DATA[:1000]
    target = client.open("target")
    assert copy(client, target, request(key_of(client, stream), (1, 0, 999)))[0] is OK
    assert content(client) == DATA[1:1000]


def test_nothing_is_copied_if_nothing_is_asked_for(
    client: Client, source: File, target: File
) -> None:
    assert copy(client, target, request(key_of(client, source))) == (OK, (0, 0, 0))


def test_from_one_share_to_another(engine: Engine, folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    give_to_joe(other)
    engine = Engine(folder, shares=[share("data", str(folder)), share("other", str(other))])
    client = ready(engine)
    engine.make_file("source", DATA)
    key = key_of(client, client.open("source"))
    client.connect("other")
    assert copy(client, client.open("target"), request(key, (0, 0, 4096)))[0] is OK
    assert (other / "target").read_bytes() == DATA[:4096]


# -- limits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunks",
    [
        [(0, 0, 0)],
        [(0, 0, 1), (0, 0, 0)],
        [(0, 0, MAX_CHUNK + 1)],
        [(0, 0, 0xFFFF_FFFF)],
        [(0, 0, MAX_CHUNK)] * 17,
        [(0, 0, 1)] * (MAX_CHUNKS + 1),
    ],
)
def test_beyond_the_limits_the_limits_are_told(
    client: Client, source: File, target: File, chunks: list[Chunk]
) -> None:
    data = request(key_of(client, source), *chunks)
    assert copy(client, target, data) == (INVALID, LIMITS)
    assert content(client) == b""


def test_a_number_of_chunks_beyond_belief(client: Client, source: File, target: File) -> None:
    data = request(key_of(client, source), (0, 0, 1), count=0xFFFF_FFFF)
    assert copy(client, target, data) == (INVALID, LIMITS)


def test_the_limits_themselves_are_within(client: Client, target: File) -> None:
    client.engine.make_file("large", bytes(MAX_CHUNK))
    key = key_of(client, client.open("large"))
    every = [(0, n * MAX_CHUNK, MAX_CHUNK) for n in range(MAX_TOTAL // MAX_CHUNK)]
    assert copy(client, target, request(key, *every)) == (OK, (16, 0, MAX_TOTAL))
    assert copy(client, target, request(key, *[(0, 0, 1)] * MAX_CHUNKS))[0] is OK


def test_fewer_chunks_than_are_promised(client: Client, source: File, target: File) -> None:
    data = request(key_of(client, source), (0, 0, 1), count=2)
    assert copy(client, target, data) == (INVALID, ())


@pytest.mark.parametrize("chunk", [(1 << 63, 0, 1), (0, 1 << 63, 1), (0, (1 << 63) - 1, 1)])
def test_a_chunk_outside_every_file(
    client: Client, source: File, target: File, chunk: Chunk
) -> None:
    data = request(key_of(client, source), chunk)
    assert copy(client, target, data) == (INVALID, ())


def test_no_room_for_the_answer(client: Client, source: File, target: File) -> None:
    data = request(key_of(client, source), (0, 0, 1))
    assert copy(client, target, data, room=11) == (INVALID, ())
    assert content(client) == b""


# -- what ends it early ------------------------------------------------------------------


def test_what_was_copied_before_the_end_of_the_source_stays(
    client: Client, source: File, target: File
) -> None:
    size = len(DATA)
    data = request(key_of(client, source), (0, 0, 4096), (size - 10, 4096, 11), (0, 9000, 1))
    assert copy(client, target, data) == (NtStatus.INVALID_VIEW_SIZE, (1, 0, 4096))
    assert content(client) == DATA[:4096]
    data = request(key_of(client, source), (size - 10, 4096, 10))
    assert copy(client, target, data) == (OK, (1, 0, 10))


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_lock_on_either_side_is_in_the_way(
    client: Client, source: File, target: File, which: str
) -> None:
    other = client.open(which)
    lock = (4096, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)
    assert client.status(other.frames.lock(lock)) is OK
    data = request(key_of(client, source), (0, 0, 4096), (4096, 4096, 4096))
    assert copy(client, target, data) == (CONFLICT, (1, 0, 4096))
    assert content(client) == DATA[:4096]


def test_a_full_disk_is_told_with_what_was_copied(
    client: Client, source: File, target: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fsctl_copy.copy_range

    def full(a: Handle, start: int, b: Handle, into: int, length: int) -> int:
        if into:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(a, start, b, into, length)

    monkeypatch.setattr(fsctl_copy, "copy_range", full)
    data = request(key_of(client, source), (0, 0, 4096), (0, 4096, 4096))
    assert copy(client, target, data) == (NtStatus.DISK_FULL, (1, 0, 4096))


def test_it_ends_when_the_client_gives_up(
    client: Client, source: File, target: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fsctl_copy.copy_range

    def cancelled(a: Handle, start: int, b: Handle, into: int, length: int) -> int:
        (work,) = client.connection.requests.values()
        work.cancel(work.header.message_id)
        return real(a, start, b, into, length)

    monkeypatch.setattr(fsctl_copy, "copy_range", cancelled)
    data = request(key_of(client, source), (0, 0, 10), (10, 10, 10))
    assert copy(client, target, data) == (NtStatus.CANCELLED, (1, 0, 10))
    assert content(client) == DATA[:10]


# -- who may not -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "status"),
    [(FILE_READ_DATA, OK), (FILE_EXECUTE, OK), (FILE_READ_ATTRIBUTES, DENIED)],
)
def test_the_source_must_be_readable(
    client: Client, source: File, target: File, access: int, status: NtStatus
) -> None:
    key = key_of(client, client.open("source", desired_access=access))
    assert copy(client, target, request(key, (0, 0, 10)))[0] is status


@pytest.mark.parametrize(
    ("access", "code", "status"),
    [
        (FILE_ALL_ACCESS & ~FILE_READ_DATA, fsctl.SRV_COPYCHUNK, DENIED),
        (FILE_ALL_ACCESS & ~FILE_READ_DATA, fsctl.SRV_COPYCHUNK_WRITE, OK),
        (FILE_APPEND_DATA, fsctl.SRV_COPYCHUNK_WRITE, OK),
        (FILE_READ_DATA, fsctl.SRV_COPYCHUNK, DENIED),
        (FILE_READ_DATA, fsctl.SRV_COPYCHUNK_WRITE, DENIED),
    ],
)
def test_what_the_target_must_be(
    client: Client, source: File, target: File, access: int, code: int, status: NtStatus
) -> None:
    other = client.open("target", desired_access=access)
    data = request(key_of(client, source), (0, 0, 10))
    assert copy(client, other, data, code)[0] is status


def test_a_key_that_nobody_has(client: Client, target: File) -> None:
    for key in (bytes(24), b"deadbeef" * 3):
        assert copy(client, target, request(key, (0, 0, 10)))[0] is NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_key_that_was_never_asked_for_is_none(client: Client, source: File, target: File) -> None:
    persistent_id, volatile_id = source.ids
    key = struct.pack("<QQ8x", volatile_id, persistent_id)
    assert copy(client, target, request(key, (0, 0, 1)))[0] is NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_key_ends_with_its_open(client: Client, source: File, target: File) -> None:
    key = key_of(client, source)
    assert client.status(source.frames.close()) is OK
    assert copy(client, target, request(key, (0, 0, 1)))[0] is NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_key_is_its_session_s_alone(client: Client, source: File, target: File) -> None:
    key = key_of(client, source)
    jane = ready(client.engine, user="jane")
    jane.engine.make_file("theirs").chmod(0o666)
    theirs = jane.open("theirs", desired_access=FILE_READ_DATA | FILE_WRITE_DATA)
    assert copy(jane, theirs, request(key, (0, 0, 1)))[0] is NtStatus.OBJECT_NAME_NOT_FOUND
    assert content(client, "theirs") == b""


def test_directories_are_not_copied(client: Client, source: File, target: File) -> None:
    directory = client.open("d", create_options=FILE_DIRECTORY_FILE)
    assert copy(client, directory, request(key_of(client, source), (0, 0, 1)))[0] is DEVICE
    assert copy(client, target, request(key_of(client, directory), (0, 0, 1)))[0] is DEVICE


# -- what follows ------------------------------------------------------------------------


def test_who_watches_the_directory_hears_of_it(client: Client, source: File, target: File) -> None:
    key = key_of(client, source)
    directory = client.open("", create_options=FILE_DIRECTORY_FILE)
    client.pend(directory.frames.change_notify(completion_filter=CHANGE_LAST_WRITE))
    data = request(key, (0, 0, 10))
    answers = client.send(target.frames.ioctl(fsctl.SRV_COPYCHUNK, data, max_output_response=12))
    commands = {answer.header.command for answer in answers}
    assert commands == {Command.IOCTL, Command.CHANGE_NOTIFY}


def test_who_has_the_target_cached_is_told(folder: Path) -> None:
    engine = Engine(folder, leases=True)
    engine.make_file("source", DATA)
    engine.make_file("target")
    client, reader = ready(engine), ready(engine)
    key, target = key_of(client, client.open("source")), client.open("target")
    reader.open("target", requested_oplock_level=OPLOCK_II)
    assert copy(client, target, request(key, (0, 0, 10)))[0] is OK
    assert reader.receive() == []
    assert [told.header.command for told in reader.unsolicited] == [Command.OPLOCK_BREAK]


# -- shared blocks -----------------------------------------------------------------------


class Blocks:
    """A disk whose files share blocks, for few do: it copies, and says what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Chunk] = []
        self.code = 0

    def clone(self, a: Handle, start: int, b: Handle, into: int, length: int) -> None:
        if self.code:
            raise OSError(self.code, os.strerror(self.code))
        self.asked.append((start, into, length))
        buffer = bytearray(length)
        b.write(buffer[: a.readinto(memoryview(buffer), start)], into)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Blocks:
    disk = Blocks()
    monkeypatch.setattr(fsctl_copy, "abilities", lambda _: SHARES_BLOCKS)
    monkeypatch.setattr(fsctl_copy, "clone_range", disk.clone)
    return disk


def extents(source: File, start: int, into: int, length: int) -> bytes:
    persistent_id, volatile_id = source.ids
    return struct.pack("<QQqqq", persistent_id, volatile_id, start, into, length)


def duplicate(client: Client, target: File, data: bytes) -> NtStatus:
    return client.status(target.frames.ioctl(fsctl.DUPLICATE_EXTENTS_TO_FILE, data))


@pytest.fixture
def sized(client: Client, blocks: Blocks) -> File:
    client.engine.make_file("target", bytes(8192))
    return client.open("target")


def test_blocks_are_shared(client: Client, source: File, sized: File, blocks: Blocks) -> None:
    assert duplicate(client, sized, extents(source, 4096, 0, 4096)) is OK
    assert content(client) == DATA[4096:8192] + bytes(4096)
    assert blocks.asked == [(4096, 0, 4096)]


def test_they_are_where_the_disk_has_them(client: Client, source: File, target: File) -> None:
    """On a disk that can; any other says so, and clients copy."""
    client.engine.make_file("target", bytes(len(DATA)))
    status = duplicate(client, target, extents(source, 0, 0, len(DATA)))
    assert (status, content(client)) in [(OK, DATA), (UNSUPPORTED, bytes(len(DATA)))]


@pytest.mark.parametrize("flags", [0, fsctl.DUPLICATE_EXTENTS_SOURCE_ATOMIC])
def test_the_longer_request_does_the_same(
    client: Client, source: File, sized: File, flags: int
) -> None:
    data = struct.pack("<Q", 48) + extents(source, 0, 0, 4096) + struct.pack("<II", flags, 0)
    code = fsctl.DUPLICATE_EXTENTS_TO_FILE_EX
    assert client.status(sized.frames.ioctl(code, data)) is OK
    assert content(client)[:4096] == DATA[:4096]


@pytest.mark.parametrize(("size", "flags"), [(47, 0), (48, 2), (0, 0)])
def test_a_malformed_longer_request(
    client: Client, source: File, sized: File, size: int, flags: int
) -> None:
    data = struct.pack("<Q", size) + extents(source, 0, 0, 4096) + struct.pack("<II", flags, 0)
    code = fsctl.DUPLICATE_EXTENTS_TO_FILE_EX
    assert client.status(sized.frames.ioctl(code, data)) is INVALID


def test_the_end_of_the_file_stays(
    client: Client, source: File, sized: File, blocks: Blocks
) -> None:
    assert duplicate(client, sized, extents(source, 0, 4096, 8192)) is OK
    assert duplicate(client, sized, extents(source, 0, 8192, 4096)) is OK
    assert duplicate(client, sized, extents(source, 0, 0, 0)) is OK
    assert content(client) == bytes(4096) + DATA[:4096]
    assert blocks.asked == [(0, 4096, 4096)]


def test_what_is_behind_the_end_of_the_source_is_refused(
    client: Client, source: File, sized: File
) -> None:
    assert duplicate(client, sized, extents(source, len(DATA), 0, 1)) is UNSUPPORTED


def test_ranges_of_one_file_must_not_overlap(client: Client, source: File, blocks: Blocks) -> None:
    assert duplicate(client, source, extents(source, 0, 4096, 8192)) is UNSUPPORTED
    assert duplicate(client, source, extents(source, 4096, 0, 8192)) is UNSUPPORTED
    assert duplicate(client, source, extents(source, 0, 8192, 8192)) is OK
    assert content(client, "source") == DATA[:8192] * 2


def test_a_sparse_source_needs_a_sparse_target(client: Client, source: File, sized: File) -> None:
    assert client.status(source.frames.ioctl(fsctl.SET_SPARSE)) is OK
    assert duplicate(client, sized, extents(source, 0, 0, 4096)) is UNSUPPORTED
    assert client.status(sized.frames.ioctl(fsctl.SET_SPARSE)) is OK
    assert duplicate(client, sized, extents(source, 0, 0, 4096)) is OK


def test_locks_do_not_keep_blocks_from_being_shared(
    client: Client, source: File, sized: File
) -> None:
    for name in ("source", "target"):
        other = client.open(name)
        assert client.status(other.frames.lock((0, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY))) is OK
    assert duplicate(client, sized, extents(source, 0, 0, 4096)) is OK


@pytest.mark.parametrize("numbers", [(-1, 0, 1), (0, -1, 1), (0, 0, -1), (1, 0, (1 << 63) - 1)])
def test_extents_of_no_file(client: Client, source: File, sized: File, numbers: Chunk) -> None:
    assert duplicate(client, sized, extents(source, *numbers)) is INVALID


@pytest.mark.parametrize(
    ("code", "status"),
    [(errno.EXDEV, INVALID), (errno.EINVAL, INVALID), (errno.EOPNOTSUPP, UNSUPPORTED)],
)
def test_what_the_disk_refuses(
    client: Client, source: File, sized: File, blocks: Blocks, code: int, status: NtStatus
) -> None:
    blocks.code = code
    assert duplicate(client, sized, extents(source, 0, 0, 4096)) is status


def test_a_disk_without_shared_blocks(
    client: Client, source: File, sized: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsctl_copy, "abilities", lambda _: 0)
    assert duplicate(client, sized, extents(source, 0, 0, 4096)) is UNSUPPORTED


def test_the_source_of_blocks_is_an_open_of_the_session(
    client: Client, source: File, sized: File
) -> None:
    jane = ready(client.engine, user="jane")
    jane.engine.make_file("theirs", bytes(8192)).chmod(0o666)
    theirs = jane.open("theirs", desired_access=FILE_READ_DATA | FILE_WRITE_DATA)
    bad = NtStatus.INVALID_HANDLE
    assert duplicate(jane, theirs, extents(source, 0, 0, 4096)) is bad
    data = bytearray(extents(source, 0, 0, 4096))
    data[0] ^= 1  # the persistent id
    assert duplicate(client, sized, bytes(data)) is bad
    assert client.status(source.frames.close()) is OK
    assert duplicate(client, sized, extents(source, 0, 0, 4096)) is bad


def test_a_source_that_must_not_be_read(client: Client, source: File, sized: File) -> None:
    other = client.open("source", desired_access=FILE_WRITE_DATA)
    assert duplicate(client, sized, extents(other, 0, 0, 4096)) is DENIED


def test_what_has_no_blocks(client: Client, source: File, sized: File) -> None:
    directory = client.open("d", create_options=FILE_DIRECTORY_FILE)
    stream = client.open("source:stream")
    for other in (directory, stream):
        assert duplicate(client, sized, extents(other, 0, 0, 1)) is DEVICE
        assert duplicate(client, other, extents(source, 0, 0, 1)) is DEVICE


@pytest.mark.parametrize("able", [True, False])
def test_clients_are_told_whether_blocks_can_be_shared(
    client: Client, source: File, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    say: Callable[[int], int] = lambda _: SHARES_BLOCKS * able  # noqa: E731
    monkeypatch.setattr(query_filesystem, "abilities", say)
    frame = source.frames.query_info(fs_info.FsInfo.ATTRIBUTE, info_type=INFO_FILESYSTEM)
    response: Response = client.call(frame)
    flags = int.from_bytes(response.data[:4], "little")
    assert bool(flags & fs_info.FS_SUPPORTS_BLOCK_REFCOUNTING) is able
