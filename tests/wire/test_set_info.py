"""SET_INFO: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.set_info import (
    SetInfoRequest,
    SetInfoResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        SetInfoRequest(
            info_type=1,
            file_info_class=20,
            buffer_length=8,
            buffer_offset=96,
            additional_information=4,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
        ),
        "2100 01 14 08000000 6000 0000 04000000 140400000c000000 510010000c000000",
    ),
    (
        SetInfoResponse(),
        "0200",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
