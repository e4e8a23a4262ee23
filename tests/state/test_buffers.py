"""state/buffers.py"""

from __future__ import annotations

import threading

import pytest

from ksmbd.state.buffers import HEADROOM, TAILROOM, Buffers

KIB = 1 << 10
MIB = 1 << 20


@pytest.mark.parametrize("payload", [0, 1, 4096, 32 * KIB, 32 * KIB + 1, MIB, 8 * MIB, 9 * MIB])
def test_there_is_room_for_the_payload_and_what_is_around_it(payload: int) -> None:
    assert len(Buffers().take(payload)) >= HEADROOM + payload + TAILROOM


@pytest.mark.parametrize("payload", [1, 40 * KIB, MIB, 8 * MIB])
def test_a_buffer_is_used_again(payload: int) -> None:
    buffers = Buffers()
    first = buffers.take(payload)
    buffers.give(first)
    assert buffers.take(payload) is first
    assert buffers.take(payload) is not first


def test_a_larger_payload_of_the_same_class_uses_it_too() -> None:
    buffers = Buffers()
    first = buffers.take(33 * KIB)
    buffers.give(first)
    assert buffers.take(64 * KIB) is first


@pytest.mark.parametrize("payload", [64 * KIB, MIB, 8 * MIB])
@pytest.mark.parametrize("around", [64 + 48, 52 + 64 + 48, 52 + 64 + 48 + 32])
def test_the_frame_of_a_write_needs_no_larger_buffer_than_its_data(
    payload: int, around: int
) -> None:
    buffers = Buffers()
    buffer = buffers.take_frame(payload + around)
    assert payload + around <= len(buffer) == len(buffers.take(payload))
    buffers.give(buffer)
    assert buffers.take_frame(payload + around) is buffer


@pytest.mark.parametrize("length", [0, 4, 255, 256, 257, 32 * KIB + 256, 9 * MIB])
def test_a_frame_has_room_whatever_its_length(length: int) -> None:
    assert len(Buffers().take_frame(length)) >= length


def test_nobody_has_the_same_buffer_as_another() -> None:
    buffers = Buffers()
    taken = [buffers.take(100) for _ in range(50)]
    assert len({id(buffer) for buffer in taken}) == 50


def test_no_more_are_kept_than_allowed() -> None:
    buffers = Buffers(max_each=3)
    taken = [buffers.take(100) for _ in range(10)]
    for buffer in taken:
        buffers.give(buffer)
    again = [buffers.take(100) for _ in range(10)]
    assert sum(any(buffer is old for old in taken) for buffer in again) == 3


def test_no_more_bytes_are_kept_than_allowed() -> None:
    buffers = Buffers(max_bytes=3 * MIB)
    taken = [buffers.take(MIB) for _ in range(10)]
    for buffer in taken:
        buffers.give(buffer)
    again = [buffers.take(MIB) for _ in range(10)]
    assert sum(any(buffer is old for old in taken) for buffer in again) == 2


def test_a_buffer_of_no_class_is_not_kept() -> None:
    buffers = Buffers()
    odd = buffers.take(9 * MIB)
    buffers.give(odd)
    buffers.give(bytearray(12345))
    assert buffers.take(9 * MIB) is not odd


def test_what_nobody_needs_from_one_trim_to_the_next_is_let_go() -> None:
    buffers = Buffers(max_bytes=64 * MIB)
    taken = [buffers.take(MIB) for _ in range(3)]
    for buffer in taken:
        buffers.give(buffer)
    buffers.trim()  # all three were needed since the beginning
    needed = buffers.take(MIB)
    assert any(needed is buffer for buffer in taken)
    buffers.give(needed)
    buffers.trim()
    again = [buffers.take(MIB) for _ in range(3)]
    assert [any(buffer is old for old in taken) for buffer in again] == [True, False, False]


def test_room_is_made_for_other_sizes_by_trimming() -> None:
    buffers = Buffers(max_bytes=3 * MIB)
    for buffer in [buffers.take(MIB), buffers.take(MIB)]:
        buffers.give(buffer)
    buffers.trim()
    buffers.trim()
    large = buffers.take(2 * MIB)
    buffers.give(large)
    assert buffers.take(2 * MIB) is large


def test_nothing_is_kept_when_there_are_no_clients() -> None:
    buffers = Buffers()
    first = buffers.take(100)
    buffers.give(first)
    buffers.clear()
    assert buffers.take(100) is not first


def test_threads_share_the_pool() -> None:
    buffers = Buffers()
    wrong: list[int] = []

    def use(number: int) -> None:
        for _ in range(300):
            room = buffers.take(1000)
            room[HEADROOM] = number
            if room[HEADROOM] != number:
                wrong.append(number)
            buffers.give(room)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
