"""Where connections are placed: a thread each that may lend, or so many loops for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ksmbd.server.loops import Loops
from ksmbd.server.watchdog import Watchdog


class Inline:
    """Kworkers that work at once."""

    def run(self, fn: Callable[..., object], /, *args: object) -> None:
        fn(*args)


@pytest.fixture
def make() -> Iterator[Callable[[int], Loops]]:
    made: list[Loops] = []

    def loops(readers: int) -> Loops:
        made.append(Loops(Watchdog(threaded=False), Inline(), readers))
        return made[-1]

    yield loops
    for each in made:
        each.close()


def test_each_connection_has_a_thread_and_all_have_one_loop_to_lend_to(
    make: Callable[[int], Loops],
) -> None:
    loops = make(0)
    places = [loops.place(number, f"192.0.2.{number}") for number in range(5)]
    assert len({id(loop) for loop, _ in places}) == 1
    assert len({id(thread) for _, thread in places}) == 5
    assert all(thread is not None for _, thread in places)


def test_so_many_readers_share_all_connections(make: Callable[[int], Loops]) -> None:
    loops = make(2)
    places = [loops.place(number, "192.0.2.1") for number in range(5)]
    zero, one = places[0][0], places[1][0]
    assert zero is not one
    assert [loop for loop, _ in places] == [zero, one, zero, one, zero]
    assert {thread for _, thread in places} == {None}


def test_all_share_the_spare_receive_buffers(make: Callable[[int], Loops]) -> None:
    for readers in (0, 3):
        loops = make(readers)
        assert loops.place(1, "192.0.2.1")[0].spare is loops.spare
