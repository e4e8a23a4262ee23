"""commands/write.py through the engine, [MS-SMB2] 3.3.5.13."""

from __future__ import annotations

import os

import pytest

from ksmbd.wire.access import (
    FILE_APPEND_DATA,
    FILE_DIRECTORY_FILE,
    FILE_EXECUTE,
    FILE_NO_INTERMEDIATE_BUFFERING,
    FILE_READ_DATA,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_THROUGH,
)
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, SHARED_LOCK
from ksmbd.wire.status import NtStatus
from ksmbd.wire.write import APPEND_OFFSET, WRITE_THROUGH, WriteResponse
from tests.support.client import DIALECTS, Client, File, ready
from tests.support.engine import Engine

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
DENIED = NtStatus.ACCESS_DENIED
CONFLICT = NtStatus.FILE_LOCK_CONFLICT


@pytest.fixture
def file(client: Client) -> File:
    client.engine.make_file("file", b"0123456789")
    return client.open("file")


def content(client: Client) -> bytes:
    return (client.engine.folder / "file").read_bytes()


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"channel": 1}, INVALID),
        ({"channel": 0xFFFF_FFFF}, INVALID),
        ({"length": 5}, INVALID),  # one byte past the message
        ({"length": 65536}, INVALID),
        ({"data_offset": 0}, INVALID),
        ({"data_offset": 64}, INVALID),
        ({"data_offset": 111}, INVALID),  # overlaps the fixed part
        ({"data_offset": 113}, INVALID),
        ({"data_offset": 0xFFFF}, INVALID),
        ({"offset": 1 << 63}, INVALID),
        ({"offset": (1 << 63) - 1}, INVALID),
        ({"offset": (1 << 63) - 4}, INVALID),
        ({"offset": (1 << 64) - 2}, INVALID),
        ({"volatile_id": 1}, NtStatus.FILE_CLOSED),
        ({"persistent_id": 1}, NtStatus.FILE_CLOSED),
    ],
)
def test_write_refuses(
    client: Client, file: File, change: dict[str, int], status: NtStatus
) -> None:
    assert client.status(file.frames.write(b"data").set(**change)) is status
    assert content(client) == b"0123456789"


def test_beyond_what_the_file_system_can_is_refused(client: Client, file: File) -> None:
    assert client.status(file.frames.write(b"data", (1 << 63) - 5)) in {
        NtStatus.DISK_FULL,
        INVALID,
    }
    assert content(client) == b"0123456789"


def test_more_than_2_0_2_writes_is_refused(engine: Engine) -> None:
    client = ready(engine, 0x0202)
    file = client.open("file")
    assert client.status(file.frames.write(bytes(65537))) is INVALID


def test_more_than_the_server_writes_is_refused(client: Client, file: File) -> None:
    client.call(client.frames.echo(credits=8000))
    assert client.status(file.frames.write(bytes((8 << 20) + 1))) is INVALID


def test_a_directory_is_refused(client: Client) -> None:
    client.engine.make_directory("dir")
    file = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    assert client.status(file.frames.write()) is NtStatus.INVALID_DEVICE_REQUEST


@pytest.mark.parametrize(
    ("access", "status"),
    [
        (FILE_WRITE_DATA, OK),
        (FILE_APPEND_DATA, OK),
        (FILE_READ_DATA, DENIED),
        (FILE_EXECUTE, DENIED),
        (FILE_WRITE_ATTRIBUTES, DENIED),
    ],
)
def test_writing_needs_the_right_to_write(
    client: Client, file: File, access: int, status: NtStatus
) -> None:
    other = client.open("file", desired_access=access)
    assert client.status(other.frames.write(b"x", 10)) is status
    assert content(client) == b"0123456789" + b"x" * (status is OK)


