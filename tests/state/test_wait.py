"""state/wait.py, and Parking of state/work.py: who comes first."""

from __future__ import annotations

import threading
from itertools import permutations
from typing import Any

import pytest

from ksmbd.state.wait import Event, Wait, Wake
from ksmbd.state.work import Parking, Work
from ksmbd.wire.header import Command, Header
from tests.support.engine import Engine

# -- events ------------------------------------------------------------------------------


def test_whoever_subscribed_is_told_once() -> None:
    told: list[int] = []
    event = Event()
    event.subscribe(lambda: told.append(1))
    event.subscribe(lambda: told.append(2))
    assert told == []
    event.fire()
    event.fire()
    assert told == [1, 2]
    assert event.fired


def test_who_comes_late_is_told_at_once() -> None:
    told: list[int] = []
    event = Event()
    event.fire()
    event.subscribe(lambda: told.append(1))
    assert told == [1]


def test_who_unsubscribed_is_not_told() -> None:
    told: list[int] = []

    def callback() -> None:
        told.append(1)

    event = Event()
    event.subscribe(callback)
    event.unsubscribe(callback)
    event.unsubscribe(callback)
    event.fire()
    assert told == []


def test_a_callback_may_use_the_event_itself() -> None:
    event = Event()
    told: list[bool] = []
    event.subscribe(lambda: event.subscribe(lambda: told.append(event.fired)))
    event.fire()
    assert told == [True]


def test_everybody_is_told_once_however_many_fire() -> None:
    for _ in range(50):
        event = Event()
        told: list[int] = []
        barrier = threading.Barrier(4)

        def fire(event: Event = event, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            event.fire()

        def subscribe(
            event: Event = event, barrier: threading.Barrier = barrier, told: list[int] = told
        ) -> None:
            barrier.wait()
            for _ in range(20):
                event.subscribe(lambda: told.append(1))

        threads = [threading.Thread(target=t) for t in (fire, fire, subscribe, subscribe)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(told) == 40


# -- parking -----------------------------------------------------------------------------


class Resumed:
    """Takes the place of the kworkers."""

    def __init__(self) -> None:
        self.wakes: list[Wake] = []

    def __call__(self, parking: Parking, wake: Wake) -> None:
        self.wakes.append(wake)


@pytest.fixture
def work(engine: Engine) -> Work:
    connection, _ = engine.connection()
    made = Work(connection, memoryview(bytearray(68)))
    made.header = Header(command=Command.LOCK, message_id=7)
    return made


def park(work: Work, **changes: Any) -> tuple[Parking, Resumed, bool]:
    resumed = Resumed()
    parking = Parking(work, Wait(Event(), **changes), resumed)
    return parking, resumed, work.park(parking)


ENDS = {
    Wake.FIRED: lambda parking, work: parking.fired(),
    Wake.TIMED_OUT: lambda parking, work: parking.timed_out(),
    Wake.CANCELLED: lambda parking, work: work.cancel(7),
}


@pytest.mark.parametrize("order", list(permutations(ENDS)))
def test_the_first_to_end_the_waiting_decides(work: Work, order: tuple[Wake, ...]) -> None:
    parking, resumed, parked = park(work)
    assert parked
    for wake in order:
        ENDS[wake](parking, work)
    assert resumed.wakes == [order[0]]


def test_a_cancel_before_the_waiting_prevents_it(work: Work) -> None:
    work.cancel(7)
    _, resumed, parked = park(work)
    assert not parked
    assert resumed.wakes == []


def test_a_cancel_of_another_command_of_the_compound_means_nothing(work: Work) -> None:
    work.cancel(6)
    _, resumed, parked = park(work)
    assert parked
    work.cancel(8)
    assert resumed.wakes == []


def test_a_cancel_after_the_waiting_means_nothing(work: Work) -> None:
    parking, resumed, _ = park(work)
    parking.fired()
    work.unpark()
    work.cancel(7)
    assert resumed.wakes == [Wake.FIRED]


def test_a_lost_connection_ends_every_waiting(work: Work) -> None:
    _, resumed, _ = park(work, cancellable=False)
    work.abandon()
    assert resumed.wakes == [Wake.CANCELLED]
    work.unpark()
    assert not park(work, cancellable=False)[2]


def test_what_cannot_be_cancelled_goes_on_waiting(work: Work) -> None:
    work.cancel(7)
    _, resumed, parked = park(work, cancellable=False)
    assert parked
    work.cancel(7)
    assert resumed.wakes == []


def test_one_of_many_threads_ends_the_waiting(work: Work) -> None:
    for _ in range(50):
        work.cancelled = None
        parking, resumed, _ = park(work)
        barrier = threading.Barrier(3)

        def end(
            how: Wake, parking: Parking = parking, barrier: threading.Barrier = barrier
        ) -> None:
            barrier.wait()
            ENDS[how](parking, work)

        threads = [threading.Thread(target=end, args=(how,)) for how in ENDS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(resumed.wakes) == 1
        work.unpark()


# -- the table of requests ---------------------------------------------------------------


def test_a_request_is_found_from_its_arrival_to_its_answer(work: Work) -> None:
    connection = work.connection
    connection.announce(work, [7, 8])
    assert connection.find_request(message_id=7) is work
    assert connection.find_request(message_id=8) is work
    assert connection.find_request(message_id=9) is None
    connection.answered(work, 7, 0)
    assert connection.find_request(message_id=7) is None
    assert connection.find_request(message_id=8) is work


def test_an_id_announced_twice_stays_the_firsts(engine: Engine, work: Work) -> None:
    connection = work.connection
    other = Work(connection, memoryview(bytearray(68)))
    connection.announce(work, [7])
    connection.announce(other, [7])
    assert connection.find_request(message_id=7) is work
    connection.answered(other, 7, 0)
    assert connection.find_request(message_id=7) is work


def test_async_ids_are_never_used_twice(work: Work) -> None:
    connection = work.connection
    seen = set()
    for _ in range(100):
        work.async_id = connection.go_async(work)
        seen.add(work.async_id)
        assert connection.find_request(async_id=work.async_id) is work
        connection.answered(work, 7, 0)
    assert len(seen) == 100
    assert 0 not in seen
