"""`kernel oplocks` through the engine: what clients cache, and local programs that come.

A local program is an open(2) of the test's that does not wait: it fails where it would have to,
and the kernel's signal has gone out all the same.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.commands.create_local import LONGEST_S
from ksmbd.state.wait import Wait
from ksmbd.vfs import file_leases
from ksmbd.wire import ipc
from ksmbd.wire.access import (
    DELETE,
    FILE_OVERWRITE_IF,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SHARE_READ,
    FILE_WRITE_DATA,
)
from ksmbd.wire.create import (
    OPLOCK_BATCH,
    OPLOCK_EXCLUSIVE,
    OPLOCK_II,
    OPLOCK_LEASE,
    OPLOCK_NONE,
    CreateResponse,
)
from ksmbd.wire.create_context import REQUEST_LEASE, RequestLease
from ksmbd.wire.oplock_break import LeaseBreakNotification, OplockBreakNotification
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready, statuses
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

OK = NtStatus.SUCCESS
PENDING = NtStatus.PENDING
READ_WRITE = FILE_READ_DATA | FILE_WRITE_DATA
KEY = bytes(range(1, 17))
R, RH, RW, RWH = 1, 3, 5, 7


class Ears:
    """The listener: the test's own thread, when it is told to."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fd = file_leases.signal_descriptor()

    def claim(self, fd: int) -> bool:
        file_leases.direct(fd, threading.get_native_id())
        return True

    def hear(self) -> int:
        """Let the server know of the signals; how many there were."""
        named = list(file_leases.read_signals(self.fd))
        with self.engine.acting():
            for fd in named:
                self.engine.server.caching.local.signalled(fd)
        return len(named)


class Machine:
    """An engine with `kernel oplocks`, its first client, and the file as local programs see it."""

    def __init__(self, engine: Engine, ears: Ears) -> None:
        self.engine, self.ears = engine, ears
        self.client = ready(engine)
        self.path = engine.make_file("file", b"before")

    def program(self, flags: int) -> bool:
        """A local program opens the file; False if it has to wait."""
        try:
            os.close(os.open(self.path, flags | os.O_NONBLOCK))
        except BlockingIOError:
            self.ears.hear()
            return False
        assert self.ears.hear() == 0
        return True

    def breaks(self, client: Client | None = None) -> list[int]:
        """The levels that a client has been asked, or told, to go down to."""
        client = client or self.client
        client.receive()
        asked = []
        for message in client.unsolicited:
            if message.header.command == 18 and len(message.raw) == 64 + 44:
                asked.append(message.body(LeaseBreakNotification).new_lease_state)
            else:
                asked.append(message.body(OplockBreakNotification).oplock_level)
        client.unsolicited.clear()
        return asked

    @property
    def leases(self) -> int:
        return len(self.engine.server.caching.local.leases)


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    file_leases.hold_back_signals()
    engine = Engine(folder, shares=[share("data", str(folder), DISK | ipc.SHARE_KERNEL_OPLOCKS)])
    ears = Ears(engine)
    engine.server.caching.local.leases.listener = ears
    made = Machine(engine, ears)
    yield made
    engine.close()
    list(file_leases.read_signals(ears.fd))
    os.close(ears.fd)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def level(file: File) -> int:
    return file.response.body(CreateResponse).oplock_level


def lease_of(state: int) -> dict[str, object]:
    context = RequestLease(lease_key=KEY, lease_state=state).pack()
    return {"contexts": [(REQUEST_LEASE, context)], "requested_oplock_level": OPLOCK_LEASE}


def leased(client: Client, state: int, **changes: object) -> tuple[File, int]:
    """An open with a lease, and what was granted of it."""
    response = client.call(client.frames.create("file", **lease_of(state), **changes))
    assert response.status is OK
    context = RequestLease.unpack(response.contexts()[REQUEST_LEASE])
    return client.file(response), context.lease_state


