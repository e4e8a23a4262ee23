"""OPLOCK_BREAK: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.oplock_break import (
    ACK_REQUIRED,
    LeaseBreakAcknowledgment,
    LeaseBreakNotification,
    LeaseBreakResponse,
    OplockBreakAcknowledgment,
    OplockBreakNotification,
    OplockBreakResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        OplockBreakNotification(
            oplock_level=1, persistent_id=0x0000000C00000414, volatile_id=0x0000000C00100051
        ),
        "1800 01 00 00000000 140400000c000000 510010000c000000",
    ),
    (
        OplockBreakAcknowledgment(
            oplock_level=1, persistent_id=0x0000000C00000414, volatile_id=0x0000000C00100051
        ),
        "1800 01 00 00000000 140400000c000000 510010000c000000",
    ),
    (
        OplockBreakResponse(
            oplock_level=1, persistent_id=0x0000000C00000414, volatile_id=0x0000000C00100051
        ),
        "1800 01 00 00000000 140400000c000000 510010000c000000",
    ),
    (
        LeaseBreakNotification(
            new_epoch=2,
            flags=ACK_REQUIRED,
            lease_key=bytes(range(16)),
            current_lease_state=7,
            new_lease_state=3,
        ),
        "2c00 0200 01000000 000102030405060708090a0b0c0d0e0f 07000000 03000000 00000000 "
        "00000000 00000000",
    ),
    (
        LeaseBreakAcknowledgment(lease_key=bytes(range(16)), lease_state=3),
        "2400 0000 00000000 000102030405060708090a0b0c0d0e0f 03000000 0000000000000000",
    ),
    (
        LeaseBreakResponse(lease_key=bytes(range(16)), lease_state=3),
        "2400 0000 00000000 000102030405060708090a0b0c0d0e0f 03000000 0000000000000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
