"""The four bytes before each message on direct TCP, [MS-SMB2] 2.1."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Buffer, WireError

PREFIX_SIZE: Final = 4
MAX_LENGTH: Final = 0xFF_FFFF


def pack_length(length: int) -> bytes:
    """One zero byte, then *length* (0..MAX_LENGTH) in 24 bits, big-endian."""
    if not 0 <= length <= MAX_LENGTH:
        raise ValueError(f"message of {length} bytes")
    return length.to_bytes(PREFIX_SIZE, "big")


def unpack_length(buf: Buffer, offset: int = 0) -> int:
    """Bytes of the message after the prefix at *offset*.

    WireError if the prefix is short or its first byte is not zero.
    """
    if len(buf) - offset < PREFIX_SIZE:
        raise WireError("short length prefix")
    if buf[offset]:
        raise WireError(f"length prefix begins with {buf[offset]:#04x}")
    return int.from_bytes(buf[offset + 1 : offset + PREFIX_SIZE], "big")
