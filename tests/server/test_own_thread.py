"""Who reads a connection: its own thread, or the common loop that it is lent to."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from ksmbd.server import own_thread
from ksmbd.server.loop import NAME, TURNS_ALONE, Loop
from ksmbd.server.loops import Loops
from ksmbd.server.watchdog import Role, Watchdog
from tests.support.compiled import stands_in_for

pytestmark = stands_in_for("ksmbd.server.loop")

PATIENCE_S = 20.0


class Inline:
    """Kworkers that work at once."""

    def run(self, fn: Callable[..., object], /, *args: object) -> None:
        fn(*args)


class Reader:
    """Reads a byte at a time, and ends with the stream."""

    def __init__(self, loops: Loops, number: int) -> None:
        self.near, self.far = socket.socketpair()
        self.fd = self.near.fileno()
        self.loop, self.own_thread = loops.place(number, f"192.0.2.{number}")
        self.read_by: list[str] = []
        self.seen = threading.Semaphore(0)
        self.ended = self.must_pause = self.brings_much = self.rests = False
        self.cool = False
        self.watched: Callable[[], None] | None = None  # called in the next turn
        self.waits = False

    def start(self) -> None:
        reader: Any = self
        if self.own_thread is not None:
            self.own_thread.start(reader)
        else:
            self.loop.add(reader)

    def has_own_thread(self, has: bool) -> None:
        self.waits = has

    def cool_down(self) -> None:
        self.cool = True

    def turn(self, role: Role, *, hung_up: bool = False) -> bool:
        try:
            data = self.near.recv(1, 0 if self.waits else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        if data == b"h":  # held up: the watchdog takes the role
            role.promote()
            self.told()
            return False
        self.brings_much = data == b"m"
        if not data:
            self.ended = True
            self.loop.remove(self)  # type: ignore[arg-type]
            if self.own_thread is not None:
                self.own_thread.close()
        self.told()
        return True

    def told(self) -> None:
        self.read_by.append(threading.current_thread().name)
        self.seen.release()

    def hear(self, data: bytes) -> str:
        """Who reads *data*, one byte or the end."""
        if data:
            self.far.send(data)
        else:
            self.far.shutdown(socket.SHUT_WR)
        assert self.seen.acquire(timeout=PATIENCE_S)
        return self.read_by[-1]

    def close(self) -> None:
        if not self.ended:
            self.hear(b"")
        self.near.close()
        self.far.close()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Reader]]]:
    """Connections of a Python with a lock, whichever runs this: without it nothing is lent."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    made: list[Loops] = []
    readers: list[Reader] = []

    def connections(count: int, shared: int = 0) -> list[Reader]:
        made.append(Loops(Watchdog(threaded=False), Inline(), shared))
        readers.extend(Reader(made[-1], number) for number in range(1, count + 1))
        for each in readers:
            each.start()
        return readers

    yield connections
    for each in readers:
        each.close()
    for loops in made:
        loops.close()


def own(number: int) -> str:
    return f"ksmbd/{number}-192.0.2.{number}"


def thread(name: str) -> threading.Thread | None:
    return next((each for each in threading.enumerate() if each.name == name), None)


def contend(readers: Sequence[Reader]) -> None:
    """Have all of them lent to the common loop: they take turns until nobody has his own."""
    for _ in range(1000):
        if {each.hear(b"x") for each in readers} == {NAME}:
            return
    raise AssertionError("they never lend their connections")


def asleep(reader: Reader) -> None:
    """Wait until the thread of a connection that is lent can be called back."""
    assert reader.own_thread is not None
    pause = threading.Event()
    for _ in range(10_000):
        if reader.own_thread.asleep:
            return
        pause.wait(0.001)
    raise AssertionError("it never sleeps")


Make = Callable[..., list[Reader]]


