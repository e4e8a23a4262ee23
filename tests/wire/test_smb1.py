"""SMB_COM_NEGOTIATE."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import WireError
from ksmbd.wire.smb1 import SMB_2_002, SMB_2_WILDCARD, unpack_negotiate

HEADER = bytes.fromhex(
    "ff534d42 72 00000000 18 53c8 0000 0000000000000000 0000 ffff fffe 0000 0000"
)


def message(dialects: bytes, *, header: bytes = HEADER, words: int = 0, count: int = -1) -> bytes:
    length = len(dialects) if count < 0 else count
    return header + bytes([words]) + length.to_bytes(2, "little") + dialects


OFFER = b"\x02NT LM 0.12\0\x02SMB 2.002\0\x02SMB 2.???\0"


def test_the_header_is_32_bytes() -> None:
    assert len(HEADER) == 32


def test_the_dialects_are_read_in_order() -> None:
    assert unpack_negotiate(message(OFFER)) == ["NT LM 0.12", SMB_2_002, SMB_2_WILDCARD]
    assert unpack_negotiate(memoryview(message(OFFER)))[2] == "SMB 2.???"


def changed(at: int, byte: int) -> bytes:
    raw = bytearray(HEADER)
    raw[at] = byte
    return bytes(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        HEADER,
        message(OFFER)[:-1],
        message(OFFER) + b"\0",
        message(OFFER, words=1),
        message(OFFER, count=len(OFFER) + 1),
        message(OFFER, count=len(OFFER) - 1),
        message(OFFER, header=changed(0, 0xFE)),
        message(OFFER, header=changed(4, 0x73)),  # SESSION_SETUP_ANDX
        message(OFFER, header=changed(9, 0x98)),  # a reply
        message(b""),
        message(b"\0"),
        message(b"\x02SMB 2.002"),  # without NUL
        message(b"\x03SMB 2.002\0"),
        message(b"SMB 2.002\0"),
        message(b"\x02SMB 2.002\0\0"),
        message(b"\x02SMB\xff\0"),
    ],
)
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(WireError):
        unpack_negotiate(raw)


def test_every_truncation_is_refused() -> None:
    raw = message(OFFER)
    for length in range(len(raw)):
        with pytest.raises(WireError):
            unpack_negotiate(raw[:length])
