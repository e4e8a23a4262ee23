"""LOCK, READ and WRITE beside local programs: `posix locking` and `strict locking`."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksmbd.state import local_locks
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_READ_DATA
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, SHARED_LOCK, UNLOCK
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

OK = NtStatus.SUCCESS
NOT_GRANTED = NtStatus.LOCK_NOT_GRANTED
CONFLICT = NtStatus.FILE_LOCK_CONFLICT
EXCLUSIVE = EXCLUSIVE_LOCK | FAIL_IMMEDIATELY
SHARED = SHARED_LOCK | FAIL_IMMEDIATELY
FLOCK = struct.Struct("@hhqqi0q")
KINDS = {fcntl.F_UNLCK: "free", fcntl.F_RDLCK: "shared", fcntl.F_WRLCK: "exclusive"}


class Program:
    """Somebody on this machine who has the file open and locks with fcntl."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR)

    def lock(self, start: int, length: int, kind: int = fcntl.F_WRLCK) -> bool:
        try:
            fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK, FLOCK.pack(kind, 0, start, length, 0))
        except BlockingIOError:
            return False
        return True

    def unlock(self, start: int = 0, length: int = 0) -> None:
        assert self.lock(start, length, fcntl.F_UNLCK)

    def sees(self, byte: int) -> str:
        asked = FLOCK.pack(fcntl.F_WRLCK, 0, byte, 1, 0)
        return KINDS[FLOCK.unpack(fcntl.fcntl(self.fd, fcntl.F_OFD_GETLK, asked))[0]]


@pytest.fixture
def file(client: Client) -> File:
    return client.open("file")


@pytest.fixture
def program(engine: Engine, file: File) -> Iterator[Program]:
    assert file
    made = Program(engine.folder / "file")
    yield made
    os.close(made.fd)


def sharing(folder: Path, flags: int) -> Client:
    return ready(Engine(folder, shares=[share("data", str(folder), flags)]))


# -- what local programs see -------------------------------------------------------------


def test_a_program_sees_clients_locks_and_is_refused(
    client: Client, file: File, program: Program
) -> None:
    client.call(file.frames.lock((0, 10, EXCLUSIVE), (20, 10, SHARED)))
    assert [program.sees(at) for at in (0, 9, 10, 20)] == [
        *("exclusive", "exclusive", "free", "shared")
    ]
    assert not program.lock(5, 1, fcntl.F_RDLCK)
    assert program.lock(25, 1, fcntl.F_RDLCK)
    client.call(file.frames.lock((0, 10, UNLOCK)))
    assert program.lock(5, 1)


def test_close_releases_them(client: Client, file: File, program: Program) -> None:
    client.call(file.frames.lock((0, 10, EXCLUSIVE)))
    client.call(file.frames.close())
    assert program.lock(0, 0)


def test_a_lost_client_s_locks_go(client: Client, file: File, program: Program) -> None:
    client.call(file.frames.lock((0, 10, EXCLUSIVE)))
    client.lose()
    assert program.lock(0, 0)


def test_to_unlock_one_of_two_that_overlap_leaves_the_other(
    client: Client, file: File, program: Program
) -> None:
    client.call(file.frames.lock((0, 20, SHARED), (10, 20, SHARED), (10, 20, SHARED)))
    client.call(file.frames.lock((0, 20, UNLOCK)))
    assert [program.sees(at) for at in (9, 10, 29)] == ["free", "shared", "shared"]
    client.call(file.frames.lock((10, 20, UNLOCK)))
    assert program.sees(15) == "shared"
    client.call(file.frames.lock((10, 20, UNLOCK)))
    assert program.sees(15) == "free"


def test_below_an_exclusive_lock_the_shared_one_stays(
    client: Client, file: File, program: Program
) -> None:
    client.call(file.frames.lock((0, 10, EXCLUSIVE), (0, 10, SHARED)))
    assert program.sees(5) == "exclusive"
    client.call(file.frames.lock((0, 10, UNLOCK)))
    assert program.sees(5) == "shared"


