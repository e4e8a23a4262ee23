"""The watchdog: two ticks at the same work item, sleep without traffic."""

from __future__ import annotations

import threading

from ksmbd.server.watchdog import Watchdog

SOON = 30.0


class Role:
    def __init__(self) -> None:
        self.promoted = threading.Event()

    def promote(self) -> None:
        self.promoted.set()


def test_the_same_item_at_two_ticks_is_a_hold_up() -> None:
    watchdog, role = Watchdog(threaded=False), Role()
    watchdog.armed[role] = 1
    assert watchdog.tick()
    assert not role.promoted.is_set()
    assert watchdog.tick()
    assert role.promoted.is_set()
    assert watchdog.armed == {}


def test_another_item_of_the_same_reader_is_none() -> None:
    watchdog, role = Watchdog(threaded=False), Role()
    for item in range(1, 10):
        watchdog.armed[role] = item
        watchdog.tick()
        assert watchdog.armed.pop(role) == item
    assert not role.promoted.is_set()


def test_the_thread_sleeps_without_work_and_wakes_for_it() -> None:
    watchdog = Watchdog(tick_s=0.0001)
    turn = threading.Event()
    for _ in range(3):
        role = Role()
        watchdog.armed[role] = 1
        if watchdog.asleep:
            watchdog.wake()
        assert role.promoted.wait(SOON)
        for _ in range(10_000):
            if watchdog.asleep:
                break
            turn.wait(0.001)
        assert watchdog.asleep
    watchdog.close()
    assert "ksmbd/watchdog" not in {thread.name for thread in threading.enumerate()}


def test_a_closed_watchdog_starts_no_thread() -> None:
    watchdog = Watchdog()
    watchdog.close()
    watchdog.wake()
    assert watchdog._looker is None
