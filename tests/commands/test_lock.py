"""commands/lock.py through the engine, [MS-SMB2] 3.3.5.14.

Locks that wait: tests/server/test_async_.py.
"""

from __future__ import annotations

import gc
import time

import pytest

from ksmbd.state.session import SessionState
from ksmbd.vfs import locks as table
from ksmbd.wire.access import (
    FILE_APPEND_DATA,
    FILE_DIRECTORY_FILE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
)
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, SHARED_LOCK, UNLOCK
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Lock

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
NOT_GRANTED = NtStatus.LOCK_NOT_GRANTED
NOT_LOCKED = NtStatus.RANGE_NOT_LOCKED
EXCLUSIVE = EXCLUSIVE_LOCK | FAIL_IMMEDIATELY
SHARED = SHARED_LOCK | FAIL_IMMEDIATELY
FAR = (1 << 64) - 1


@pytest.fixture
def file(client: Client) -> File:
    return client.open("file")


@pytest.fixture
def other(client: Client) -> File:
    """Another open of the same file."""
    return client.open("file")


# -- refusals ----------------------------------------------------------------------------


def test_no_lock_is_refused(client: Client, file: File) -> None:
    assert client.status(file.frames.lock(lock_count=0)) is INVALID


@pytest.mark.parametrize("count", [2, 3, 100, 0xFFFF])
def test_more_locks_than_the_message_has_are_refused(
    client: Client, file: File, count: int
) -> None:
    assert client.status(file.frames.lock(lock_count=count)) is INVALID


@pytest.mark.parametrize("length", range(24))
def test_an_element_cut_short_is_refused(client: Client, file: File, length: int) -> None:
    frame = file.frames.lock()
    assert client.status(frame.set(data=frame.data[:length])) is INVALID


@pytest.mark.parametrize("flags", sorted(set(range(64)) - {1, 2, 4, 0x11, 0x12}))
def test_impossible_flags_are_refused(client: Client, file: File, flags: int) -> None:
    assert client.status(file.frames.lock((0, 1, flags))) is INVALID


@pytest.mark.parametrize("flags", [0x8000_0000, 0xFFFF_FFFF, 0x8000_0002])
def test_unknown_flags_are_refused(client: Client, file: File, flags: int) -> None:
    assert client.status(file.frames.lock((0, 1, flags))) is INVALID


@pytest.mark.parametrize(
    "locks",
    [
        [(0, 1, EXCLUSIVE), (0, 1, UNLOCK)],
        [(0, 1, EXCLUSIVE_LOCK), (5, 1, EXCLUSIVE_LOCK)],
        [(0, 1, EXCLUSIVE), (5, 1, SHARED_LOCK)],
        [(0, 1, SHARED_LOCK), (5, 1, SHARED)],
    ],
)
def test_combinations_that_are_refused(client: Client, file: File, locks: list[Lock]) -> None:
    assert client.status(file.frames.lock(*locks)) is INVALID
    assert client.status(file.frames.lock((0, 1, UNLOCK))) is NOT_LOCKED


@pytest.mark.parametrize(
    ("offset", "length"), [(FAR, 2), (2, FAR), (FAR, FAR), (1 << 63, (1 << 63) + 1)]
)
def test_a_range_beyond_all_bytes_is_refused(
    client: Client, file: File, offset: int, length: int
) -> None:
    for flags in (EXCLUSIVE, SHARED, UNLOCK):
        frame = file.frames.lock((offset, length, flags))
        assert client.status(frame) is NtStatus.INVALID_LOCK_RANGE


@pytest.mark.parametrize(
    ("access", "status"),
    [
        (FILE_READ_DATA, OK),
        (FILE_WRITE_DATA, OK),
        (FILE_APPEND_DATA, OK),
        (FILE_READ_ATTRIBUTES, NtStatus.ACCESS_DENIED),
    ],
)
def test_locking_needs_the_right_to_read_or_write(
    client: Client, access: int, status: NtStatus
) -> None:
    client.engine.make_file("file")
    file = client.open("file", desired_access=access)
    assert client.status(file.frames.lock()) is status


def test_a_directory_is_refused(client: Client) -> None:
    client.engine.make_directory("dir")
    file = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    assert client.status(file.frames.lock()) is NtStatus.INVALID_DEVICE_REQUEST


def test_a_closed_file_is_refused(client: Client, file: File) -> None:
    client.call(file.frames.close())
    assert client.status(file.frames.lock()) is NtStatus.FILE_CLOSED