def test_two_clients_share(client: Client, file: File, program: Program) -> None:
    second = ready(client.engine)
    other = second.open("file")
    client.call(file.frames.lock((0, 10, SHARED)))
    second.call(other.frames.lock((5, 10, SHARED)))
    client.call(file.frames.lock((0, 10, UNLOCK)))
    assert [program.sees(at) for at in (4, 5, 14)] == ["free", "shared", "shared"]


def test_who_may_only_read_locks_as_far_as_the_descriptor_can(
    client: Client, engine: Engine, program: Program
) -> None:
    reader = client.open("file", desired_access=FILE_READ_DATA)
    assert client.status(reader.frames.lock((0, 10, EXCLUSIVE))) is OK
    assert program.sees(5) == "shared"


def test_a_stream_has_locks_of_its_own(client: Client, file: File, program: Program) -> None:
    stream = client.open("file:stream")
    assert client.status(stream.frames.lock((0, 10, EXCLUSIVE))) is OK
    assert program.sees(5) == "free"


def test_posix_locking_may_be_off(folder: Path) -> None:
    client = sharing(folder, DISK & ~ipc.SHARE_POSIX_LOCKING)
    file = client.open("file")
    program = Program(folder / "file")
    client.call(file.frames.lock((0, 10, EXCLUSIVE)))
    assert program.sees(5) == "free"
    assert program.lock(20, 1)
    assert client.status(file.frames.lock((20, 1, EXCLUSIVE))) is OK
    os.close(program.fd)


def test_without_locks_nobody_asks_the_kernel(
    client: Client, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a system call for nothing")

    monkeypatch.setattr(fcntl, "fcntl", forbidden)
    client.call(file.frames.write(b"data"))
    client.call(file.frames.read(4))
    client.call(file.frames.close())


# -- what stands in clients' way ---------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "asked", "status"),
    [
        (fcntl.F_WRLCK, EXCLUSIVE, NOT_GRANTED),
        (fcntl.F_WRLCK, SHARED, NOT_GRANTED),
        (fcntl.F_RDLCK, EXCLUSIVE, NOT_GRANTED),
        (fcntl.F_RDLCK, SHARED, OK),
    ],
)
def test_a_program_s_lock_refuses_a_client(
    client: Client, file: File, program: Program, kind: int, asked: int, status: NtStatus
) -> None:
    assert program.lock(5, 10, kind)
    assert client.status(file.frames.lock((0, 10, asked))) is status
    assert client.status(file.frames.lock((15, 10, asked))) is OK


def test_all_or_none(client: Client, file: File, program: Program) -> None:
    client.call(file.frames.lock((0, 10, SHARED)))
    assert program.lock(50, 1)
    several = [(0, 4, SHARED), (20, 10, EXCLUSIVE), (50, 1, EXCLUSIVE)]
    assert client.status(file.frames.lock(*several)) is NOT_GRANTED
    assert [program.sees(at) for at in (0, 9, 20)] == ["shared", "shared", "free"]
    assert client.status(file.frames.lock((20, 10, UNLOCK))) is NtStatus.RANGE_NOT_LOCKED
    second = ready(client.engine)
    other = second.open("file")
    assert second.status(other.frames.lock((20, 10, EXCLUSIVE))) is OK


def test_a_client_waits_for_a_program_without_a_thread(
    client: Client, file: File, program: Program
) -> None:
    assert program.lock(0, 10)
    pending = client.pend(file.frames.lock((0, 10, EXCLUSIVE_LOCK)))
    client.engine.advance(60)
    assert client.receive() == []
    program.unlock()
    client.engine.advance(local_locks.LONGEST_PAUSE_S)
    (response,) = client.receive()
    assert (response.header.async_id, response.status) == (pending, OK)
    assert program.sees(5) == "exclusive"


def test_it_asks_ever_less_often(client: Client, file: File, program: Program) -> None:
    assert program.lock(0, 10)
    client.pend(file.frames.lock((0, 10, EXCLUSIVE_LOCK)))
    pauses = []
    scheduler = client.engine.scheduler
    for _ in range(12):
        (at,) = [when for when, _, timer in scheduler.timers if not timer.cancelled]
        pauses.append(round(at - client.engine.clock.now, 2))
        client.engine.advance(at - client.engine.clock.now)
    assert pauses[:4] == [0.02, 0.04, 0.08, 0.16]
    assert pauses[-4:] == [local_locks.LONGEST_PAUSE_S] * 4


