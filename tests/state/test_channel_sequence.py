"""state/channel_sequence.py through the engine, [MS-SMB2] 3.3.5.2.10."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ksmbd.state.open import Open
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.fsctl import CREATE_OR_GET_OBJECT_ID
from ksmbd.wire.header import REPLAY
from ksmbd.wire.lock import EXCLUSIVE_LOCK, UNLOCK
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame, FrameFactory

OK = NtStatus.SUCCESS
LATE = NtStatus.FILE_NOT_AVAILABLE


def open_of(client: Client, file: File) -> Open:
    found = client.engine.server.opens.find(file.ids[1])
    assert found is not None
    return found


def write(frames: FrameFactory) -> Frame:
    return frames.write(b"data")


def ioctl(frames: FrameFactory) -> Frame:
    return frames.ioctl(CREATE_OR_GET_OBJECT_ID)


def set_info(frames: FrameFactory) -> Frame:
    return frames.set_info(FileInfo.POSITION, bytes(8))


@pytest.fixture
def client(engine: Engine) -> Client:
    return ready(engine)


@pytest.mark.parametrize("flags", [0, REPLAY])
@pytest.mark.parametrize("make", [write, ioctl, set_info])
def test_the_sequence_goes_forward_by_less_than_half_of_its_range(
    client: Client, make: Callable[[FrameFactory], Frame], flags: int
) -> None:
    """The table of smbtorture's smb2.replay.channel-sequence, and its queries, which go always."""
    file = client.open("file")
    for sequence, status in (
        (0, OK), (0x8000, LATE), (0x8001, LATE), (0xFFFF, LATE), (0x7FFF, OK), (0x7FFE, LATE),
        (0, LATE), (0x8000, OK), (0xFFFF, OK), (0, OK), (1, OK), (0, LATE), (1, OK), (0xFFFF, LATE),
    ):  # fmt: skip
        frame = make(file.frames).set(status=sequence, header_flags=flags)
        assert client.status(frame) is status, f"{sequence:#x}"
        query = file.frames.query_info(FileInfo.POSITION).set(status=sequence)
        assert client.status(query) is OK
    assert open_of(client, file).outstanding_pre_request_count == 0


def test_an_open_begins_with_the_sequence_of_its_create(client: Client) -> None:
    file = client.file(client.call(client.frames.create("file", status=7)))
    assert client.status(write(file.frames).set(status=6)) is LATE
    assert client.status(write(file.frames).set(status=7)) is OK


@pytest.mark.parametrize("dialect", [0x0202, 0x0210])
def test_dialects_before_3_0_have_no_sequence(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    file = client.open("file")
    for status in (1, 0, 0xFFFF, 0xC0000001):
        assert client.status(write(file.frames).set(status=status)) is OK
    assert open_of(client, file).outstanding_pre_request_count == 0


def waiting(client: Client, file: File) -> tuple[int, File]:
    """A LOCK on *file* that waits for another open's: its AsyncId, and that open."""
    other = client.open("file")
    assert client.status(other.frames.lock((0, 10, EXCLUSIVE_LOCK))) is OK
    return client.pend(file.frames.lock((0, 10, EXCLUSIVE_LOCK))), other


def test_a_replay_waits_for_what_is_under_way_since_before(client: Client) -> None:
    file = client.open("file")
    async_id, _ = waiting(client, file)
    same = write(file.frames).set(header_flags=REPLAY, offset=20)
    assert client.status(same) is OK  # of the sequence that the LOCK has, too
    replay = {"status": 1, "header_flags": REPLAY, "offset": 20}
    assert client.status(write(file.frames).set(**replay)) is LATE
    assert client.status(file.frames.read(4, 20).set(status=1, header_flags=REPLAY)) is not LATE
    assert client.status(write(file.frames).set(**replay)) is LATE
    assert client.status(write(file.frames).set(status=1, offset=20)) is OK  # what is no replay
    (ended,) = client.send(client.frames.cancel(async_id=async_id))
    assert ended.status is NtStatus.CANCELLED
    assert client.status(write(file.frames).set(**replay)) is OK
    assert open_of(client, file).outstanding_pre_request_count == 0
    assert open_of(client, file).parked == 0


def test_what_waited_goes_on_though_it_is_old_by_now(client: Client) -> None:
    file = client.open("file")
    _, other = waiting(client, file)
    assert client.status(write(file.frames).set(status=5, offset=20)) is OK
    granted, unlocked = client.send(other.frames.lock((0, 10, UNLOCK)))
    assert {granted.status, unlocked.status} == {OK}
    open = open_of(client, file)
    assert (open.channel_sequence, open.outstanding_pre_request_count, open.parked) == (5, 0, 0)
    assert client.status(write(file.frames).set(status=5, header_flags=REPLAY, offset=20)) is OK


def test_a_lost_connection_leaves_nothing_under_way(engine: Engine) -> None:
    client = ready(engine)
    file = client.open("file")
    waiting(client, file)
    open = open_of(client, file)
    assert open.parked == 1
    client.lose()
    assert (open.parked, open.users) == (0, 0)
