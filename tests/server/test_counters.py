"""What each thread counts of requests, and the sum of it."""

from __future__ import annotations

import threading

import pytest

from ksmbd.server.counters import BOUNDS, COMMANDS, WIDTH, WRITTEN, Counters, Counts
from ksmbd.wire.header import Command
from ksmbd.wire.status import NtStatus


def bucket(counters: Counters, command: int) -> int:
    """The only bucket of *command* that has something."""
    row = counters.buckets[command * WIDTH : (command + 1) * WIDTH]
    (found,) = (index for index, count in enumerate(row) if count)
    return found


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, 0),
        (BOUNDS[0], 0),
        (BOUNDS[0] + 1, 1),
        (BOUNDS[-1], WIDTH - 2),
        (BOUNDS[-1] + 1, WIDTH - 1),
    ],
)
def test_a_bound_belongs_to_the_bucket_below_it(ns: int, expected: int) -> None:
    counters = Counters()
    counters.request(Command.READ, ns, 0)
    assert bucket(counters, Command.READ) == expected
    assert counters.ns[Command.READ] == ns


def test_commands_that_do_not_exist_share_a_row() -> None:
    counters = Counters()
    counters.request(0xFFFF, 1, NtStatus.INVALID_PARAMETER)
    assert bucket(counters, COMMANDS) == 0
    assert counters.statuses == {NtStatus.INVALID_PARAMETER: 1}


def test_what_threads_have_counted_is_added_up_though_they_have_ended() -> None:
    counts = Counts()

    def work() -> None:
        mine = counts.mine
        mine.request(Command.WRITE, 5, NtStatus.DISK_FULL)
        mine.share("data")[WRITTEN] += 10

    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    work()
    total = counts.total()
    assert total.ns[Command.WRITE] == 20
    assert total.statuses == {NtStatus.DISK_FULL: 4}
    assert total.shares == {"data": [0, 0, 40]}
    assert counts.total().ns == total.ns  # looking changes nothing


def test_there_are_no_more_lists_than_threads() -> None:
    counts = Counts()
    for _ in range(20):
        thread = threading.Thread(target=lambda: counts.mine.request(0, 1, 0))
        thread.start()
        thread.join()
    assert len(counts._threads) <= 2
    assert counts.total().ns[0] == 20
