"""Who reads which connection: a thread each, or so many for all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from ksmbd.server.loop import Loop
from ksmbd.server.loops import Loops
from ksmbd.server.watchdog import Watchdog

PATIENCE_S = 20.0


class Inline:
    """Kworkers that work at once."""

    def run(self, fn: Callable[..., object], /, *args: object) -> None:
        fn(*args)


class Reader:
    """Reads a byte at a time, and ends with the stream."""

    def __init__(self, loop: Loop) -> None:
        self.near, self.far = socket.socketpair()
        self.loop = loop
        self.read_by: list[str] = []
        self.seen = threading.Semaphore(0)

    def cool_down(self) -> None:
        raise AssertionError

    def turn(self, role: object, *, hung_up: bool = False) -> bool:
        if not self.near.recv(1):
            self.loop.remove(self.near.fileno())
        self.read_by.append(threading.current_thread().name)
        self.seen.release()
        return True

    def hear(self, data: bytes) -> str:
        """Who reads *data*; nothing is the end."""
        if data:
            self.far.send(data)
        else:
            self.far.shutdown(socket.SHUT_WR)
        assert self.seen.acquire(timeout=PATIENCE_S)
        return self.read_by[-1]


def reader(loops: Loops, number: int) -> Reader:
    loop = loops.loop_for(number, f"192.0.2.{number}")
    made = Reader(loop)
    loop.add(made, made.near.fileno())  # type: ignore[arg-type]
    return made


@pytest.fixture
def make() -> Iterator[Callable[..., Loops]]:
    made: list[Loops] = []

    def loops(readers: int = 0) -> Loops:
        made.append(Loops(Watchdog(threaded=False), Inline(), readers))
        return made[-1]

    yield loops
    for each in made:
        each.close()


def thread(name: str) -> threading.Thread | None:
    return next((each for each in threading.enumerate() if each.name == name), None)


def test_each_connection_has_a_reader_of_its_own(make: Callable[..., Loops]) -> None:
    loops = make()
    readers = [reader(loops, number) for number in (1, 2, 3)]
    names = [each.hear(b"x") for each in readers]
    assert names == ["ksmbd/1-192.0.2.1", "ksmbd/2-192.0.2.2", "ksmbd/3-192.0.2.3"]
    for each, name in zip(readers, names, strict=True):
        running = thread(name)
        assert running is not None
        assert each.hear(b"") == name
        running.join(PATIENCE_S)  # it ends with its connection
        assert not running.is_alive()
        assert each.loop._epoll.closed
        each.near.close()
        each.far.close()


def test_so_many_readers_share_all_connections(make: Callable[..., Loops]) -> None:
    loops = make(2)
    readers = [reader(loops, number) for number in range(1, 6)]
    names = [each.hear(b"x") for each in readers]
    zero, one = "ksmbd/reader-0", "ksmbd/reader-1"
    assert names == [zero, one, zero, one, zero]
    for each in readers:
        each.hear(b"")
        each.near.close()
        each.far.close()
    assert thread(zero) is not None


def test_a_reader_without_a_thread_leaves_nothing_open(
    make: Callable[..., Loops], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Loop, "_start_thread", refuse)
    loop = make().loop_for(1, "192.0.2.1")
    made = Reader(loop)
    with closing(made.near), closing(made.far), pytest.raises(RuntimeError):
        loop.add(made, made.near.fileno())  # type: ignore[arg-type]
    assert loop._epoll.closed