def test_a_lock_in_the_way_is_told_at_once(client: Client, file: File, other: File) -> None:
    assert client.status(file.frames.lock((0, 10, EXCLUSIVE))) is OK
    for lock in ((0, 10, EXCLUSIVE), (9, 1, SHARED), (0, FAR, EXCLUSIVE)):
        assert client.status(other.frames.lock(lock)) is NOT_GRANTED
    assert client.status(other.frames.lock((10, 1, EXCLUSIVE))) is OK


def test_one_does_not_lock_twice(client: Client, file: File) -> None:
    assert client.status(file.frames.lock((0, 10, EXCLUSIVE))) is OK
    assert client.status(file.frames.lock((0, 10, EXCLUSIVE))) is NOT_GRANTED


@pytest.mark.parametrize("lock", [(0, 9, UNLOCK), (0, 11, UNLOCK), (1, 9, UNLOCK), (0, 0, UNLOCK)])
def test_an_unlock_must_be_exact(client: Client, file: File, lock: Lock) -> None:
    client.call(file.frames.lock((0, 10, EXCLUSIVE)))
    assert client.status(file.frames.lock(lock)) is NOT_LOCKED
    assert client.status(file.frames.lock((0, 10, UNLOCK))) is OK


def test_nobody_unlocks_for_another(client: Client, file: File, other: File) -> None:
    client.call(file.frames.lock((0, 10, EXCLUSIVE)))
    assert client.status(other.frames.lock((0, 10, UNLOCK))) is NOT_LOCKED


def test_a_second_unlock_is_refused(client: Client, file: File) -> None:
    client.call(file.frames.lock((0, 10, EXCLUSIVE)))
    assert client.status(file.frames.lock((0, 10, UNLOCK))) is OK
    assert client.status(file.frames.lock((0, 10, UNLOCK))) is NOT_LOCKED


# -- all or none -------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_several_locks_at_once(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    file = client.open("file")
    locks = [(0, 1, EXCLUSIVE), (5, 1, SHARED), (9, 1, EXCLUSIVE)]
    assert client.status(file.frames.lock(*locks)) is OK
    unlocks = [(offset, length, UNLOCK) for offset, length, _ in locks]
    assert client.status(file.frames.lock(*unlocks)) is OK
    assert client.status(client.open("file").frames.lock((0, 10, EXCLUSIVE))) is OK


def test_one_lock_in_the_way_undoes_all(client: Client, file: File, other: File) -> None:
    client.call(other.frames.lock((5, 1, EXCLUSIVE)))
    locks = [(0, 1, EXCLUSIVE), (1, 1, SHARED), (5, 1, SHARED), (9, 1, EXCLUSIVE)]
    assert client.status(file.frames.lock(*locks)) is NOT_GRANTED
    for lock in ((0, 5, EXCLUSIVE), (6, 10, EXCLUSIVE)):
        assert client.status(other.frames.lock(lock)) is OK


def test_undoing_leaves_what_was_held_before(client: Client, file: File, other: File) -> None:
    """A shared lock taken over one's own exclusive one goes, the exclusive one stays."""
    client.call(file.frames.lock((0, 10, EXCLUSIVE)))
    client.call(other.frames.lock((50, 1, EXCLUSIVE)))
    locks = [(0, 10, SHARED), (50, 1, SHARED)]
    assert client.status(file.frames.lock(*locks)) is NOT_GRANTED
    assert client.status(other.frames.lock((0, 10, SHARED))) is NOT_GRANTED
    assert client.status(file.frames.lock((0, 10, UNLOCK))) is OK
    assert client.status(file.frames.lock((0, 10, UNLOCK))) is NOT_LOCKED


def test_too_many_locks_undo_all_of_the_request(
    client: Client, file: File, other: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "MAX_LOCKS", 3)
    locks = [(n, 1, EXCLUSIVE) for n in range(4)]
    assert client.status(file.frames.lock(*locks)) is not OK
    assert client.status(other.frames.lock((0, 10, EXCLUSIVE))) is OK


@pytest.mark.parametrize("flags", [EXCLUSIVE, UNLOCK | FAIL_IMMEDIATELY, 0, 0x80])
def test_unlocks_before_one_that_is_none_stay(
    client: Client, file: File, other: File, flags: int
) -> None:
    client.call(file.frames.lock((0, 1, EXCLUSIVE)))
    assert client.status(file.frames.lock((0, 1, UNLOCK), (5, 1, flags))) is INVALID
    assert client.status(other.frames.lock((0, 6, EXCLUSIVE))) is OK


def test_unlocks_before_one_that_fails_stay(client: Client, file: File, other: File) -> None:
    client.call(file.frames.lock((0, 1, EXCLUSIVE), (5, 1, EXCLUSIVE)))
    unlocks = [(0, 1, UNLOCK), (1, 1, UNLOCK), (5, 1, UNLOCK)]
    assert client.status(file.frames.lock(*unlocks)) is NOT_LOCKED
    assert client.status(other.frames.lock((0, 1, EXCLUSIVE))) is OK
    assert client.status(other.frames.lock((5, 1, EXCLUSIVE))) is NOT_GRANTED


