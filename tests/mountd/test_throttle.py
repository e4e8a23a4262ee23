"""mountd/throttle.py: how fast passwords can be guessed, by one host and by many."""

from __future__ import annotations

import itertools

import pytest

from mountd.throttle import MAX_HOLD_S, MAX_RECORDS, Throttle
from tests.mountd.fakes import Clock

HERE, THERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def guess(throttle: Throttle, account: str = "alice", peer: str = HERE) -> bool:
    """One wrong password; whether it was looked at."""
    if throttle.admit(account, peer) is None:
        return False
    throttle.failed(account, peer)
    return True


def guesses(throttle: Throttle, count: int, account: str = "alice", peer: str = HERE) -> int:
    """So many at once; how many were looked at."""
    return sum(guess(throttle, account, peer) for _ in range(count))


def test_some_wrong_passwords_are_free(throttle: Throttle) -> None:
    assert [throttle.admit("alice", HERE) for _ in range(100)] == [0.0] * 100
    assert guesses(throttle, 10) == 10


def test_then_each_takes_twice_as_long_as_the_one_before(throttle: Throttle, clock: Clock) -> None:
    guesses(throttle, 10)
    moments = []
    for _ in range(1000):
        hold = throttle.admit("alice", HERE)
        if hold is not None:
            moments.append(clock.now + hold)
        clock.now += 0.5
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert gaps[:8] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_thousand_at_once_are_no_faster_than_one_after_the_other(throttle: Throttle) -> None:
    assert guesses(throttle, 1000) == 10 + 3  # in the time that clients may wait: 0, 1, 3 seconds


def test_in_an_hour_of_guessing_in_parallel_there_are_some_seventy(
    throttle: Throttle, clock: Clock
) -> None:
    looked_at = 0
    for _ in range(3600):
        looked_at += guesses(throttle, 5)
        clock.now += 1
    assert looked_at <= 10 + 6 + 3600 / 60 + 2


def test_a_right_password_ends_it_for_the_account_there(throttle: Throttle) -> None:
    guesses(throttle, 11)
    throttle.succeeded("Alice", HERE)
    assert throttle.admit("alice", HERE) == 0.0
    assert guesses(throttle, 10) == 10


def test_others_are_not_held_up(throttle: Throttle) -> None:
    guesses(throttle, 30)
    assert throttle.admit("alice", HERE) is None
    assert throttle.admit("alice", THERE) == 0.0
    assert throttle.admit("bob", HERE) == 0.0


def test_trying_many_accounts_from_one_address_is_slow(throttle: Throttle) -> None:
    tried = sum(guess(throttle, f"user{number}") for number in range(1000))
    assert tried == 50 + 1 + MAX_HOLD_S
    assert throttle.admit("bob", HERE) is None
    assert throttle.admit("bob", THERE) == 0.0


def test_trying_an_account_from_many_addresses_is_slow(throttle: Throttle) -> None:
    tried = sum(guess(throttle, "alice", f"10.0.{n >> 8}.{n & 255}") for n in range(1000))
    assert tried == 100 + 1 + MAX_HOLD_S
    assert throttle.admit("bob", "10.0.0.1") == 0.0


def test_the_addresses_of_an_ipv6_network_are_one(throttle: Throttle) -> None:
    tried = sum(guess(throttle, "alice", f"2001:db8::{n:x}") for n in range(1, 500))
    assert tried == 13


def test_nobody_else_locks_out_who_logged_on_from_there_before(throttle: Throttle) -> None:
    throttle.succeeded("alice", HERE)
    for number in range(1000):
        guess(throttle, "alice", f"10.0.{number >> 8}.{number & 255}")
        guess(throttle, f"user{number}", HERE)
    assert throttle.admit("alice", THERE) is None
    assert throttle.admit("bob", HERE) is None
    assert throttle.admit("alice", HERE) == 0.0
    assert guesses(throttle, 100) == 13


def test_a_right_password_from_elsewhere_gets_through_in_the_end(
    throttle: Throttle, clock: Clock
) -> None:
    for number in range(1000):
        guess(throttle, "alice", f"10.0.{number >> 8}.{number & 255}")
    assert throttle.admit("alice", THERE) is None
    clock.now += 1
    assert throttle.admit("alice", THERE) is not None


def test_failures_are_forgotten(throttle: Throttle, clock: Clock) -> None:
    guesses(throttle, 12)
    clock.now += 301
    assert throttle.admit("alice", HERE) == 0.0
    assert guesses(throttle, 10) == 10
    clock.now += 299
    assert throttle.admit("alice", HERE) == 0.0
    assert throttle.admit("alice", HERE) == 1.0


def test_it_can_be_turned_off(throttle: Throttle) -> None:
    throttle.configure(0, 300)
    assert guesses(throttle, 1000) == 1000
    assert throttle.sizes() == (0, 0, 0, 0)


def test_memory_is_bounded(throttle: Throttle) -> None:
    for number in range(MAX_RECORDS + 500):
        peer = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        throttle.failed(f"user{number}", peer)
        throttle.succeeded(f"other{number}", peer)
    assert throttle.sizes() == (MAX_RECORDS,) * 4


def test_the_log_says_once_who_is_slowed_down(
    throttle: Throttle, caplog: pytest.LogCaptureFixture
) -> None:
    guesses(throttle, 40)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"of 'alice' from {HERE}" in record.getMessage()
