"""QUERY_INFO: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.query_info import INFO_SECURITY, RESTART_SCAN, QueryInfoRequest, QueryInfoResponse
from ksmbd.wire.security import (
    DACL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        QueryInfoRequest(
            info_type=INFO_SECURITY,
            file_info_class=0,
            output_buffer_length=1024,
            input_buffer_offset=104,
            input_buffer_length=8,
            additional_information=OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
            flags=RESTART_SCAN,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
        ),
        "2900 03 00 00040000 6800 0000 08000000 05000000 01000000 140400000c000000 "
        "510010000c000000",
    ),
    (
        QueryInfoResponse(output_buffer_length=40),
        "0900 4800 28000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