# -- what excludes what ------------------------------------------------------------------


@pytest.mark.parametrize("held", [EXCLUSIVE, SHARED])
@pytest.mark.parametrize("wanted", [EXCLUSIVE, SHARED])
@pytest.mark.parametrize("same", [True, False])
def test_every_pair_of_locks(client: Client, held: int, wanted: int, same: bool) -> None:
    first = client.open("file")
    second = first if same else client.open("file")
    client.call(first.frames.lock((0, 10, held)))
    granted = wanted == SHARED and (held == SHARED or same)
    expected = OK if granted else NOT_GRANTED
    assert client.status(second.frames.lock((5, 1, wanted))) is expected


@pytest.mark.parametrize("offset", [0, 5, 10, 11])
def test_a_range_of_nothing_collides_only_inside_another(
    client: Client, file: File, other: File, offset: int
) -> None:
    client.call(file.frames.lock((0, 10, EXCLUSIVE)))
    expected = NOT_GRANTED if 0 < offset < 10 else OK
    assert client.status(other.frames.lock((offset, 0, EXCLUSIVE))) is expected


@pytest.mark.parametrize(("offset", "length"), [(FAR, 1), (0, FAR), (FAR, 0), (1 << 63, 1 << 63)])
def test_ranges_up_to_the_last_byte(
    client: Client, file: File, other: File, offset: int, length: int
) -> None:
    assert client.status(file.frames.lock((offset, length, EXCLUSIVE))) is OK
    if length:
        assert client.status(other.frames.lock((offset, length, SHARED))) is NOT_GRANTED
    assert client.status(file.frames.lock((offset, length, UNLOCK))) is OK


def test_locks_are_of_the_file_not_of_its_name(client: Client) -> None:
    path = client.engine.make_file("file")
    path.with_name("link").hardlink_to(path)
    client.call(client.open("file").frames.lock((0, 1, EXCLUSIVE)))
    assert client.status(client.open("link").frames.lock((0, 1, EXCLUSIVE))) is NOT_GRANTED


def test_a_lock_ends_with_its_open(client: Client, file: File, other: File) -> None:
    client.call(file.frames.lock((0, 1, EXCLUSIVE)))
    client.call(file.frames.close())
    assert client.status(other.frames.lock((0, 1, EXCLUSIVE))) is OK


def test_the_lock_sequence_number_means_nothing_yet(client: Client, file: File) -> None:
    frame = file.frames.lock((0, 1, EXCLUSIVE), lock_sequence=0x11)
    assert client.status(frame) is OK


def test_many_locks_take_no_time(client: Client, file: File, other: File) -> None:
    """Reference 5.3 N: locks by the thousand, then one across them all."""
    client.call(client.frames.echo(credits=1000))
    start = time.process_time()
    for base in range(0, 20_000, 2_000):
        locks = [(2 * (base + n), 1, EXCLUSIVE) for n in range(2_000)]
        assert client.status(file.frames.lock(*locks, sign=False)) is OK
    assert client.status(other.frames.lock((0, FAR, SHARED))) is NOT_GRANTED
    client.call(file.frames.close())
    assert client.status(other.frames.lock((0, FAR, EXCLUSIVE))) is OK
    assert time.process_time() - start < 20


def test_a_lock_that_waited_is_granted_though_the_session_has_expired(client: Client) -> None:
    """It was asked for in time; only a new one is refused."""
    file, other = client.open(), client.open()
    assert client.status(file.frames.lock((0, 10, EXCLUSIVE))) is OK
    client.pend(other.frames.lock((0, 10, EXCLUSIVE_LOCK)))
    (session,) = client.engine.server.sessions.values()
    session.state = SessionState.EXPIRED
    assert client.status(file.frames.lock((20, 1, EXCLUSIVE))) is NtStatus.NETWORK_SESSION_EXPIRED
    responses = client.send(file.frames.close())
    assert {response.status for response in responses} == {OK}
    assert len(responses) == 2


def test_an_unlock_that_fails_keeps_nothing_alive(client: Client, file: File) -> None:
    """No circle of the exception and a frame, for the collector of garbage to find."""
    assert client.status(file.frames.lock((0, 1, UNLOCK))) is NOT_LOCKED
    gc.collect()
    gc.disable()
    try:
        assert client.status(file.frames.lock((0, 1, UNLOCK))) is NOT_LOCKED
        assert gc.collect() == 0
    finally:
        gc.enable()