@pytest.mark.parametrize("flags", [EXCLUSIVE_LOCK, SHARED_LOCK])
def test_a_lock_of_another_is_in_the_way(client: Client, file: File, flags: int) -> None:
    other = client.open("file")
    client.call(other.frames.lock((2, 4, flags | FAIL_IMMEDIATELY)))
    assert client.status(file.frames.write(b"x", 2)) is CONFLICT
    assert client.status(file.frames.write(b"xxx", 0)) is CONFLICT
    assert client.status(file.frames.write(b"x", 5)) is CONFLICT
    assert client.status(file.frames.write(b"xx", 0)) is OK
    assert client.status(file.frames.write(b"xx", 6)) is OK
    assert content(client) == b"xx2345xx89"


def test_ones_own_exclusive_lock_is_not_in_the_way_a_shared_one_is(
    client: Client, file: File
) -> None:
    client.call(file.frames.lock((0, 2, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)))
    client.call(file.frames.lock((4, 2, SHARED_LOCK | FAIL_IMMEDIATELY)))
    assert client.status(file.frames.write(b"x", 0)) is OK
    assert client.status(file.frames.write(b"x", 4)) is CONFLICT


def test_appending_meets_locks_at_the_end(client: Client, file: File) -> None:
    appending = client.open("file", desired_access=FILE_APPEND_DATA)
    client.call(file.frames.lock((10, 1, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)))
    assert client.status(appending.frames.write(b"x", APPEND_OFFSET)) is CONFLICT


def test_a_full_disk_is_told(client: Client, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    (open,) = client.engine.server.opens.all()

    def full(self: object, data: object, offset: int) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(type(open.file), "write", full)
    assert client.status(file.frames.write(b"x")) is NtStatus.DISK_FULL


# -- success -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_written_is_there(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    file = client.open("file")
    body = client.ok(file.frames.write(b"hello", 3), WriteResponse)
    assert (body.count, body.remaining) == (5, 0)
    assert content(client) == b"\0\0\0hello"


@pytest.mark.parametrize("offset", [0, 5, 1 << 40])
def test_nothing_can_be_written_anywhere(client: Client, file: File, offset: int) -> None:
    assert client.ok(file.frames.write(b"", offset), WriteResponse).count == 0
    assert content(client) == b"0123456789"


def test_the_data_may_begin_later_in_the_message(client: Client, file: File) -> None:
    frame = file.frames.write(b"....data", data_offset=116, length=4)
    assert client.status(frame) is OK
    assert content(client) == b"data456789"


def test_eight_megabytes_at_once(client: Client, file: File) -> None:
    client.call(client.frames.echo(credits=8000))
    data = bytes(range(256)) * (8 << 12)
    assert client.ok(file.frames.write(data), WriteResponse).count == 8 << 20
    assert content(client) == data


def test_the_offset_of_all_ones_is_the_end_for_who_may_only_append(
    client: Client, file: File
) -> None:
    other = client.open("file", desired_access=FILE_APPEND_DATA)
    for _ in range(2):
        assert client.status(other.frames.write(b"ab", APPEND_OFFSET)) is OK
    assert content(client) == b"0123456789abab"
    assert client.status(file.frames.write(b"x", APPEND_OFFSET)) is INVALID


def test_appending_without_buffering_is_refused(client: Client) -> None:
    client.engine.make_file("file")
    file = client.open(
        "file",
        desired_access=FILE_APPEND_DATA,
        create_options=FILE_NO_INTERMEDIATE_BUFFERING,
    )
    assert client.status(file.frames.write(b"x", APPEND_OFFSET)) is INVALID


@pytest.mark.parametrize(
    ("options", "flags", "synced"),
    [(0, 0, 0), (0, WRITE_THROUGH, 1), (FILE_WRITE_THROUGH, 0, 1)],
)
def test_write_through_is_on_the_disk_before_the_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch, options: int, flags: int, synced: int
) -> None:
    file = client.open("file", create_options=options)
    (open,) = client.engine.server.opens.all()
    calls: list[object] = []
    monkeypatch.setattr(type(open.file), "sync", lambda self: calls.append(self))
    assert client.status(file.frames.write(b"x", flags=flags)) is OK
    assert len(calls) == synced
