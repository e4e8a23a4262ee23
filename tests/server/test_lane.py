"""The lane: one kworker at a time, in the order in which requests came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from ksmbd.server.lane import Lane
from ksmbd.server.watchdog import Watchdog

SOON = 30.0


class Kworkers:
    """Who would run what; ``do`` is a kworker."""

    def __init__(self) -> None:
        self.asked: deque[Callable[[], object]] = deque()
        self.closed = False

    def run(self, fn: Callable[..., object], /, *_: object) -> None:
        if self.closed:
            raise RuntimeError("no more")
        self.asked.append(fn)

    def do(self) -> None:
        self.asked.popleft()()


class Bench:
    def __init__(self) -> None:
        self.kworkers = Kworkers()
        self.watchdog = Watchdog(threaded=False)
        self.done: list[Any] = []
        self.during: Callable[[Any], None] = lambda work: None
        self.lane = Lane(self.kworkers, self.watchdog, self._run)

    def _run(self, work: Any) -> None:
        self.during(work)
        self.done.append(work)

    def put(self, *works: Any) -> None:
        for work in works:
            self.lane.put(work)


def test_one_kworker_does_all_in_order() -> None:
    bench = Bench()
    bench.put(1, 2, 3)
    assert len(bench.kworkers.asked) == 1
    bench.kworkers.do()
    assert bench.done == [1, 2, 3]
    assert not bench.watchdog.armed


def test_what_comes_meanwhile_is_done_by_the_same() -> None:
    bench = Bench()
    bench.during = lambda work: bench.put(2) if work == 1 else None
    bench.put(1)
    bench.kworkers.do()
    assert bench.done == [1, 2]
    assert not bench.kworkers.asked


def test_after_the_last_another_kworker_is_asked() -> None:
    bench = Bench()
    for number in (1, 2):
        bench.put(number)
        bench.kworkers.do()
    assert bench.done == [1, 2]


def test_another_kworker_goes_on_when_one_is_held_up() -> None:
    bench = Bench()
    entered, release = threading.Event(), threading.Event()

    def block(work: Any) -> None:
        if work == 1:
            entered.set()
            assert release.wait(SOON)

    bench.during = block
    bench.put(1, 2, 3)
    first = threading.Thread(target=bench.kworkers.do)
    first.start()
    assert entered.wait(SOON)
    for _ in range(2):
        bench.watchdog.tick()
    bench.kworkers.do()
    assert bench.done == [2, 3]
    bench.put(4)
    release.set()
    first.join(SOON)
    assert bench.done == [2, 3, 1]  # whoever was held up leaves the rest to others
    bench.kworkers.do()
    assert bench.done == [2, 3, 1, 4]


def at(bench: Bench, in_order: bool = True) -> Any:
    """The reader is held up at something it runs itself."""
    work: Any = Held()
    bench.lane.at = work
    bench.lane.held_up(lambda frame: in_order)
    return work


class Held:
    frame = b""


def test_what_the_reader_is_held_up_at_comes_first() -> None:
    bench = Bench()
    work = at(bench)
    bench.put(1, 2)
    assert not bench.kworkers.asked
    bench.lane.over(work)
    bench.kworkers.do()
    assert bench.done == [1, 2]


def test_what_has_no_order_holds_up_nothing() -> None:
    bench = Bench()
    work = at(bench, in_order=False)
    bench.put(1)
    bench.kworkers.do()
    bench.lane.over(work)
    assert bench.done == [1]
    assert not bench.kworkers.asked


def test_it_may_be_over_before_the_watchdog_has_told_us() -> None:
    bench = Bench()
    work: Any = Held()
    bench.lane.at = work
    bench.lane.over(work)
    bench.lane.held_up(lambda frame: True)
    bench.put(1)
    bench.kworkers.do()
    assert bench.done == [1]


def test_each_of_several_is_waited_for() -> None:
    bench = Bench()
    first, second = at(bench), at(bench)
    bench.put(1)
    bench.lane.over(second)
    assert not bench.kworkers.asked
    bench.lane.over(first)
    bench.kworkers.do()
    assert bench.done == [1]


def test_without_kworkers_it_is_said() -> None:
    bench = Bench()
    bench.kworkers.closed = True
    with pytest.raises(RuntimeError):
        bench.put(1)
