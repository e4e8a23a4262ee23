"""Offloaded copies on the wire."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.offload import (
    TOKEN_OURS,
    TOKEN_ZERO,
    OffloadReadInput,
    OffloadReadOutput,
    OffloadWriteInput,
    OffloadWriteOutput,
    pack_token,
    unpack_token,
)

ID = bytes(range(32))
TOKEN = bytes.fromhex("4b534d42 0000 01f8") + ID + bytes(472)


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        (
            OffloadReadInput(token_time_to_live=1000, file_offset=512, copy_length=1024),
            "20000000 00000000 e8030000 00000000 0002000000000000 0004000000000000",
        ),
        (
            OffloadReadOutput(transfer_length=1024, token=TOKEN),
            "10020000 00000000 0004000000000000" + TOKEN.hex(),
        ),
        (
            OffloadWriteInput(file_offset=1, copy_length=2, transfer_offset=3, token=TOKEN),
            "20020000 00000000 0100000000000000 0200000000000000 0300000000000000" + TOKEN.hex(),
        ),
        (OffloadWriteOutput(length_written=512), "10000000 00000000 0002000000000000"),
    ],
)
def test_the_structures(value: Wire, packed: str) -> None:
    raw = bytes.fromhex(packed)
    assert value.pack() == raw
    assert type(value).unpack(raw) == value
    assert int.from_bytes(raw[:4], "little") == len(raw)
    with pytest.raises(WireError):
        type(value).unpack(raw[:-1])


def test_a_token_of_ours() -> None:
    assert pack_token(ID) == TOKEN
    assert unpack_token(TOKEN) == (TOKEN_OURS, ID)
    assert unpack_token(memoryview(TOKEN)) == (TOKEN_OURS, ID)


def test_the_well_known_token_of_zeros() -> None:
    raw = bytes.fromhex("ffff0001 0000 01f8") + bytes(504)
    assert unpack_token(raw) == (TOKEN_ZERO, bytes(32))
