"""LOCK."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.lock import (
    EXCLUSIVE_LOCK,
    FAIL_IMMEDIATELY,
    LockElement,
    LockRequest,
    LockResponse,
    unpack_elements,
)
from tests.wire.vectors import check, name

ELEMENT = "ffffffffffffff7f 0100000000000000 12000000 00000000"
VECTORS = [
    (
        LockRequest(
            lock_count=2,
            lock_sequence=0x125,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
        ),
        "3000 0200 25010000 140400000c000000 510010000c000000",
    ),
    (
        LockElement(
            offset=0x7FFF_FFFF_FFFF_FFFF, length=1, flags=EXCLUSIVE_LOCK | FAIL_IMMEDIATELY
        ),
        ELEMENT,
    ),
    (LockResponse(), "0400 0000"),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


def test_the_lock_sequence_has_two_parts() -> None:
    request = LockRequest(lock_count=1, lock_sequence=0x125, persistent_id=0, volatile_id=0)
    assert (request.lock_sequence_number, request.lock_sequence_index) == (5, 0x12)


def test_elements_follow_one_another() -> None:
    raw = bytes.fromhex(ELEMENT)
    second = LockElement(offset=5, length=6, flags=4, reserved=0xFFFF_FFFF)
    assert unpack_elements(b"head" + raw + second.pack() + b"tail", 4, 2) == [
        (0x7FFF_FFFF_FFFF_FFFF, 1, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY),
        (5, 6, 4),
    ]
    assert unpack_elements(b"head", 4, 0) == []


@pytest.mark.parametrize(("count", "size"), [(1, 23), (2, 47), (0xFFFF, 48)])
def test_more_elements_than_bytes_are_refused(count: int, size: int) -> None:
    with pytest.raises(WireError):
        unpack_elements(bytes(8 + size), 8, count)
