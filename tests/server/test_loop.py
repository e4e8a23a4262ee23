"""The loop: one thread for all connections, turns, pauses, ends."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ksmbd.server.loop import NAME, Loop
from ksmbd.server.outbox import MUCH
from ksmbd.server.pool import Pool
from ksmbd.server.reader import FRAMES_A_TURN, MAX_QUEUED, Reader
from ksmbd.server.tcp import LARGE, RECEIVE_BUFFER, TcpTransport
from ksmbd.server.watchdog import Watchdog
from ksmbd.state.buffers import Buffers
from tests.support.compiled import stands_in_for

pytestmark = stands_in_for("ksmbd.state.connection")

SOON = 30.0


class FakeWork:
    def __init__(self, connection: Any, frame: memoryview) -> None:
        self.connection = connection
        self.frame = self.message = frame
        self.release: Any = None
        self.direct = False


class FakeDispatch:
    """``d...`` is direct, all else is queued; works are answered with as many bytes as asked."""

    def __init__(self) -> None:
        self.order: list[tuple[int, bytes]] = []
        self.threads: set[str] = set()
        self.done = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def is_direct(self, work: Any, alone: bool, beside: bool) -> bool:
        return bytes(work.frame[:1]) == b"d"

    def queued(self, work: Any) -> None:
        pass

    def in_order(self, frame: Any) -> bool:
        return False

    def receive(self, connection: Any, frame: memoryview) -> FakeWork:
        return FakeWork(connection, frame)

    def run(self, work: FakeWork) -> None:
        self.threads.add(threading.current_thread().name)
        self.order.append((work.connection.number, bytes(work.frame[:4])))
        if not work.direct:
            assert self.gate.wait(SOON)
        size = int.from_bytes(work.frame[4:8], "big")
        if size:
            work.connection.transport.send([bytes(size)])
        if work.release is not None:
            work.release()
        self.done.release()

    def wait_done(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.done.acquire(timeout=SOON)


class Connection:
    def __init__(self, number: int, transport: TcpTransport) -> None:
        self.number = number
        self.transport = transport


class Client:
    """The far end of a connection of the loop's."""

    def __init__(self, bench: Bench, number: int) -> None:
        ours, self.sock = socket.socketpair()
        self.sock.settimeout(SOON)
        self.gone = threading.Event()
        self.transport = TcpTransport(
            ours, bench.buffers, spare=bench.loop.spare, run=bench.pool.run
        )
        self.transport.limit = lambda: 1 << 20
        connection: Any = Connection(number, self.transport)
        self.reader = Reader(
            connection,
            self.transport,
            dispatch=bench.dispatch,  # type: ignore[arg-type]
            pool=bench.pool,
            loop=bench.loop,
            lost=lambda _: self.gone.set(),
        )
        try:
            self.reader.start()
        except RuntimeError:
            ours.close()
            self.sock.close()
            raise

    def put(self, *names: bytes, answer: int = 0) -> None:
        bodies = [name + answer.to_bytes(4, "big") for name in names]
        self.sock.sendall(b"".join(struct.pack(">I", len(body)) + body for body in bodies))

    def read(self, count: int) -> None:
        while count:
            got = len(self.sock.recv(min(count, 1 << 16)))
            assert got
            count -= got


