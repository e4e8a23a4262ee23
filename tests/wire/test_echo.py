"""ECHO: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.echo import (
    EchoRequest,
    EchoResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        EchoRequest(),
        "0400 0000",
    ),
    (
        EchoResponse(),
        "0400 0000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
