from __future__ import annotations

import threading

from ksmbd.state.tally import Event, Tally


def test_events_are_told_apart_by_kind_and_label() -> None:
    tally = Tally()
    tally.count(Event.LOGGED_ON)
    tally.count(Event.BREAK, "lease")
    tally.count(Event.BREAK, "lease")
    tally.count(Event.BREAK, "oplock")
    assert tally.of(Event.BREAK) == {"lease": 2, "oplock": 1}
    assert tally.of(Event.LOGGED_ON) == {"": 1}
    assert tally.of(Event.BREAK_UNANSWERED) == {}


def test_no_count_of_many_threads_is_lost() -> None:
    tally = Tally()
    threads = [
        threading.Thread(target=lambda: [tally.count(Event.LOGGED_ON) for _ in range(1000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.of(Event.LOGGED_ON) == {"": 4000}
