"""The clockwork, driven by a clock of our own and once by the real one."""

from __future__ import annotations

import threading

import pytest

from ksmbd.server.timers import COMPACT_ABOVE, Timers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timers(clock: Clock) -> Timers:
    return Timers(clock, threaded=False)


def test_a_timer_runs_when_its_time_has_come_and_once(timers: Timers, clock: Clock) -> None:
    ran: list[str] = []
    timers.call_later(5, ran.append, "a")
    assert timers.run_due() == 5
    clock.now += 5
    assert timers.run_due() is None
    assert timers.run_due() is None
    assert ran == ["a"]


def test_timers_run_in_order_of_time_then_of_arrival(timers: Timers, clock: Clock) -> None:
    ran: list[int] = []
    for seconds, value in ((3, 1), (1, 2), (3, 3), (2, 4)):
        timers.call_later(seconds, ran.append, value)
    clock.now += 10
    timers.run_due()
    assert ran == [2, 4, 1, 3]


def test_a_cancelled_timer_never_runs(timers: Timers, clock: Clock) -> None:
    ran: list[int] = []
    timer = timers.call_later(1, ran.append, 1)
    assert timer.cancel()
    assert not timer.cancel()
    clock.now += 2
    assert timers.run_due() is None
    assert ran == []


def test_cancel_tells_that_it_came_too_late(timers: Timers, clock: Clock) -> None:
    timer = timers.call_later(0, int)
    timers.run_due()
    assert not timer.cancel()


def test_a_callback_may_set_the_next_timer(timers: Timers, clock: Clock) -> None:
    ran: list[float] = []

    def again() -> None:
        ran.append(clock.now)
        timers.call_later(1, again)

    again()
    for _ in range(3):
        clock.now += 1
        timers.run_due()
    assert ran == [100, 101, 102, 103]


def test_a_failing_callback_is_logged_and_the_others_run(
    timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []
    timers.call_later(0, int, "x")
    timers.call_later(0, ran.append, 1)
    timers.run_due()
    assert ran == [1]
    assert "a bug in the server" in caplog.text


def test_dead_entries_do_not_pile_up(timers: Timers) -> None:
    kept = timers.call_later(1000, int)
    for _ in range(50 * COMPACT_ABOVE):
        timers.call_later(35, int).cancel()
    assert len(timers._heap) <= COMPACT_ABOVE + 2
    assert timers.pending() == 1
    assert kept.cancel()
    assert timers.pending() == 0


def test_after_close_nothing_runs(timers: Timers, clock: Clock) -> None:
    ran: list[int] = []
    old = timers.call_later(1, ran.append, 1)
    timers.close()
    timers.call_later(0, ran.append, 2)
    clock.now += 5
    timers.run_due()
    assert ran == []
    assert not old.cancel()


def test_the_thread_starts_with_the_first_timer_and_fires_it() -> None:
    timers = Timers()
    assert timers._thread is None
    late, soon = threading.Event(), threading.Event()
    timers.call_later(3600, late.set)
    timers.call_later(0.001, soon.set)  # sooner than what the thread sleeps for
    assert soon.wait(30)
    assert not late.is_set()
    timers.close()
    assert timers._thread is not None
    assert not timers._thread.is_alive()


def test_close_from_a_callback_does_not_wait_for_itself() -> None:
    timers = Timers()
    closed = threading.Event()

    def close() -> None:
        timers.close()
        closed.set()

    timers.call_later(0, close)
    assert closed.wait(30)


def test_cancelling_while_firing_runs_each_timer_at_most_once() -> None:
    timers = Timers()
    ran: list[int] = []
    made = [timers.call_later(0.0001 * (n % 7), ran.append, n) for n in range(500)]
    cancelled = {n for n, timer in enumerate(made) if timer.cancel()}
    done = threading.Event()
    timers.call_later(0.05, done.set)
    assert done.wait(30)
    timers.close()
    assert len(ran) == len(set(ran))
    assert set(ran) | cancelled == set(range(500))
    assert not set(ran) & cancelled
