"""What stands before an encrypted message, [MS-SMB2] 2.2.41, field by field.

The server itself packs and reads it without an object for each message: ``ksmbd.crypto.sealing``.
"""

from __future__ import annotations

from typing import Self

from ksmbd.wire.base import Buffer, Wire, WireError, bytes4, bytes16, u16, u32, u64, wire
from ksmbd.wire.header import TRANSFORM_ENCRYPTED, TRANSFORM_PROTOCOL_ID


@wire()
class TransformHeader(Wire):
    """SMB2 TRANSFORM_HEADER, [MS-SMB2] 2.2.41."""

    protocol_id: bytes4 = TRANSFORM_PROTOCOL_ID
    signature: bytes16 = bytes(16)
    nonce: bytes16 = bytes(16)  # the first 11 (CCM) or 12 (GCM) bytes are used
    original_message_size: u32
    reserved: u16 = 0
    flags: u16 = TRANSFORM_ENCRYPTED
    session_id: u64

    @classmethod
    def parse(cls, buf: Buffer, offset: int = 0) -> Self:
        """Unpack and check ProtocolId and Flags. WireError if either is wrong."""
        header = cls.unpack(buf, offset)
        if header.protocol_id != TRANSFORM_PROTOCOL_ID or header.flags != TRANSFORM_ENCRYPTED:
            raise WireError(f"no transform header: {header.protocol_id.hex()} {header.flags:#x}")
        return header
