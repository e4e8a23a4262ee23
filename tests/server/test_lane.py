"""The lane: one kworker at a time, in the order in which requests came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ksmbd.server.lane import PATIENCE, Lane
from ksmbd.server.watchdog import Watchdog

SOON = 30.0


class Kworkers:
    """Who would run what; ``do`` is a kworker."""

    def __init__(self) -> None:
        self.asked: deque[Callable[[], object]] = deque()
        self.closed = False

    def run(self, fn: Callable[..., object], /, *args: object) -> None:
        if self.closed:
            raise RuntimeError("no more")
        self.asked.append(partial(fn, *args))

    def do(self) -> None:
        self.asked.popleft()()


class Bench:
    def __init__(self) -> None:
        self.kworkers = Kworkers()
        self.watchdog = Watchdog(threaded=False, can_run=lambda thread: False)
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


def held_up_at(bench: Bench, *works: Any) -> tuple[threading.Thread, threading.Event]:
    """A kworker that gets no further than the first of these, and what lets it go on."""
    entered, release = threading.Event(), threading.Event()

    def block(work: Any) -> None:
        if work == works[0]:
            entered.set()
            assert release.wait(SOON)

    bench.during = block
    bench.put(*works)
    kworker = threading.Thread(target=bench.kworkers.do)
    kworker.start()
    assert entered.wait(SOON)
    return kworker, release


def test_a_kworker_that_gets_no_processor_keeps_its_turn() -> None:
    bench = Bench()
    kworker, release = held_up_at(bench, 1, 2)
    for _ in range(PATIENCE):  # the first has nothing to compare with
        bench.watchdog.tick()
    assert not bench.kworkers.asked
    release.set()
    kworker.join(SOON)
    assert bench.done == [1, 2]


def test_its_patience_begins_anew_with_each_work() -> None:
    bench = Bench()

    def late(_work: Any) -> None:
        for _ in range(PATIENCE):
            bench.watchdog.tick()

    bench.during = late
    bench.put(1, 2, 3)
    bench.kworkers.do()
    assert bench.done == [1, 2, 3]
    assert not bench.kworkers.asked


def test_another_kworker_goes_on_when_one_is_held_up() -> None:
    bench = Bench()
    kworker, release = held_up_at(bench, 1, 2, 3)
    for _ in range(PATIENCE + 1):
        bench.watchdog.tick()
    bench.kworkers.do()
    assert bench.done == [2, 3]
    bench.put(4)
    release.set()
    kworker.join(SOON)
    assert bench.done == [2, 3, 1]  # whoever was held up leaves the rest to others
    bench.kworkers.do()
    assert bench.done == [2, 3, 1, 4]


def test_with_nothing_behind_it_no_other_kworker_is_asked() -> None:
    bench = Bench()
    kworker, release = held_up_at(bench, 1)
    for _ in range(PATIENCE + 1):
        bench.watchdog.tick()
    assert not bench.kworkers.asked
    bench.put(2)
    bench.kworkers.do()
    release.set()
    kworker.join(SOON)
    assert bench.done == [2, 1]


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
