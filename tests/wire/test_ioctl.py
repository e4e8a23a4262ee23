"""IOCTL: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.ioctl import (
    IoctlRequest,
    IoctlResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        IoctlRequest(
            ctl_code=0x0011C017,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
            input_offset=120,
            input_count=44,
            max_output_response=1024,
        ),
        "3900 0000 17c01100 140400000c000000 510010000c000000 78000000 2c000000 00000000 "
        "00000000 00000000 00040000 01000000 00000000",
    ),
    (
        IoctlResponse(
            ctl_code=0x0011C017,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
            output_count=68,
        ),
        "3100 0000 17c01100 140400000c000000 510010000c000000 70000000 00000000 70000000 "
        "44000000 00000000 00000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
