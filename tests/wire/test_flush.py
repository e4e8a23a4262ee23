"""FLUSH: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.flush import (
    FULL_SYNC,
    FlushRequest,
    FlushResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        FlushRequest(
            reserved1=FULL_SYNC, persistent_id=0x0000000C00000414, volatile_id=0x0000000C00100051
        ),
        "1800 ffff 00000000 140400000c000000 510010000c000000",
    ),
    (
        FlushResponse(),
        "0400 0000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
