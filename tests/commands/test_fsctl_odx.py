"""commands/fsctl_odx.py through the engine: offloaded reads and writes."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from ksmbd.commands import fsctl_odx
from ksmbd.state import offload
from ksmbd.vfs import credentials
from ksmbd.vfs.handle import Handle
from ksmbd.wire import fsctl
from ksmbd.wire import offload as wire
from ksmbd.wire.access import FILE_DIRECTORY_FILE, FILE_READ_DATA, FILE_WRITE_DATA
from ksmbd.wire.create import OPLOCK_II
from ksmbd.wire.header import Command
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
BAD_TOKEN = NtStatus.INVALID_TOKEN
DATA = bytes(range(256)) * 16 + b"end"  # 4099 bytes
ZEROS = b"\xff\xff\0\1" + b"\0\0\1\xf8" + bytes(504)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are young: look at their time stamps alone."""
    monkeypatch.setattr(offload, "lasting", lambda _st, _now: True)


@pytest.fixture
def source(client: Client) -> File:
    client.engine.make_file("source", DATA)
    return client.open("source")


@pytest.fixture
def target(client: Client) -> File:
    client.engine.make_file("target", b"x" * 8192)
    return client.open("target")


def content(client: Client) -> bytes:
    return (client.engine.folder / "target").read_bytes()


def read(
    client: Client, file: File, offset: int = 0, length: int = 8192, *, ttl: int = 0, **other: int
) -> tuple[NtStatus, int, bytes]:
    """Status, TransferLength, Token."""
    asked = wire.OffloadReadInput(
        file_offset=offset, copy_length=length, token_time_to_live=ttl, **other
    )
    frame = file.frames.ioctl(fsctl.OFFLOAD_READ, asked.pack())
    response = client.call(frame)
    if response.status is not OK:
        return response.status, 0, b""
    answer = wire.OffloadReadOutput.unpack(response.data)
    assert answer.size == len(response.data) == 528
    return OK, answer.transfer_length, answer.token


def write(
    client: Client, file: File, token: bytes, into: int = 0, length: int = 4096, start: int = 0
) -> tuple[NtStatus, int]:
    """Status, LengthWritten."""
    asked = wire.OffloadWriteInput(
        file_offset=into, copy_length=length, transfer_offset=start, token=token
    )
    response = client.call(file.frames.ioctl(fsctl.OFFLOAD_WRITE, asked.pack()))
    if response.status is not OK:
        return response.status, 0
    answer = wire.OffloadWriteOutput.unpack(response.data)
    assert answer.size == len(response.data) == 16
    return OK, answer.length_written


# -- tokens ------------------------------------------------------------------------------


def test_a_token_brings_the_data(client: Client, source: File, target: File) -> None:
    status, length, token = read(client, source, 512, 1024)
    assert (status, length, len(token)) == (OK, 1024, 512)
    assert write(client, target, token, 4096, 512, 512) == (OK, 512)
    assert content(client) == b"x" * 4096 + DATA[1024:1536] + b"x" * 3584
    assert write(client, target, token, 0, 1024) == (OK, 1024)
    assert content(client)[:1024] == DATA[512:1536]


def test_sectors_are_whole_at_the_end_of_the_source(
    client: Client, source: File, target: File
) -> None:
    status, length, token = read(client, source)
    assert (status, length) == (OK, 4608)
    assert write(client, target, token, 0, 8192) == (OK, 4608)
    assert content(client) == DATA + b"x" * (8192 - len(DATA))


def test_the_target_does_not_grow(client: Client, source: File, target: File) -> None:
    _, _, token = read(client, source)
    assert write(client, target, token, 7680, 4096) == (OK, 512)
    assert content(client) == b"x" * 7680 + DATA[:512]
    assert write(client, target, token, 8192, 512) == (NtStatus.END_OF_FILE, 0)


def test_the_zero_token_is_there_without_asking(client: Client, target: File) -> None:
    assert write(client, target, ZEROS, 512, 1024) == (OK, 1024)
    assert content(client) == b"x" * 512 + bytes(1024) + b"x" * 6656


def test_a_token_for_part_of_a_range(client: Client, source: File, target: File) -> None:
    _, _, token = read(client, source, 0, 1024)
    assert write(client, target, token, 0, 4096, 512) == (OK, 512)
    assert write(client, target, token, 0, 512, 1024) == (OK, 0)
    assert content(client) == DATA[512:1024] + b"x" * 7680