class Bench:
    def __init__(self) -> None:
        self.buffers = Buffers()
        self.dispatch = FakeDispatch()
        self.pool = Pool(3)
        self.loop = Loop(Watchdog(threaded=False), self.pool)
        self.clients: list[Client] = []

    def connect(self) -> Client:
        self.clients.append(Client(self, len(self.clients)))
        return self.clients[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.dispatch.gate.set()
    for client in made.clients:
        client.sock.close()
        assert client.gone.wait(SOON)
    made.loop.close()
    for thread in threading.enumerate():
        if thread.name == NAME:
            thread.join(SOON)
    assert made.pool.shutdown_within(SOON)


def until(true: Any) -> None:
    turn = threading.Event()
    for _ in range(10_000):
        if true():
            return
        turn.wait(0.001)
    raise AssertionError("never became true")


def test_one_thread_reads_all_connections(bench: Bench) -> None:
    clients = [bench.connect() for _ in range(20)]
    for client in clients:
        client.put(b"d..1")
    bench.dispatch.wait_done(20)
    assert bench.dispatch.threads == {NAME}
    assert [thread.name for thread in threading.enumerate()].count(NAME) == 1


def test_idle_connections_share_one_receive_buffer(bench: Bench) -> None:
    for client in [bench.connect() for _ in range(20)]:
        client.put(b"d..1")
        bench.dispatch.wait_done()
    until(lambda: bench.loop.spare)
    assert [len(buffer) for buffer in bench.loop.spare] == [RECEIVE_BUFFER]


def test_half_a_frame_keeps_its_bytes_while_others_are_read(bench: Bench) -> None:
    first, second = bench.connect(), bench.connect()
    first.sock.sendall(b"\0\0\0\x08d..")
    until(lambda: first.transport._end)
    second.put(*[b"d..2"] * 40)
    bench.dispatch.wait_done(40)
    first.sock.sendall(b"1\0\0\0\0")
    bench.dispatch.wait_done()
    assert bench.dispatch.order[-1] == (0, b"d..1")


def test_a_busy_connection_lets_others_have_their_turn(bench: Bench) -> None:
    """Its frames came first and together, and yet the other's does not wait for all of them."""
    greedy, modest = bench.connect(), bench.connect()
    entered, release = threading.Event(), threading.Event()
    run = bench.dispatch.run

    def held(work: FakeWork) -> None:
        if not entered.is_set():
            entered.set()
            assert release.wait(SOON)
        run(work)

    bench.dispatch.run = held  # type: ignore[method-assign]
    greedy.put(*[b"d..g"] * (8 * FRAMES_A_TURN))
    assert entered.wait(SOON)
    modest.put(b"d..m")
    release.set()
    bench.dispatch.wait_done(8 * FRAMES_A_TURN + 1)
    assert bench.dispatch.order.index((1, b"d..m")) <= 2 * FRAMES_A_TURN


def test_a_client_that_does_not_read_is_paused_and_no_other_notices(bench: Bench) -> None:
    deaf, other = bench.connect(), bench.connect()
    size, count = 60_000, 400
    deaf.put(*[b"d..1"] * count, answer=size)
    until(lambda: deaf.transport.slow)
    other.put(b"d..2", answer=10)
    other.read(10)
    until(lambda: deaf.reader._paused)
    assert deaf.reader.frames < count
    assert deaf.transport._outbox._backlog_size <= MUCH + FRAMES_A_TURN * size
    deaf.read(size * count)
    assert deaf.reader.frames == count


def test_a_paused_connection_that_ends_is_noticed(bench: Bench) -> None:
    deaf = bench.connect()
    deaf.put(*[b"d..1"] * 100, answer=60_000)
    until(lambda: deaf.reader._paused)
    deaf.sock.close()
    assert deaf.gone.wait(SOON)


def test_a_paused_connection_can_be_closed(bench: Bench) -> None:
    deaf = bench.connect()
    deaf.put(*[b"d..1"] * 100, answer=60_000)
    until(lambda: deaf.reader._paused)
    deaf.transport.close()
    assert deaf.gone.wait(SOON)


def test_too_many_queued_works_pause_until_fewer_are_left(bench: Bench) -> None:
    client = bench.connect()
    bench.dispatch.gate.clear()
    count = MAX_QUEUED + 100
    client.put(*[b"q..1"] * count)
    until(lambda: client.reader._paused)
    assert client.reader.frames == MAX_QUEUED
    bench.dispatch.gate.set()
    bench.dispatch.wait_done(count)


def test_large_frames_of_several_connections_arrive_together(bench: Bench) -> None:
    clients = [bench.connect() for _ in range(4)]
    body = b"q..1" + bytes(4) + bytes(LARGE * 10)
    frame = struct.pack(">I", len(body)) + body
    halves = [frame[: len(frame) // 2], frame[len(frame) // 2 :]]
    for half in halves:
        for client in clients:
            feeder = threading.Thread(target=client.sock.sendall, args=(half,))
            feeder.start()
            feeder.join(SOON)
    bench.dispatch.wait_done(4)
    assert sorted(number for number, _ in bench.dispatch.order) == [0, 1, 2, 3]


def test_without_a_thread_nothing_is_left_of_a_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(bench.loop, "_start_thread", refuse)
        with pytest.raises(RuntimeError):
            bench.connect()
    assert len(bench.loop) == 0
    bench.connect().put(b"d..1")
    bench.dispatch.wait_done()


def test_a_loop_that_was_never_started_gives_its_descriptors_back() -> None:
    pool = Pool(1)
    loop = Loop(Watchdog(threaded=False), pool)
    loop.close()
    assert loop._epoll.closed
    assert pool.shutdown_within(SOON)
