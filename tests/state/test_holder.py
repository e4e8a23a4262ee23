"""state/holder.py: levels on the wire, and the clock of a break."""

from __future__ import annotations

import pytest

from ksmbd.state.holder import LEVEL_OF, OPLOCK_OF, Break, Holder
from ksmbd.state.inode import Inode
from ksmbd.state.oplock import BATCH, EXCLUSIVE, II, NONE
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_EXCLUSIVE, OPLOCK_II, OPLOCK_LEASE, OPLOCK_NONE


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize(
    ("level", "rights"),
    [
        (OPLOCK_NONE, NONE),
        (OPLOCK_II, II),
        (OPLOCK_EXCLUSIVE, EXCLUSIVE),
        (OPLOCK_BATCH, BATCH),
    ],
)
def test_a_level_is_a_set_of_rights_and_back(level: int, rights: int) -> None:
    assert LEVEL_OF[level] == rights
    assert OPLOCK_OF[rights] == level
    assert OPLOCK_LEASE not in LEVEL_OF


def test_the_end_of_a_break_stops_its_clock_and_wakes_who_waits() -> None:
    pending, timer = Break(), Timer()
    woken: list[int] = []
    pending.over.subscribe(lambda: woken.append(1))
    pending.set_timer(timer)
    assert not timer.cancelled
    pending.end()
    assert timer.cancelled
    assert woken == [1]


def test_each_question_has_its_own_time() -> None:
    pending, first, second = Break(), Timer(), Timer()
    pending.set_timer(first)
    pending.set_timer(second)
    assert first.cancelled
    assert not second.cancelled


def test_a_clock_that_comes_after_the_end_does_not_run() -> None:
    pending, timer = Break(), Timer()
    pending.end()
    pending.set_timer(timer)
    assert timer.cancelled


def test_an_oplock_tells_the_log_of_its_file() -> None:
    assert str(Holder(Inode((1, 42)), BATCH)) == "oplock 7 of inode 42"
