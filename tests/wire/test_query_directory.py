"""QUERY_DIRECTORY: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.query_directory import (
    REOPEN,
    RESTART_SCANS,
    QueryDirectoryRequest,
    QueryDirectoryResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        QueryDirectoryRequest(
            file_information_class=37,
            flags=RESTART_SCANS | REOPEN,
            file_index=3,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
            file_name_offset=96,
            file_name_length=2,
            output_buffer_length=0x10000,
        ),
        "2100 25 11 03000000 140400000c000000 510010000c000000 6000 0200 00000100",
    ),
    (
        QueryDirectoryResponse(output_buffer_length=216),
        "0900 4800 d8000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