# -- what is granted ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "asked", "granted"),
    [
        (READ_WRITE, OPLOCK_BATCH, OPLOCK_BATCH),
        (READ_WRITE, OPLOCK_EXCLUSIVE, OPLOCK_EXCLUSIVE),
        (READ_WRITE, OPLOCK_II, OPLOCK_NONE),  # it writes itself: no READ lease
        (FILE_READ_DATA, OPLOCK_BATCH, OPLOCK_BATCH),
        (FILE_READ_DATA, OPLOCK_II, OPLOCK_II),
        (FILE_READ_ATTRIBUTES, OPLOCK_BATCH, OPLOCK_NONE),  # there is nothing to have a lease on
        (DELETE, OPLOCK_BATCH, OPLOCK_NONE),
        (READ_WRITE, OPLOCK_NONE, OPLOCK_NONE),
    ],
)
def test_what_the_kernel_promises_is_granted(
    machine: Machine, access: int, asked: int, granted: int
) -> None:
    file = machine.client.open("file", desired_access=access, requested_oplock_level=asked)
    assert level(file) == granted
    assert machine.leases == bool(granted)
    machine.client.call(file.frames.close())
    assert machine.leases == 0
    assert machine.program(os.O_RDWR)


@pytest.mark.parametrize(
    ("access", "asked", "granted"),
    [(READ_WRITE, RWH, RWH), (READ_WRITE, RH, 0), (FILE_READ_DATA, RH, RH), (FILE_READ_DATA, R, R)],
)
def test_leases_likewise(machine: Machine, access: int, asked: int, granted: int) -> None:
    assert leased(machine.client, asked, desired_access=access)[1] == granted


@pytest.mark.parametrize(
    ("flags", "access", "granted"),
    [
        (os.O_RDONLY, READ_WRITE, OPLOCK_NONE),
        (os.O_RDONLY, FILE_READ_DATA, OPLOCK_II),
        (os.O_RDWR, FILE_READ_DATA, OPLOCK_NONE),
    ],
)
def test_beside_a_program_only_what_is_coherent(
    machine: Machine, flags: int, access: int, granted: int
) -> None:
    fd = os.open(machine.path, flags)
    asked = {"desired_access": access, "requested_oplock_level": OPLOCK_BATCH}
    assert level(machine.client.open("file", **asked)) == granted
    os.close(fd)


def test_a_new_file_is_cached_too(machine: Machine) -> None:
    file = machine.client.open("new", requested_oplock_level=OPLOCK_BATCH)
    assert level(file) == OPLOCK_BATCH
    machine.path = machine.engine.folder / "new"
    assert not machine.program(os.O_WRONLY)


def test_without_somebody_who_listens_nothing_is_granted(machine: Machine) -> None:
    machine.engine.server.caching.local.leases.listener = None
    assert level(machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)) == OPLOCK_NONE


def test_only_who_writes_alone_caches_a_stream(machine: Machine) -> None:
    asked = {"requested_oplock_level": OPLOCK_BATCH}
    assert level(machine.client.open("file:stream", **asked)) == OPLOCK_BATCH
    other = ready(machine.engine)
    pending = other.pend(other.frames.create("file:stream", **asked))
    assert pending
    assert machine.breaks() == [OPLOCK_II]


def test_without_the_parameter_nothing_of_it_happens(folder: Path) -> None:
    client = ready(Engine(folder))
    assert level(client.open("file", requested_oplock_level=OPLOCK_BATCH)) == OPLOCK_BATCH
    os.close(os.open(folder / "file", os.O_RDWR | os.O_NONBLOCK))


# -- a local program comes ---------------------------------------------------------------


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
def test_a_program_waits_until_the_client_has_written_back(machine: Machine, flags: int) -> None:
    file = machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    assert not machine.program(flags)
    assert machine.breaks() == [OPLOCK_NONE]  # who writes himself keeps nothing
    assert not machine.program(flags)
    assert machine.client.status(file.frames.write(b"after!")) is OK
    assert not machine.program(flags)
    assert machine.client.status(file.frames.oplock_break(OPLOCK_NONE)) is OK
    assert machine.program(flags)
    assert machine.path.read_bytes() == b"after!"
    assert machine.breaks() == []


def test_closing_is_an_answer(machine: Machine) -> None:
    file = machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    assert not machine.program(os.O_RDWR)
    assert machine.breaks() == [OPLOCK_NONE]
    assert machine.client.status(file.frames.close()) is OK
    assert machine.program(os.O_RDWR)


def test_who_does_not_answer_loses_its_cache(machine: Machine) -> None:
    machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    assert not machine.program(os.O_RDWR)
    machine.engine.advance(36)  # less than the kernel's 45
    assert machine.program(os.O_RDWR)
    assert machine.leases == 0


def test_a_lost_client_is_in_nobody_s_way(machine: Machine) -> None:
    machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    machine.client.lose()
    assert machine.program(os.O_RDWR)


