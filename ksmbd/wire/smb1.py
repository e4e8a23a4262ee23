"""SMB_COM_NEGOTIATE, the one SMB1 message a client may begin with.

[MS-SMB2] 3.3.5.3, [MS-CIFS] 2.2.4.52.
"""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.header import SMB1_PROTOCOL_ID

HEADER_SIZE: Final = 32
SMB_COM_NEGOTIATE: Final = 0x72
DIALECT_BUFFER_FORMAT: Final = 0x02

SMB_2_002: Final = "SMB 2.002"
SMB_2_WILDCARD: Final = "SMB 2.???"

_FLAGS: Final = 9
_REPLY: Final = 0x80


def unpack_negotiate(message: Buffer) -> list[str]:
    """The dialect strings a client offers.

    WireError if it is another command, a reply, or if WordCount, ByteCount, or any string is
    not exactly what the message holds.
    """
    raw = bytes(message)
    if len(raw) < HEADER_SIZE + 3 or raw[:4] != SMB1_PROTOCOL_ID:
        raise WireError("no SMB1 header")
    if raw[4] != SMB_COM_NEGOTIATE or raw[_FLAGS] & _REPLY:
        raise WireError(f"SMB1 command {raw[4]:#04x}")
    words = raw[HEADER_SIZE]
    count = int.from_bytes(raw[HEADER_SIZE + 1 : HEADER_SIZE + 3], "little")
    if words or count != len(raw) - HEADER_SIZE - 3:
        raise WireError(f"WordCount {words}, ByteCount {count} of {len(raw)} bytes")
    return _dialects(raw[HEADER_SIZE + 3 :])


def _dialects(raw: bytes) -> list[str]:
    """Each string is a 02 byte, ASCII, and a NUL; there is at least one."""
    if not raw.endswith(b"\0"):
        raise WireError("dialect without its NUL")
    names = []
    for item in raw[:-1].split(b"\0"):
        if item[:1] != b"\x02" or not item.isascii():
            raise WireError(f"dialect {item[:16].hex()}")
        names.append(item[1:].decode("ascii"))
    return names
