"""SMB2 FLUSH, [MS-SMB2] 2.2.17 and 2.2.18."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, u16, u32, u64, wire

FULL_SYNC: Final = 0xFFFF  # Reserved1 of macOS' F_FULLFSYNC


@wire(structure_size=24)
class FlushRequest(Wire):
    """SMB2 FLUSH Request, [MS-SMB2] 2.2.17."""

    reserved1: u16 = 0
    reserved2: u32 = 0
    persistent_id: u64
    volatile_id: u64


@wire(structure_size=4)
class FlushResponse(Wire):
    """SMB2 FLUSH Response, [MS-SMB2] 2.2.18."""

    reserved: u16 = 0
