"""READ: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.read import (
    CHANNEL_RDMA_V1,
    READ_UNBUFFERED,
    ReadRequest,
    ReadResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        ReadRequest(
            flags=READ_UNBUFFERED,
            length=0x10000,
            offset=0x1234ABCD,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
            minimum_count=1,
            channel=CHANNEL_RDMA_V1,
            remaining_bytes=5,
            read_channel_info_offset=112,
            read_channel_info_length=16,
        ),
        "3100 50 01 00000100 cdab341200000000 140400000c000000 510010000c000000 01000000 "
        "01000000 05000000 7000 1000",
    ),
    (
        ReadResponse(data_length=22, data_remaining=3),
        "1100 50 00 16000000 03000000 00000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