def test_other_clients_do_not_notice_that_one_waits_for_a_program(
    client: Client, file: File, program: Program
) -> None:
    assert program.lock(0, 1)
    client.pend(file.frames.lock((0, 10, EXCLUSIVE_LOCK)))
    second = ready(client.engine)
    other = second.open("file")
    for _ in range(5):
        client.engine.advance(0.5)
        assert second.status(other.frames.write(b"x", 5)) is OK
    assert second.status(other.frames.lock((5, 1, EXCLUSIVE))) is OK
    program.unlock()
    client.engine.advance(2)
    assert client.receive() == []  # now it waits for the client
    second.call(other.frames.lock((5, 1, UNLOCK)))
    assert client.receive()[0].status is OK


def test_the_wait_is_cancelled(client: Client, file: File, program: Program) -> None:
    assert program.lock(0, 10)
    frame = file.frames.lock((0, 10, EXCLUSIVE_LOCK))
    client.pend(frame)
    responses = client.send(client.frames.cancel(message_id=frame.header.message_id))
    assert responses[-1].status is NtStatus.CANCELLED
    program.unlock()
    client.engine.advance(5)
    assert program.sees(5) == "free"
    assert not client.engine.scheduler.pending_timers


def test_the_wait_ends_with_the_open(client: Client, file: File, program: Program) -> None:
    assert program.lock(0, 10)
    client.pend(file.frames.lock((0, 10, EXCLUSIVE_LOCK)))
    responses = client.send(file.frames.close())
    assert sorted(r.status for r in responses) == [OK, NtStatus.RANGE_NOT_LOCKED]
    client.engine.advance(5)
    assert not client.engine.scheduler.pending_timers


# -- strict locking ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reads", "writes"),
    [(fcntl.F_WRLCK, CONFLICT, CONFLICT), (fcntl.F_RDLCK, OK, CONFLICT)],
)
def test_strict_locking_heeds_programs(
    folder: Path, kind: int, reads: NtStatus, writes: NtStatus
) -> None:
    client = sharing(folder, DISK | ipc.SHARE_STRICT_LOCKING)
    file = client.open("file")
    client.call(file.frames.write(b"0123456789"))
    program = Program(folder / "file")
    assert program.lock(4, 2, kind)
    assert client.status(file.frames.read(5)) is reads
    assert client.status(file.frames.write(b"x", 5)) is writes
    assert client.status(file.frames.read(4)) is OK
    assert client.status(file.frames.write(b"x", 6)) is OK
    program.unlock()
    assert client.status(file.frames.write(b"x", 5)) is OK
    os.close(program.fd)


def test_otherwise_programs_locks_are_advisory(
    client: Client, file: File, program: Program
) -> None:
    assert program.lock(0, 0)
    assert client.status(file.frames.write(b"x")) is OK
    assert client.status(file.frames.read(1)) is OK


# -- every history -----------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from([EXCLUSIVE, SHARED, UNLOCK]),
        st.integers(0, 1),
        st.integers(0, 9) | st.just((1 << 63) - 2),
        st.integers(0, 4),
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_kernel_has_what_the_clients_locks_come_to(
    client: Client, steps: list[tuple[int, int, int, int]]
) -> None:
    files = [client.open("file"), client.open("file")]
    program = Program(client.engine.folder / "file")
    held: list[tuple[int, int, int, int]] = []  # kind, client, offset, length
    for flags, who, offset, length in steps:
        if client.status(files[who].frames.lock((offset, length, flags))) is not OK:
            continue
        if flags != UNLOCK:
            held.append((flags, who, offset, length))
            continue
        mine = [row for row in held if row[1:] == (who, offset, length)]
        held.remove(max(mine, key=lambda row: row[0] == EXCLUSIVE))
    for byte in (*range(14), (1 << 63) - 2, (1 << 63) - 1):
        kinds = {flags for flags, _, offset, size in held if offset <= byte < offset + size}
        expected = "exclusive" if EXCLUSIVE in kinds else "shared" if kinds else "free"
        assert program.sees(byte) == expected, (byte, held)
    for file in files:
        client.call(file.frames.close())
    assert program.lock(0, 0)
    os.close(program.fd)
