"""TREE_CONNECT and TREE_DISCONNECT: golden bytes by the figures of the specification."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.tree_connect import (
    EXTENSION_PRESENT,
    SHARE_CAP_CONTINUOUS_AVAILABILITY,
    SHARE_PIPE,
    SHAREFLAG_NO_CACHING,
    TreeConnectExtension,
    TreeConnectRequest,
    TreeConnectResponse,
    TreeDisconnectRequest,
    TreeDisconnectResponse,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        TreeConnectRequest(flags=EXTENSION_PRESENT, path_offset=72, path_length=26),
        "0900 0400 4800 1a00",
    ),
    (
        TreeConnectExtension(tree_connect_context_offset=16, tree_connect_context_count=1),
        "10000000 0100 0000 0000000000000000",
    ),
    (
        TreeConnectResponse(
            share_type=SHARE_PIPE,
            share_flags=SHAREFLAG_NO_CACHING,
            capabilities=SHARE_CAP_CONTINUOUS_AVAILABILITY,
            maximal_access=0x001F01FF,
        ),
        "1000 02 00 30000000 10000000 ff011f00",
    ),
    (
        TreeDisconnectRequest(),
        "0400 0000",
    ),
    (
        TreeDisconnectResponse(),
        "0400 0000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)
