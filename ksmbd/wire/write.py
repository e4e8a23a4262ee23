"""SMB2 WRITE, [MS-SMB2] 2.2.21 and 2.2.22."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, u16, u32, u64, wire

# Flags
WRITE_THROUGH: Final = 0x00000001
WRITE_UNBUFFERED: Final = 0x00000002

APPEND_OFFSET: Final = 0xFFFF_FFFF_FFFF_FFFF  # Offset that means the end of the file


@wire(structure_size=49)
class WriteRequest(Wire):
    """SMB2 WRITE Request, [MS-SMB2] 2.2.21; the data follows."""

    data_offset: u16  # bytes, from the start of the SMB2 header
    length: u32  # bytes of data
    offset: u64  # bytes, into the file
    persistent_id: u64
    volatile_id: u64
    channel: u32 = 0
    remaining_bytes: u32 = 0
    write_channel_info_offset: u16 = 0
    write_channel_info_length: u16 = 0
    flags: u32 = 0


@wire(structure_size=17)
class WriteResponse(Wire):
    """SMB2 WRITE Response, [MS-SMB2] 2.2.22."""

    reserved: u16 = 0
    count: u32  # bytes written
    remaining: u32 = 0
    write_channel_info_offset: u16 = 0
    write_channel_info_length: u16 = 0
