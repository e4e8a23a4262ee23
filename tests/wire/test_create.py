"""CREATE: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.create import (
    IMPERSONATION,
    OPLOCK_BATCH,
    OPLOCK_LEASE,
    REPARSEPOINT,
    CreateRequest,
    CreateResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        CreateRequest(
            requested_oplock_level=OPLOCK_BATCH,
            impersonation_level=IMPERSONATION,
            desired_access=0x00100081,
            file_attributes=0x80,
            share_access=7,
            create_disposition=1,
            create_options=0x20,
            name_offset=0x78,
            name_length=14,
            create_contexts_offset=0x88,
            create_contexts_length=0x30,
        ),
        "3900 00 09 02000000 0000000000000000 0000000000000000 81001000 80000000 07000000 "
        "01000000 20000000 7800 0e00 88000000 30000000",
    ),
    (
        CreateResponse(
            oplock_level=OPLOCK_LEASE,
            flags=REPARSEPOINT,
            create_action=2,
            creation_time=0x01D0F1E2D3C4B5A6,
            last_access_time=0x01D0F1E2D3C4B5A7,
            last_write_time=0x01D0F1E2D3C4B5A8,
            change_time=0x01D0F1E2D3C4B5A9,
            allocation_size=4096,
            end_of_file=22,
            file_attributes=0x20,
            persistent_id=0x0000000C00000414,
            volatile_id=0x0000000C00100051,
            create_contexts_offset=0x98,
            create_contexts_length=0x38,
        ),
        "5900 ff 01 02000000 a6b5c4d3e2f1d001 a7b5c4d3e2f1d001 a8b5c4d3e2f1d001 "
        "a9b5c4d3e2f1d001 0010000000000000 1600000000000000 20000000 00000000 "
        "140400000c000000 510010000c000000 98000000 38000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
