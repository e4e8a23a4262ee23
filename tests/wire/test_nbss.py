"""The four bytes before each message."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import WireError
from ksmbd.wire.nbss import MAX_LENGTH, pack_length, unpack_length


@pytest.mark.parametrize(
    ("length", "hexbytes"), [(0, "00000000"), (0x10203, "00010203"), (MAX_LENGTH, "00ffffff")]
)
def test_the_length_is_big_endian_in_24_bits(length: int, hexbytes: str) -> None:
    assert pack_length(length).hex() == hexbytes
    assert unpack_length(bytes.fromhex(hexbytes)) == length
    assert unpack_length(memoryview(bytes.fromhex("ff" + hexbytes)), 1) == length


@pytest.mark.parametrize("hexbytes", ["", "00", "000102", "81000044", "ff000000"])
def test_a_short_prefix_or_another_packet_type_is_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        unpack_length(bytes.fromhex(hexbytes))


@pytest.mark.parametrize("length", [-1, MAX_LENGTH + 1])
def test_no_longer_message_can_be_sent(length: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        pack_length(length)
