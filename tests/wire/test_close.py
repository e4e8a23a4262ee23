"""CLOSE: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.close import (
    POSTQUERY_ATTRIB,
    CloseRequest,
    CloseResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        CloseRequest(
            flags=POSTQUERY_ATTRIB, persistent_id=0x0000000C00000414, volatile_id=0x0000000C00100051
        ),
        "1800 0100 00000000 140400000c000000 510010000c000000",
    ),
    (
        CloseResponse(
            flags=POSTQUERY_ATTRIB,
            creation_time=0x01D0F1E2D3C4B5A6,
            last_access_time=0x01D0F1E2D3C4B5A7,
            last_write_time=0x01D0F1E2D3C4B5A8,
            change_time=0x01D0F1E2D3C4B5A9,
            allocation_size=4096,
            end_of_file=22,
            file_attributes=0x20,
        ),
        "3c00 0100 00000000 a6b5c4d3e2f1d001 a7b5c4d3e2f1d001 a8b5c4d3e2f1d001 "
        "a9b5c4d3e2f1d001 0010000000000000 1600000000000000 20000000",
    ),
    (
        CloseResponse(),
        "3c00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
        "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
        "00 00 00 00 00 00",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
