"""SESSION_SETUP: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.session_setup import (
    BINDING,
    ENCRYPT_DATA,
    SessionSetupRequest,
    SessionSetupResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        SessionSetupRequest(
            flags=BINDING,
            security_mode=2,
            capabilities=1,
            channel=0,
            security_buffer_offset=88,
            security_buffer_length=74,
            previous_session_id=0x1122334455667788,
        ),
        "1900 01 02 01000000 00000000 5800 4a00 8877665544332211",
    ),
    (
        SessionSetupResponse(session_flags=ENCRYPT_DATA, security_buffer_length=9),
        "0900 0400 4800 0900",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
