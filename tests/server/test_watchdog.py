"""The watchdog: two ticks at the same work item, sleep without traffic."""

from __future__ import annotations

import threading

from ksmbd.server.watchdog import RUNNING_TICKS, Watchdog, can_run

SOON = 30.0


class Role:
    def __init__(self, thread: int = 0) -> None:
        self.thread = thread
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


def test_who_could_run_is_not_held_up_so_soon() -> None:
    """A processor is all it lacks: another thread would be one more that lacks it."""
    asked: list[int] = []

    def runs(thread: int) -> bool:
        asked.append(thread)
        return True

    watchdog, role = Watchdog(threaded=False, can_run=runs), Role(7)
    watchdog.armed[role] = 1
    for _ in range(RUNNING_TICKS - 1):
        watchdog.tick()
    assert not role.promoted.is_set()
    assert asked == [7] * (RUNNING_TICKS - 2)  # not at the first tick
    watchdog.tick()
    assert role.promoted.is_set()


def test_who_has_gone_on_meanwhile_is_not_held_up() -> None:
    def goes_on(thread: int) -> bool:
        watchdog.armed[role] += 1
        return False

    watchdog, role = Watchdog(threaded=False, can_run=goes_on), Role()
    watchdog.armed[role] = 1
    for _ in range(2 * RUNNING_TICKS):
        watchdog.tick()
    assert not role.promoted.is_set()


def test_who_could_run_is_known_from_the_kernel() -> None:
    assert can_run(threading.get_native_id())
    entered, release = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert release.wait(SOON)

    thread = threading.Thread(target=wait)
    thread.start()
    assert entered.wait(SOON)
    turn = threading.Event()
    for _ in range(10_000):
        if not can_run(thread.native_id or 0):
            break
        turn.wait(0.001)
    assert not can_run(thread.native_id or 0)
    release.set()
    thread.join(SOON)
    assert not can_run(1)  # none of ours


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