def test_one_request_writes_only_so_much(
    client: Client, source: File, target: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsctl_odx, "MAX_WRITE", 1024)
    monkeypatch.setattr(fsctl_odx, "_SLICE", 512)
    _, _, token = read(client, source)
    assert write(client, target, token) == (OK, 1024)
    assert write(client, target, token, 1024, 3072, 1024) == (OK, 1024)
    assert content(client) == DATA[:2048] + b"x" * 6144


@pytest.mark.parametrize(("start", "into"), [(0, 512), (512, 0), (0, 1024), (1024, 512)])
def test_what_overlaps_is_moved_as_it_was(
    client: Client, monkeypatch: pytest.MonkeyPatch, start: int, into: int
) -> None:
    data = b"".join(bytes([sector]) * 512 for sector in range(8))
    client.engine.make_file("target", data)
    file = client.open("target")
    monkeypatch.setattr(fsctl_odx, "_SLICE", 512)
    _, _, token = read(client, file, start, 2048)
    assert write(client, file, token, into, 2048) == (OK, 2048)
    assert content(client) == data[:into] + data[start : start + 2048] + data[into + 2048 :]


# -- when they end -----------------------------------------------------------------------


def touch(client: Client, file: File) -> None:
    os.utime(client.engine.folder / "source")


def overwrite(client: Client, file: File) -> None:
    (client.engine.folder / "source").write_bytes(DATA.upper())


def close(client: Client, file: File) -> None:
    assert client.status(file.frames.close()) is OK


def wait(client: Client, file: File) -> None:
    client.engine.advance(31)


@pytest.mark.parametrize("end", [touch, overwrite, close, wait])
def test_a_token_ends(
    client: Client, source: File, target: File, end: Callable[[Client, File], None]
) -> None:
    _, _, token = read(client, source)
    end(client, source)
    assert write(client, target, token) == (BAD_TOKEN, 0)
    assert content(client) == b"x" * 8192


@pytest.mark.parametrize(("ttl", "after", "status"), [(60_000, 59, OK), (60_000, 61, BAD_TOKEN)])
def test_a_token_lives_as_long_as_is_asked(
    client: Client, source: File, target: File, ttl: int, after: int, status: NtStatus
) -> None:
    _, _, token = read(client, source, ttl=ttl)
    client.engine.advance(after)
    assert write(client, target, token)[0] is status


def test_no_token_lives_for_long(client: Client, source: File, target: File) -> None:
    _, _, token = read(client, source, ttl=0xFFFF_FFFF)
    client.engine.advance(offload.LONGEST_S + 1)
    assert write(client, target, token)[0] is BAD_TOKEN


def test_a_token_is_its_session_s_alone(client: Client, source: File, target: File) -> None:
    _, _, token = read(client, source)
    other = ready(client.engine)
    assert write(other, other.open("target"), token) == (BAD_TOKEN, 0)


def test_nothing_of_a_session_that_has_ended_is_kept(client: Client, source: File) -> None:
    other = ready(client.engine)
    theirs = other.open("source")
    for number in range(3):
        assert read(client, source, 512 * number)[0] is OK
        assert read(other, theirs, 512 * number)[0] is OK
    tokens = client.engine.server.offload
    assert len(tokens) == 6
    client.lose()
    assert len(tokens) == 3
    assert other.status(other.frames.logoff()) is OK
    assert len(tokens) == 0


@pytest.mark.parametrize("kind", [b"\0\0\0\0", b"\xff\xff\0\2", b"KSMB"])
def test_a_token_that_nobody_issued(client: Client, target: File, kind: bytes) -> None:
    assert write(client, target, kind + ZEROS[4:]) == (BAD_TOKEN, 0)


def test_a_source_that_changes_meanwhile_is_told(
    client: Client, source: File, target: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fsctl_odx.copy_range

    def meddling(a: Handle, start: int, b: Handle, into: int, length: int) -> int:
        with credentials.privileged():
            overwrite(client, source)
        return real(a, start, b, into, length)

    _, _, token = read(client, source)
    monkeypatch.setattr(fsctl_odx, "copy_range", meddling)
    assert write(client, target, token) == (BAD_TOKEN, 0)


def test_a_file_that_changes_just_now_gets_no_token(
    client: Client, source: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload, "lasting", lambda _st, _now: False)
    assert read(client, source)[0] is NtStatus.OFFLOAD_READ_FILE_NOT_SUPPORTED


def test_it_ends_when_the_client_gives_up(
    client: Client, source: File, target: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fsctl_odx.copy_range

    def cancelled(a: Handle, start: int, b: Handle, into: int, length: int) -> int:
        (work,) = client.connection.requests.values()
        work.cancel(work.header.message_id)
        return real(a, start, b, into, length)

    _, _, token = read(client, source)
    monkeypatch.setattr(fsctl_odx, "copy_range", cancelled)
    monkeypatch.setattr(fsctl_odx, "_SLICE", 512)
    assert write(client, target, token) == (NtStatus.CANCELLED, 0)
    assert content(client) == DATA[:512] + b"x" * 7680


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": 1},
        {"length": 1},
        {"offset": 1 << 63},
        {"length": 1 << 63},
        {"offset": (1 << 63) - 512, "length": 512},
        {"size": 31},
    ],
)
def test_reads_of_no_range(client: Client, source: File, wrong: dict[str, int]) -> None:
    assert read(client, source, **wrong) == (INVALID, 0, b"")


