"""The reader: who runs which frame, the reader role, the end of a connection."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ksmbd.server.lane import PATIENCE
from ksmbd.server.loop import NAME, Loop
from ksmbd.server.pool import Pool
from ksmbd.server.reader import COOL_FRAMES, MAX_QUEUED, Reader
from ksmbd.server.tcp import LARGE, TcpTransport
from ksmbd.server.watchdog import Watchdog
from ksmbd.state.buffers import Buffers
from ksmbd.wire.status import Disconnect
from tests.support.compiled import stands_in_for

pytestmark = stands_in_for("ksmbd.state.connection")

SOON = 30.0
READER = NAME


class FakeWork:
    def __init__(self, frame: memoryview) -> None:
        self.frame = frame
        self.message = frame
        self.release: Any = None
        self.let_go = lambda: None
        self.direct = False  # set by the reader
        self.name = bytes(frame[:8]).strip(b".").decode()


class FakeDispatch:
    """Frames are text: ``d...`` is direct, ``b...`` even beside others, ``q...`` and ``l...`` are
    queued, the latter in line.

    ``hold`` makes a name block.
    """

    def __init__(self) -> None:
        self.threads: dict[str, str] = {}
        self.order: list[str] = []
        self.done = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.held: dict[str, threading.Event] = {}
        self.inside: Any = None  # called in run() with the work
        self.bad = b"bad"

    def hold(self, name: str) -> threading.Event:
        self.held[name] = threading.Event()
        return self.held[name]

    def is_direct(self, work: Any, alone: bool, beside: bool) -> bool:
        kind = bytes(work.frame[:1])
        return kind == b"b" or (kind == b"d" and not beside)

    def queued(self, work: Any) -> None:
        pass

    def in_order(self, frame: Any) -> bool:
        return bytes(frame[:1]) == b"l"

    def receive(self, connection: Any, frame: memoryview) -> Any:
        if bytes(frame[:3]) == self.bad:
            raise Disconnect("no such protocol")
        if bytes(frame[:6]) == b"cancel":
            self.order.append("cancel")
            self.done.release()
            return None
        return FakeWork(frame)

    def run(self, work: Any) -> None:
        self.threads[work.name] = threading.current_thread().name
        if self.inside is not None:
            self.inside(work)
        if work.name in self.held:
            self.entered.release()
            assert self.held[work.name].wait(SOON)
        self.order.append(work.name)
        if work.release is not None:
            work.release()
        self.done.release()

    def wait_done(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.done.acquire(timeout=SOON)

    def wait_entered(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=SOON)


class Connection:
    number = 7


class Bench:
    def __init__(self, *, direct: bool = True) -> None:
        ours, self.client = socket.socketpair()
        self.dispatch = FakeDispatch()
        self.pool = Pool(3)
        self.watchdog = Watchdog(threaded=False, can_run=lambda thread: False)
        self.buffers = Buffers()
        self.loop = Loop(self.watchdog, self.pool)
        self.transport = TcpTransport(ours, self.buffers, spare=self.loop.spare, run=self.pool.run)
        self.transport.limit = lambda: 1 << 20
        self.lost: list[Any] = []
        self.gone = threading.Event()
        self.connection: Any = Connection()
        self.reader = Reader(
            self.connection,
            self.transport,
            dispatch=self.dispatch,
            pool=self.pool,
            loop=self.loop,
            lost=self._lost,
            direct=direct,
        )

    def _lost(self, connection: Any) -> None:
        self.lost.append(connection)
        self.gone.set()

    def put(self, *names: str) -> None:
        bodies = [name.encode().ljust(8, b".") for name in names]
        self.client.sendall(b"".join(struct.pack(">I", len(body)) + body for body in bodies))

    def end(self) -> None:
        self.client.close()
        assert self.gone.wait(SOON)
        self.loop.close()
        for thread in threading.enumerate():
            if thread.name == READER:
                thread.join(SOON)
        assert self.pool.shutdown_within(SOON)

    def take_role(self) -> None:
        """As the watchdog does it when its second tick falls into this very moment."""
        role = next(iter(self.watchdog.armed), None)
        if role is not None and self.watchdog.armed.pop(role, None) is not None:
            role.promote()

    def hold_up(self) -> None:
        """Two ticks at the same work item."""
        self.watchdog.tick()
        self.watchdog.tick()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.reader.start()
    yield made
    made.end()


def test_a_short_frame_is_run_by_the_reader_itself(bench: Bench) -> None:
    bench.put("d1", "d2")
    bench.dispatch.wait_done(2)
    assert bench.dispatch.threads == {"d1": READER, "d2": READER}
    assert bench.dispatch.order == ["d1", "d2"]
    assert bench.pool.figures().grown == 0


def test_every_other_frame_goes_to_a_kworker(bench: Bench) -> None:
    bench.put("q1")
    bench.dispatch.wait_done()
    assert bench.dispatch.threads["q1"].startswith("ksmbd-io/")


def test_while_something_is_queued_short_frames_are_queued_too(bench: Bench) -> None:
    release = bench.dispatch.hold("q1")
    bench.put("q1")
    bench.dispatch.wait_entered()
    bench.put("d1")
    bench.dispatch.wait_done()
    assert bench.dispatch.threads["d1"].startswith("ksmbd-io/")
    release.set()
    bench.dispatch.wait_done()


def test_what_is_long_is_run_by_the_reader_though_others_are_queued(bench: Bench) -> None:
    """Or a client with several in flight would have kworkers for good after one hold-up."""
    release = bench.dispatch.hold("q1")
    bench.put("q1")
    bench.dispatch.wait_entered()
    bench.put("b1")
    bench.dispatch.wait_done()
    assert bench.dispatch.threads["b1"] == READER
    release.set()
    bench.dispatch.wait_done()


def test_what_keeps_its_order_waits_for_what_came_before_it(bench: Bench) -> None:
    release = bench.dispatch.hold("l1")
    bench.put("l1", "l2", "l3", "q4")
    bench.dispatch.wait_entered()
    bench.dispatch.wait_done()
    assert bench.dispatch.order == ["q4"]
    release.set()
    bench.dispatch.wait_done(3)
    assert bench.dispatch.order == ["q4", "l1", "l2", "l3"]
    bench.put("l5")
    bench.dispatch.wait_done()


def test_what_is_held_up_does_not_hold_up_what_keeps_its_order(bench: Bench) -> None:
    release = bench.dispatch.hold("l1")
    bench.put("l1", "l2", "l3")
    bench.dispatch.wait_entered()
    for _ in range(PATIENCE):
        bench.hold_up()
    bench.dispatch.wait_done(2)
    assert bench.dispatch.order == ["l2", "l3"]
    release.set()
    bench.dispatch.wait_done()
    bench.put("l4", "l5")
    bench.dispatch.wait_done(2)
    assert bench.dispatch.order[2:] == ["l1", "l4", "l5"]


def test_what_keeps_its_order_waits_for_one_that_the_reader_is_held_up_at(bench: Bench) -> None:
    bench.dispatch.in_order = lambda frame: True  # type: ignore[method-assign]
    release = bench.dispatch.hold("d1")
    bench.put("d1")
    bench.dispatch.wait_entered()
    bench.hold_up()
    bench.put("d2", "d3", "cancel")
    bench.dispatch.wait_done()
    assert bench.dispatch.order == ["cancel"]
    release.set()
    bench.dispatch.wait_done(3)
    assert bench.dispatch.order == ["cancel", "d1", "d2", "d3"]


def test_direct_dispatch_can_be_turned_off() -> None:
    bench = Bench(direct=False)
    bench.reader.start()
    bench.put("d1")
    bench.dispatch.wait_done()
    assert bench.dispatch.threads["d1"].startswith("ksmbd-io/")
    bench.end()


def test_a_cancel_does_not_wait_behind_what_it_cancels(bench: Bench) -> None:
    releases = [bench.dispatch.hold(f"q{n}") for n in range(3)]
    bench.put("q0", "q1", "q2", "q3", "cancel")  # the pool has three workers
    bench.dispatch.wait_entered(3)
    bench.dispatch.wait_done()
    assert bench.dispatch.order == ["cancel"]
    for release in releases:
        release.set()
    bench.dispatch.wait_done(4)


def test_when_a_reader_is_held_up_another_goes_on(bench: Bench) -> None:
    release = bench.dispatch.hold("d1")
    bench.put("d1", "d2", "d3")
    bench.dispatch.wait_entered()
    bench.hold_up()
    bench.dispatch.wait_done(2)
    assert sorted(bench.dispatch.order) == ["d2", "d3"]
    release.set()
    bench.dispatch.wait_done()
    bench.put("d4")
    bench.dispatch.wait_done()
    assert bench.dispatch.order[2:] == ["d1", "d4"]


def test_one_tick_is_not_yet_a_hold_up(bench: Bench) -> None:
    release = bench.dispatch.hold("d1")
    bench.put("d1", "d2")
    bench.dispatch.wait_entered()
    bench.watchdog.tick()
    release.set()
    bench.dispatch.wait_done(2)
    assert bench.dispatch.threads == {"d1": READER, "d2": READER}
    assert bench.pool.figures().grown == 0


def test_after_a_hold_up_frames_are_queued_for_a_while(bench: Bench) -> None:
    release = bench.dispatch.hold("d0")
    bench.put("d0")
    bench.dispatch.wait_entered()
    bench.hold_up()
    release.set()
    bench.dispatch.wait_done()
    for number in range(1, COOL_FRAMES + 2):
        bench.put(f"d{number}")
        bench.dispatch.wait_done()
    kworkers = [n for n, t in bench.dispatch.threads.items() if t.startswith("ksmbd-io/")]
    assert len(kworkers) >= COOL_FRAMES
    assert bench.reader._cool == 0


def test_what_was_queued_after_a_hold_up_keeps_nothing_from_the_reader_once_it_has_begun(
    bench: Bench,
) -> None:
    """Some requests of a busy client are always in flight: it must get out of the queue again."""
    bench.reader._cool = 2
    release = bench.dispatch.hold("d1")
    bench.put("d1")
    bench.dispatch.wait_entered()
    bench.put("d2")
    bench.dispatch.wait_done()
    bench.put("d3")
    bench.dispatch.wait_done()
    release.set()
    bench.dispatch.wait_done()
    assert bench.dispatch.order == ["d2", "d3", "d1"]
    kworkers = {name: thread != READER for name, thread in bench.dispatch.threads.items()}
    assert kworkers == {"d1": True, "d2": True, "d3": False}


def test_nothing_overtakes_what_was_queued_and_has_not_begun(bench: Bench) -> None:
    bench.reader._cool = 4
    release = bench.dispatch.hold("d")
    bench.put("d", "d", "d")  # as many as there are kworkers
    bench.dispatch.wait_entered(3)
    bench.put("d4", "d5")
    turn = threading.Event()
    while bench.reader._queued < 5:
        turn.wait(0.001)
    release.set()
    bench.dispatch.wait_done(5)
    assert bench.dispatch.threads["d5"] != READER


def test_a_reader_that_lost_its_role_ends_and_never_takes_it_back(bench: Bench) -> None:
    """The old thread finishes while the new one runs a work item of its own."""
    first, second = bench.dispatch.hold("d1"), bench.dispatch.hold("d2")
    bench.put("d1")
    bench.dispatch.wait_entered()
    old = next(t for t in threading.enumerate() if t.name == READER)
    bench.hold_up()
    bench.reader._cool = 0  # let the new reader run its frame itself
    bench.put("d2", "d3")
    bench.dispatch.wait_entered()
    first.set()
    old.join(SOON)
    assert not old.is_alive()
    assert len(bench.watchdog.armed) == 1  # the entry of the new holder is untouched
    assert "d3" not in bench.dispatch.order
    second.set()
    bench.dispatch.wait_done(3)
    assert bench.dispatch.order == ["d1", "d2", "d3"]


def test_no_frame_is_lost_or_read_twice_when_the_role_changes_hands_often(bench: Bench) -> None:
    names = [f"d{number:05d}" for number in range(600)]
    bench.dispatch.inside = lambda work: int(work.name[1:]) % 3 or bench.take_role()
    feeder = threading.Thread(target=lambda: [bench.put(*names[n : n + 7]) for n in
                                              range(0, len(names), 7)])  # fmt: skip
    feeder.start()
    for _ in names:
        bench.reader._cool = 0
        bench.dispatch.wait_done()
        bench.watchdog.tick()
    feeder.join(SOON)
    assert sorted(bench.dispatch.order) == names


def test_the_end_of_the_stream_is_told_once(bench: Bench) -> None:
    bench.put("d1")
    bench.client.shutdown(socket.SHUT_WR)
    assert bench.gone.wait(SOON)
    assert bench.lost == [bench.connection]
    assert bench.dispatch.order == ["d1"]


def test_a_frame_that_is_no_smb_ends_the_connection(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ksmbd.conn")
    bench.put("bad", "d1")
    assert bench.gone.wait(SOON)
    assert bench.dispatch.order == []
    assert "no such protocol" in caplog.text


def test_a_bug_in_receiving_ends_the_connection_and_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("x")

    bench.dispatch.receive = broken  # type: ignore[method-assign, assignment]
    bench.put("d1")
    assert bench.gone.wait(SOON)
    assert "a bug in the server" in caplog.text


def test_closing_the_transport_inside_a_direct_work_stops_the_frames_behind(bench: Bench) -> None:
    bench.dispatch.inside = lambda work: bench.transport.close()
    bench.put("d1", "d2")
    assert bench.gone.wait(SOON)
    assert bench.dispatch.order == ["d1"]


@pytest.mark.parametrize("who", ["d1", "q1"])
def test_the_buffer_of_a_large_frame_is_reused_after_its_work(bench: Bench, who: str) -> None:
    """Whether the reader runs it or a kworker."""
    body = f"{who}......".encode() + bytes(LARGE * 3)
    seen = []
    bench.dispatch.inside = lambda work: seen.append(id(work.frame.obj))
    for _ in range(3):
        bench.client.sendall(struct.pack(">I", len(body)) + body)
        bench.dispatch.wait_done()
    assert len(set(seen)) == 1


def test_a_work_that_keeps_its_frame_keeps_its_buffer(bench: Bench) -> None:
    kept: list[memoryview] = []
    bench.dispatch.inside = lambda work: kept.append(work.frame[8:])
    for filler in (b"a", b"b", b"c"):
        body = b"q1......" + filler * (LARGE * 3)
        bench.client.sendall(struct.pack(">I", len(body)) + body)
        bench.dispatch.wait_done()
    assert [bytes(view[:1]) for view in kept] == [b"a", b"b", b"c"]


def test_a_connection_has_at_most_so_many_works_queued(bench: Bench) -> None:
    release = bench.dispatch.hold("q")
    bench.put("q", "q", "q")
    bench.dispatch.wait_entered(3)
    feeder = threading.Thread(target=lambda: bench.put(*["q"] * (MAX_QUEUED + 50)))
    feeder.start()
    turn = threading.Event()
    for _ in range(10_000):
        if bench.reader._queued == MAX_QUEUED:
            break
        turn.wait(0.001)
    assert not turn.wait(0.02)
    assert bench.reader._queued == MAX_QUEUED
    release.set()
    bench.dispatch.wait_done(MAX_QUEUED + 53)
    feeder.join(SOON)


def test_after_the_pool_has_shut_down_the_connection_ends() -> None:
    bench = Bench()
    assert bench.pool.shutdown_within(SOON)
    bench.reader.start()
    bench.put("q1")
    assert bench.gone.wait(SOON)
    bench.end()


def test_without_a_thread_for_the_new_reader_a_kworker_reads_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = bench.dispatch.hold("d1")
    bench.put("d1", "d2")
    bench.dispatch.wait_entered()
    turns = []

    def refuse() -> None:
        turns.append(0)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(bench.loop, "_start_thread", refuse)
    bench.hold_up()
    bench.dispatch.wait_done()
    assert bench.dispatch.order == ["d2"]
    assert turns == [0]
    release.set()
    bench.dispatch.wait_done()
    assert bench.dispatch.order == ["d2", "d1"]
