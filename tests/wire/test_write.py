"""WRITE: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.write import (
    APPEND_OFFSET,
    WRITE_THROUGH,
    WriteRequest,
    WriteResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        WriteRequest(
            data_offset=0x70,
            length=22,
            offset=0x1234ABCD,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
        ),
        "3100 7000 16000000 cdab341200000000 140400000c000000 510010000c000000 00000000 "
        "00000000 0000 0000 00000000",
    ),
    (
        WriteRequest(
            data_offset=0x80,
            length=0,
            offset=APPEND_OFFSET,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
            channel=1,
            remaining_bytes=64,
            write_channel_info_offset=112,
            write_channel_info_length=16,
            flags=WRITE_THROUGH,
        ),
        "3100 8000 00000000 ffffffffffffffff 140400000c000000 510010000c000000 01000000 "
        "40000000 7000 1000 01000000",
    ),
    (
        WriteResponse(count=0xBEEFBAAF),
        "1100 0000 afbaefbe 00000000 0000 0000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