def test_each_connection_has_a_reader_of_its_own(make: Make) -> None:
    readers = make(3)
    assert [each.hear(b"x") for each in readers] == [own(1), own(2), own(3)]
    for number, each in enumerate(readers, 1):
        running = thread(own(number))
        assert running is not None
        assert each.hear(b"") == own(number)
        running.join(PATIENCE_S)  # it ends with its connection
        assert not running.is_alive()


def test_a_connection_that_is_alone_stays_with_its_thread(make: Make) -> None:
    busy, idle = make(2)
    idle.hear(b"x")
    assert {busy.hear(b"x") for _ in range(200)} == {own(1)}
    assert thread(NAME) is None


def test_busy_connections_are_read_by_one_thread(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_thread, "CONTEST_S", PATIENCE_S)
    readers = make(3)
    contend(readers)
    assert thread(own(1)) is not None  # it sleeps


def test_seldom_turns_are_no_contest(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_thread, "CONTEST_S", 0.0)
    first, second = make(2)
    names = [each.hear(b"x") for _ in range(50) for each in (first, second)]
    assert set(names) == {own(1), own(2)}


def test_who_is_left_alone_in_the_loop_gets_its_thread_back(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_thread, "CONTEST_S", PATIENCE_S)
    readers = make(2)
    contend(readers)
    asleep(readers[0])
    names = [readers[0].hear(b"x") for _ in range(2 * TURNS_ALONE)]
    assert names[-1] == own(1)
    assert readers[1].hear(b"x") == NAME


def test_who_brings_much_gets_its_thread_back(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_thread, "CONTEST_S", PATIENCE_S)
    readers = make(2)
    contend(readers)
    asleep(readers[1])
    assert readers[1].hear(b"m") == NAME
    assert readers[1].hear(b"m") == own(2)
    names = [each.hear(b"m") for _ in range(20) for each in readers[1:]]
    assert set(names) == {own(2)}  # and keeps it as long as it does


def test_a_connection_that_rests_stays_in_the_loop(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_thread, "CONTEST_S", PATIENCE_S)
    readers = make(2)
    contend(readers)
    asleep(readers[0])
    readers[0].rests = True  # though a kworker has made room meanwhile
    names = [readers[0].hear(b"m") for _ in range(2 * TURNS_ALONE)]
    assert set(names) == {NAME}


def test_a_connection_that_must_pause_is_left_to_the_loop(make: Make) -> None:
    (reader,) = make(1)
    reader.must_pause = True
    assert reader.hear(b"x") == own(1)
    assert reader.hear(b"x") == NAME


def test_a_thread_that_is_held_up_leaves_its_connection_to_the_loop(make: Make) -> None:
    (reader,) = make(1)
    assert reader.hear(b"h") == own(1)
    assert reader.cool
    assert reader.hear(b"x") == NAME
    assert reader.hear(b"") == NAME


def test_a_thread_that_is_lent_ends_with_its_connection(make: Make) -> None:
    (reader,) = make(1)
    running = thread(own(1))
    assert running is not None
    reader.hear(b"h")
    reader.hear(b"")
    running.join(PATIENCE_S)
    assert not running.is_alive()


def test_without_an_interpreters_lock_nothing_is_lent(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_thread, "CONTEST_S", PATIENCE_S)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    readers = make(2)
    names = [each.hear(b"x") for _ in range(50) for each in readers]
    assert set(names) == {own(1), own(2)}


def test_without_a_thread_for_the_loop_a_kworker_runs_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Loop, "_start_thread", refuse)
    (reader,) = make(1)
    reader.must_pause = True
    assert reader.hear(b"x") == own(1)
    assert reader.hear(b"x") == own(1)  # Inline is that thread itself
    assert thread(NAME) is None


def test_a_reader_without_a_thread_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Any) -> None:
        raise RuntimeError("can't start new thread")

    loops = Loops(Watchdog(threaded=False), Inline())
    reader = Reader(loops, 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            reader.start()
    reader.ended = True
    reader.close()
    loops.close()