def test_who_only_reads_goes_on_caching_what_it_reads(machine: Machine) -> None:
    asked = {"desired_access": FILE_READ_DATA, "requested_oplock_level": OPLOCK_BATCH}
    file = machine.client.open("file", **asked)
    assert not machine.program(os.O_RDONLY)
    assert machine.breaks() == [OPLOCK_II]
    assert machine.client.status(file.frames.oplock_break(OPLOCK_II)) is OK
    assert machine.program(os.O_RDONLY)
    assert machine.leases == 1
    assert not machine.program(os.O_WRONLY)  # but is told before anybody writes
    assert machine.breaks() == [OPLOCK_NONE]
    assert machine.program(os.O_WRONLY)


def test_a_lease_keeps_the_handle_beside_a_reader(machine: Machine) -> None:
    _, granted = leased(machine.client, RWH, desired_access=FILE_READ_DATA)
    assert granted == RWH
    assert not machine.program(os.O_RDONLY)
    assert machine.breaks() == [RH]
    assert machine.client.status(machine.client.frames.lease_break(KEY, RH)) is OK
    assert machine.program(os.O_RDONLY)
    assert not machine.program(os.O_WRONLY)
    assert machine.breaks() == [0]
    assert machine.client.status(machine.client.frames.lease_break(KEY, 0)) is OK
    assert machine.program(os.O_WRONLY)


def test_a_writer_that_comes_during_the_break_gets_all(machine: Machine) -> None:
    leased(machine.client, RWH, desired_access=FILE_READ_DATA)
    assert not machine.program(os.O_RDONLY)
    assert machine.breaks() == [RH]
    assert not machine.program(os.O_WRONLY)
    assert machine.client.status(machine.client.frames.lease_break(KEY, RH)) is OK
    assert machine.breaks() == [R]
    assert machine.client.status(machine.client.frames.lease_break(KEY, R)) is OK
    assert machine.breaks() == [0]
    assert machine.program(os.O_WRONLY)


def test_signals_may_be_lost(machine: Machine) -> None:
    machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    with pytest.raises(BlockingIOError):
        os.open(machine.path, os.O_RDWR | os.O_NONBLOCK)
    assert list(file_leases.read_signals(machine.ears.fd)) != []
    with machine.engine.acting():
        machine.engine.server.caching.local.signalled(None)
    assert machine.breaks() == [OPLOCK_NONE]


def test_a_signal_about_an_earlier_file_is_none(machine: Machine) -> None:
    file = machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    (held,) = machine.engine.server.opens.all()
    for fd in (held.file.fd, 12345):
        with machine.engine.acting():
            machine.engine.server.caching.local.signalled(fd)
    assert machine.breaks() == []
    assert machine.client.status(file.frames.close()) is OK


# -- another client comes ----------------------------------------------------------------


def test_another_client_is_asked_for_as_by_the_kernel(machine: Machine) -> None:
    file = machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    other = ready(machine.engine)
    other.pend(other.frames.create("file", desired_access=FILE_READ_DATA))
    assert machine.ears.hear() == 0  # it was asked before the file was opened
    assert machine.breaks() == [OPLOCK_NONE]
    assert machine.client.status(file.frames.oplock_break(OPLOCK_NONE)) is OK
    assert other.receive()[0].status is OK
    assert machine.program(os.O_RDWR)


def test_readers_share_what_they_cache(machine: Machine) -> None:
    asked = {"desired_access": FILE_READ_DATA, "requested_oplock_level": OPLOCK_II}
    other = ready(machine.engine)
    assert [level(client.open("file", **asked)) for client in (machine.client, other)] == [
        *(OPLOCK_II, OPLOCK_II)
    ]
    assert not machine.program(os.O_WRONLY)
    assert machine.breaks() == [OPLOCK_NONE]
    assert machine.breaks(other) == [OPLOCK_NONE]
    assert machine.program(os.O_WRONLY)


def test_a_client_that_writes_ends_what_readers_cache(machine: Machine) -> None:
    asked = {"desired_access": FILE_READ_DATA, "requested_oplock_level": OPLOCK_II}
    machine.client.open("file", **asked)
    other = ready(machine.engine)
    assert other.status(other.frames.create("file")) is OK
    assert machine.breaks() == [OPLOCK_NONE]
    assert machine.ears.hear() == 0


