"""SMB2 SESSION_SETUP, [MS-SMB2] 2.2.5 and 2.2.6."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, u8, u16, u32, u64, wire

# Flags
BINDING: Final = 0x01

# SessionFlags
IS_GUEST: Final = 0x0001
IS_NULL: Final = 0x0002
ENCRYPT_DATA: Final = 0x0004


@wire(structure_size=25)
class SessionSetupRequest(Wire):
    """SMB2 SESSION_SETUP Request, [MS-SMB2] 2.2.5; the security buffer follows."""

    flags: u8 = 0
    security_mode: u8 = 0
    capabilities: u32 = 0
    channel: u32 = 0
    security_buffer_offset: u16  # bytes, from the start of the SMB2 header
    security_buffer_length: u16
    previous_session_id: u64 = 0


@wire(structure_size=9)
class SessionSetupResponse(Wire):
    """SMB2 SESSION_SETUP Response, [MS-SMB2] 2.2.6; the security buffer follows."""

    session_flags: u16 = 0
    security_buffer_offset: u16 = 72
    security_buffer_length: u16 = 0
