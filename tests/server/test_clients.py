"""The table of connections: from accept to the end, and who must go."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ksmbd.server.clients import LOG_ON_S, NEGOTIATE_S, SWEEP_S, Clients
from ksmbd.server.listener import Admission
from ksmbd.server.loops import Loops
from ksmbd.server.pool import Pool
from ksmbd.server.reader import Reader
from ksmbd.server.timers import Timers
from ksmbd.server.watchdog import Watchdog
from ksmbd.state.buffers import Buffers
from tests.support.compiled import stands_in_for

pytestmark = stands_in_for("ksmbd.state.connection")

SOON = 30.0
PEER = "local"  # of a socket pair


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


class FakeConnection:
    def __init__(self, transport: Any, number: int) -> None:
        self.transport = transport
        self.number = number
        self.peer = transport.peer
        self.lock = threading.Lock()
        self.negotiated = False
        self.authenticated = False
        self.max_frame = 1 << 16
        self.sessions: dict[int, Any] = {}


class FakeServer:
    def __init__(self, pool: Pool) -> None:
        self.scheduler = pool
        self.buffers = Buffers()
        self.settings = SimpleNamespace(deadtime_s=0)
        self.connections: list[FakeConnection] = []
        self.lost: list[Any] = []
        self.fail_on_loss = False

    def new_connection(self, transport: Any) -> FakeConnection:
        self.connections.append(FakeConnection(transport, len(self.connections) + 1))
        return self.connections[-1]

    def connection_lost(self, connection: Any) -> None:
        self.lost.append(connection)
        if self.fail_on_loss:
            raise KeyError("bug")


class Bench:
    def __init__(self) -> None:
        self.pool = Pool(2)
        self.clock = Clock()
        self.timers = Timers(self.clock, threaded=False)
        self.admission = Admission()
        self.server = FakeServer(self.pool)
        self.loops = Loops(Watchdog(threaded=False), self.pool)
        self.frames = threading.Semaphore(0)
        dispatch = SimpleNamespace(
            is_direct=lambda frame, alone: True,
            in_order=lambda frame: False,
            queued=lambda work: None,
            receive=lambda connection, frame: self.frames.release(),
            run=lambda work: None,
        )
        self.clients = Clients(
            self.server,  # type: ignore[arg-type]
            dispatch=dispatch,  # type: ignore[arg-type]
            admission=self.admission,
            loops=self.loops,
            timers=self.timers,
            clock=self.clock,
        )
        self.ends: list[socket.socket] = []

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.settimeout(SOON)
        self.ends.append(theirs)
        assert self.admission.admit(PEER) is None
        try:
            self.clients.serve(ours, PEER)
        except RuntimeError:  # as the listener does
            self.admission.leave(PEER)
            ours.close()
            raise
        return theirs

    def talk(self, end: socket.socket) -> None:
        end.sendall(b"\0\0\0\4abcd")
        assert self.frames.acquire(timeout=SOON)

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.timers.run_due()

    def alive(self, end: socket.socket) -> bool:
        """Whether the server has not closed its end; waits for an end that is on its way."""
        if any(not client.transport.closed for client in self.clients.all()):
            return True
        return bool(end.recv(1))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.clients.close_all()
    assert made.clients.wait_gone(SOON)
    made.loops.close()
    for thread in threading.enumerate():
        if thread.name.startswith("ksmbd/"):
            thread.join(SOON)
    for end in made.ends:
        end.close()
    assert made.pool.shutdown_within(SOON)
    assert made.admission.figures() == (0, 0)


def test_a_connection_is_counted_out_when_it_ends(bench: Bench) -> None:
    end = bench.connect()
    bench.talk(end)
    assert [client.connection.number for client in bench.clients.all()] == [1]
    assert bench.admission.figures() == (1, 1)
    end.close()
    assert bench.clients.wait_gone(SOON)
    assert bench.server.lost == bench.server.connections


def test_a_bug_at_the_end_of_a_connection_does_not_leak_its_count(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.server.fail_on_loss = True
    bench.connect().close()
    assert bench.clients.wait_gone(SOON)


def test_without_a_thread_for_the_reader_nothing_is_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Reader, "start", refuse)
    with pytest.raises(RuntimeError):
        bench.connect()
    assert bench.clients.all() == []
    assert len(bench.server.lost) == 1


def test_who_does_not_negotiate_must_go(bench: Bench) -> None:
    end = bench.connect()
    bench.later(NEGOTIATE_S - 1)
    assert bench.alive(end)
    bench.later(SWEEP_S)
    assert not bench.alive(end)


def test_who_does_not_log_on_must_go_however_much_it_sends(bench: Bench) -> None:
    end = bench.connect()
    bench.server.connections[0].negotiated = True
    for _ in range(int(LOG_ON_S // SWEEP_S) - 1):
        bench.talk(end)
        bench.later(SWEEP_S)
    assert bench.alive(end)
    bench.talk(end)
    bench.later(SWEEP_S)
    assert not bench.alive(end)


def log_on(bench: Bench) -> FakeConnection:
    connection = bench.server.connections[-1]
    connection.negotiated = connection.authenticated = True
    return connection


def test_who_has_logged_on_may_be_silent_for_ever(bench: Bench) -> None:
    end = bench.connect()
    log_on(bench)
    bench.later(1e6)
    assert bench.alive(end)


def test_a_frame_that_is_begun_and_not_completed_ends_the_connection(bench: Bench) -> None:
    end = bench.connect()
    log_on(bench)
    end.sendall(b"\0\0\0")
    turn = threading.Event()
    (client,) = bench.clients.all()
    for _ in range(10_000):
        if client.transport.deadline:
            break
        turn.wait(0.001)
    bench.later(6)
    assert bench.alive(end)
    bench.later(SWEEP_S)
    assert not bench.alive(end)


def test_deadtime_ends_idle_connections_but_not_those_with_open_files(bench: Bench) -> None:
    bench.server.settings.deadtime_s = 600
    idle, busy, opened = bench.connect(), bench.connect(), bench.connect()
    for connection in bench.server.connections:
        connection.negotiated = connection.authenticated = True
    bench.server.connections[2].sessions[1] = SimpleNamespace(opens={1: object()})
    for _ in range(5):
        bench.talk(busy)
        bench.later(150)
    assert idle.recv(1) == b""
    assert [client.connection.number for client in bench.clients.all()] in ([2, 3], [1, 2, 3])
    bench.talk(busy)
    bench.talk(opened)


def test_it_is_told_how_long_nothing_came(bench: Bench) -> None:
    silent, busy = bench.connect(), bench.connect()
    for connection in bench.server.connections:
        connection.negotiated = connection.authenticated = True
    bench.later(60)
    bench.talk(busy)
    first, second = (connection.number for connection in bench.server.connections)
    told = bench.clients.idle()
    assert told[first] >= 60
    assert told[second] == 0
    bench.later(30)
    assert bench.clients.idle()[first] == told[first] + 30
    bench.talk(silent)
    assert bench.clients.idle()[first] == 0


def test_the_sweep_runs_only_while_there_are_connections(bench: Bench) -> None:
    assert bench.timers.pending() == 0
    bench.connect()
    bench.connect()
    assert bench.timers.pending() == 1
    bench.later(SWEEP_S)
    assert bench.timers.pending() == 1
    bench.clients.drop_all()
    assert bench.clients.wait_gone(SOON)
    bench.later(SWEEP_S)
    assert bench.timers.pending() == 0
    bench.connect()
    assert bench.timers.pending() == 1


def test_after_close_all_a_late_connection_is_closed_at_once(bench: Bench) -> None:
    bench.clients.close_all()
    assert bench.connect().recv(1) == b""


def test_waiting_for_the_end_has_a_deadline(bench: Bench) -> None:
    bench.connect()
    assert not bench.clients.wait_gone(0.01)