def test_the_lease_s_own_second_open_ends_its_write_cache(machine: Machine) -> None:
    _, granted = leased(machine.client, RWH)
    assert granted == RWH
    second = machine.client
    second.pend(second.frames.create("file", **lease_of(RWH)))
    assert machine.breaks() == [0]
    assert statuses(second.send(second.frames.lease_break(KEY, 0))) == [OK, OK]


def test_a_lease_without_an_open_that_the_kernel_minds_is_worth_nothing(machine: Machine) -> None:
    file, _ = leased(machine.client, RH, desired_access=FILE_READ_DATA)
    beside, kept = leased(machine.client, RH, desired_access=FILE_READ_ATTRIBUTES)
    assert kept == RH
    assert machine.client.status(file.frames.close()) is OK
    assert machine.breaks() == [0]
    assert machine.client.status(machine.client.frames.lease_break(KEY, 0)) is OK
    assert machine.client.status(beside.frames.close()) is OK


def test_a_sharing_violation_breaks_nothing(machine: Machine) -> None:
    asked = {"share_access": FILE_SHARE_READ, "requested_oplock_level": OPLOCK_EXCLUSIVE}
    machine.client.open("file", **asked)
    other = ready(machine.engine)
    assert other.status(other.frames.create("file")) is NtStatus.SHARING_VIOLATION
    assert machine.breaks() == []
    assert machine.ears.hear() == 0


def test_attributes_are_looked_at_beside_it(machine: Machine) -> None:
    machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    other = ready(machine.engine)
    asked = {"desired_access": FILE_READ_ATTRIBUTES}
    assert other.status(other.frames.create("file", **asked)) is OK
    assert machine.breaks() == []
    assert machine.leases == 1


def test_a_rename_leaves_no_cache_that_the_kernel_does_not_promise(machine: Machine) -> None:
    """Batch becomes II then, which a writer cannot have."""
    file = machine.client.open("file", requested_oplock_level=OPLOCK_BATCH)
    other = ready(machine.engine)
    mover = other.open("file", desired_access=FILE_READ_ATTRIBUTES)
    assert mover
    with machine.engine.acting():
        (holder,) = [o for o in machine.engine.server.opens.all() if o.holder is not None]
        assert holder.inode is not None
        with pytest.raises(Wait):
            machine.engine.server.caching.demand_among(holder.inode, [holder], None)
    assert machine.breaks() == [OPLOCK_II]
    assert machine.client.status(file.frames.oplock_break(OPLOCK_II)) is OK
    assert machine.breaks() == [OPLOCK_NONE]
    assert machine.leases == 0


# -- a local program has a lease ---------------------------------------------------------


@pytest.fixture
def holder(machine: Machine) -> Iterator[int]:
    """A program's descriptor with a lease on the file."""
    fd = os.open(machine.path, os.O_RDWR)
    file_leases.direct(fd, threading.get_native_id())
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    yield fd
    os.close(fd)


def test_a_create_waits_for_a_program_s_lease_without_a_thread(
    machine: Machine, holder: int
) -> None:
    client = machine.client
    client.pend(client.frames.create("file"))
    assert list(file_leases.read_signals(machine.ears.fd)) == [holder]
    machine.engine.advance(3)
    assert client.receive() == []
    assert client.status(client.frames.create("other")) is OK
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    machine.engine.advance(2)
    assert client.receive()[0].status is OK


def test_nothing_is_overwritten_before(machine: Machine, holder: int) -> None:
    assert holder
    overwriting = machine.client.frames.create("file", create_disposition=FILE_OVERWRITE_IF)
    machine.client.pend(overwriting)
    assert machine.path.stat().st_size == 6


def test_it_does_not_wait_for_ever(machine: Machine, holder: int) -> None:
    assert holder
    client = machine.client
    client.pend(client.frames.create("file"))
    machine.engine.advance(LONGEST_S + 2)
    assert client.receive()[0].status is NtStatus.SHARING_VIOLATION
    assert not machine.engine.scheduler.pending_timers


def test_waiting_for_a_program_is_cancelled(machine: Machine, holder: int) -> None:
    assert holder
    client = machine.client
    frame = client.frames.create("file")
    client.pend(frame)
    responses = client.send(client.frames.cancel(message_id=frame.header.message_id))
    assert responses[-1].status is NtStatus.CANCELLED
    assert not machine.engine.scheduler.pending_timers
