"""commands/read.py through the engine, [MS-SMB2] 3.3.5.12."""

from __future__ import annotations

import pytest

from ksmbd.server import dispatch
from ksmbd.vfs.handle import Handle
from ksmbd.wire.access import (
    FILE_APPEND_DATA,
    FILE_DIRECTORY_FILE,
    FILE_EXECUTE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
)
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, SHARED_LOCK
from ksmbd.wire.read import CHANNEL_RDMA_V1, ReadResponse
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, File, ready
from tests.support.engine import Engine

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
DENIED = NtStatus.ACCESS_DENIED
END = NtStatus.END_OF_FILE
CONTENT = bytes(range(256)) * 16


@pytest.fixture
def file(client: Client) -> File:
    client.engine.make_file("file", CONTENT)
    return client.open("file")


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"channel": CHANNEL_RDMA_V1}, INVALID),
        ({"channel": 0xFFFF_FFFF}, INVALID),
        ({"offset": 1 << 63}, INVALID),
        ({"offset": (1 << 63) - 1}, INVALID),
        ({"offset": (1 << 63) - 16}, INVALID),
        ({"offset": (1 << 64) - 1}, INVALID),
        ({"offset": len(CONTENT)}, END),
        ({"offset": (1 << 63) - 17}, END),
        ({"offset": len(CONTENT) - 4, "minimum_count": 5}, END),
        ({"minimum_count": 17}, END),
        ({"minimum_count": 0xFFFF_FFFF}, END),
        ({"volatile_id": 1}, NtStatus.FILE_CLOSED),
        ({"persistent_id": 1}, NtStatus.FILE_CLOSED),
    ],
)
def test_read_refuses(client: Client, file: File, change: dict[str, int], status: NtStatus) -> None:
    assert client.status(file.frames.read(16).set(**change)) is status
    assert client.call(file.frames.read(16)).data == CONTENT[:16]


def test_more_than_the_server_reads_is_refused(client: Client, file: File) -> None:
    client.call(client.frames.echo(credits=8000))
    assert client.status(file.frames.read((8 << 20) + 1)) is INVALID


def test_more_than_2_0_2_reads_is_refused(engine: Engine) -> None:
    engine.make_file("file", CONTENT)
    client = ready(engine, 0x0202)
    file = client.open("file")
    assert client.status(file.frames.read(65537)) is INVALID
    assert client.status(file.frames.read(0xFFFF_FFFF)) is INVALID


def test_a_directory_is_refused(client: Client) -> None:
    client.engine.make_directory("dir")
    file = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    assert client.status(file.frames.read()) is NtStatus.INVALID_DEVICE_REQUEST


@pytest.mark.parametrize(
    ("access", "status"),
    [
        (FILE_READ_DATA, OK),
        (FILE_EXECUTE, OK),
        (FILE_WRITE_DATA, DENIED),
        (FILE_APPEND_DATA, DENIED),
        (FILE_READ_ATTRIBUTES, DENIED),
    ],
)
def test_reading_needs_the_right_to_read(client: Client, access: int, status: NtStatus) -> None:
    client.engine.make_file("file", CONTENT)
    file = client.open("file", desired_access=access)
    assert client.status(file.frames.read(1)) is status


def test_an_exclusive_lock_of_another_is_in_the_way(client: Client, file: File) -> None:
    other = client.open("file")
    client.call(other.frames.lock((10, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)))
    conflict = NtStatus.FILE_LOCK_CONFLICT
    assert client.status(file.frames.read(1, 10)) is conflict
    assert client.status(file.frames.read(100, 0)) is conflict
    assert client.status(file.frames.read(10, 0)) is OK
    assert client.status(file.frames.read(10, 20)) is OK
    assert client.status(other.frames.read(10, 10)) is OK


def test_a_shared_lock_of_another_is_not(client: Client, file: File) -> None:
    other = client.open("file")
    client.call(other.frames.lock((10, 10, SHARED_LOCK | FAIL_IMMEDIATELY)))
    assert client.status(file.frames.read(10, 10)) is OK


# -- success -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("length", "offset"), [(1, 0), (4096, 0), (16, 4090), (65536, 0), (5, 7)])
def test_what_lies_there_is_read(engine: Engine, dialect: int, length: int, offset: int) -> None:
    engine.make_file("file", CONTENT)
    client = ready(engine, dialect)
    response = client.call(client.open("file").frames.read(length, offset))
    body = response.body(ReadResponse)
    assert response.data == CONTENT[offset : offset + length]
    assert body.data_offset == 0x50
    assert (body.data_remaining, body.reserved, body.reserved2) == (0, 0, 0)


@pytest.mark.parametrize("offset", [0, 100, len(CONTENT), 1 << 40])
def test_nothing_can_be_read_anywhere(client: Client, file: File, offset: int) -> None:
    response = client.call(file.frames.read(0, offset))
    assert response.status is OK
    assert response.data == b""


def test_eight_megabytes_at_once(client: Client) -> None:
    content = bytes(range(256)) * (8 << 12)
    client.engine.make_file("big", content)
    client.call(client.frames.echo(credits=8000))
    file = client.open("big")
    assert client.call(file.frames.read(8 << 20)).data == content


def test_a_short_read_tells_nothing_of_an_older_one(client: Client, file: File) -> None:
    """Buffers are used again; only what was read is sent."""
    client.engine.make_file("secret", b"\xee" * 40000)
    secret = client.open("secret")
    client.call(secret.frames.read(40000))
    response = client.call(file.frames.read(40000))
    assert len(response.raw) == 64 + 16 + len(CONTENT)
    assert b"\xee\xee" not in response.raw


def test_failed_reads_give_their_buffers_back(client: Client, file: File) -> None:
    buffers = client.engine.server.buffers
    client.call(file.frames.read(40000))
    kept = buffers._kept
    for _ in range(5):
        assert client.status(file.frames.read(40000, len(CONTENT))) is END
    assert buffers._kept == kept


def test_a_hole_is_zero(client: Client) -> None:
    file = client.open("sparse")
    client.call(file.frames.write(b"end", 100_000))
    response = client.call(file.frames.read(10, 50_000))
    assert response.data == bytes(10)


def test_what_somebody_else_writes_is_read(client: Client, file: File) -> None:
    (client.engine.folder / "file").write_bytes(b"new")
    assert client.call(file.frames.read(100)).data == b"new"


# -- what the disk must be waited for ----------------------------------------------------


def test_what_is_not_in_memory_is_left_to_a_kworker(
    client: Client, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that runs the work itself has other connections waiting."""
    asked = []

    def uncached(_: Handle, buffer: memoryview, offset: int) -> None:
        asked.append((len(buffer), offset))

    monkeypatch.setattr(Handle, "readinto_cached", uncached)
    work = dispatch.receive(client.connection, memoryview(client.pack(file.frames.read(16))))
    assert work is not None
    work.direct = True
    dispatch.run(work)
    assert client.receive() == []
    client.engine.scheduler.drain()
    assert [reply.data for reply in client.receive()] == [CONTENT[:16]]
    assert asked == [(16, 0)]