@pytest.mark.parametrize(
    "numbers", [(1, 512, 0), (0, 511, 0), (0, 512, 1), (1 << 63, 512, 0), (0, 1 << 63, 0)]
)
def test_writes_of_no_range(client: Client, target: File, numbers: tuple[int, int, int]) -> None:
    into, length, start = numbers
    assert write(client, target, ZEROS, into, length, start) == (INVALID, 0)


def test_another_size_is_another_structure(client: Client, target: File) -> None:
    data = bytearray(
        wire.OffloadWriteInput(
            file_offset=0, copy_length=512, transfer_offset=0, token=ZEROS
        ).pack()
    )
    data[0] ^= 1
    assert client.status(target.frames.ioctl(fsctl.OFFLOAD_WRITE, bytes(data))) is INVALID


def test_no_room_for_the_answer(client: Client, source: File, target: File) -> None:
    small = NtStatus.BUFFER_TOO_SMALL
    asked = wire.OffloadReadInput(file_offset=0, copy_length=512).pack()
    frame = source.frames.ioctl(fsctl.OFFLOAD_READ, asked, max_output_response=527)
    assert client.status(frame) is small
    given = wire.OffloadWriteInput(
        file_offset=0, copy_length=512, transfer_offset=0, token=ZEROS
    ).pack()
    frame = target.frames.ioctl(fsctl.OFFLOAD_WRITE, given, max_output_response=15)
    assert client.status(frame) is small
    assert content(client) == b"x" * 8192


def test_behind_the_end_there_is_nothing_to_read(client: Client, source: File) -> None:
    assert read(client, source, 4608, 512)[0] is NtStatus.END_OF_FILE


def test_what_has_no_blocks(client: Client, source: File) -> None:
    directory = client.open("d", create_options=FILE_DIRECTORY_FILE)
    for other in (directory, client.open("source:stream")):
        assert read(client, other)[0] is NtStatus.OFFLOAD_READ_FILE_NOT_SUPPORTED
        assert write(client, other, ZEROS)[0] is NtStatus.OFFLOAD_WRITE_FILE_NOT_SUPPORTED


def test_who_may_not_read_or_write(client: Client, source: File, target: File) -> None:
    denied = NtStatus.ACCESS_DENIED
    assert read(client, client.open("source", desired_access=FILE_WRITE_DATA))[0] is denied
    assert write(client, client.open("target", desired_access=FILE_READ_DATA), ZEROS)[0] is denied


def test_locks_are_in_the_way(client: Client, source: File, target: File) -> None:
    conflict = NtStatus.FILE_LOCK_CONFLICT
    _, _, token = read(client, source)
    lock = (0, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)
    other = client.open("source")
    assert client.status(other.frames.lock(lock)) is OK
    assert read(client, source)[0] is conflict
    assert write(client, target, token)[0] is conflict
    assert write(client, target, token, 0, 512, 512) == (OK, 512)
    assert client.status(client.open("target").frames.lock(lock)) is OK
    assert write(client, target, ZEROS)[0] is conflict


# -- what follows ------------------------------------------------------------------------


def test_who_has_the_target_cached_is_told(engine: Engine) -> None:
    engine = Engine(engine.folder, leases=True)
    engine.make_file("target", b"x" * 8192)
    client, reader = ready(engine), ready(engine)
    target = client.open("target")
    reader.open("target", requested_oplock_level=OPLOCK_II)
    assert write(client, target, ZEROS) == (OK, 4096)
    assert reader.receive() == []
    assert [told.header.command for told in reader.unsolicited] == [Command.OPLOCK_BREAK]


def test_tokens_are_bounded(
    client: Client, source: File, target: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload, "MOST_TOKENS", 3)
    tokens = [read(client, source)[2] for _ in range(5)]
    assert len(client.engine.server.offload) == 3
    found = [write(client, target, token)[0] for token in tokens]
    assert found == [BAD_TOKEN, BAD_TOKEN, OK, OK, OK]
    client.engine.advance(31)
    read(client, source)
    assert len(client.engine.server.offload) == 1
