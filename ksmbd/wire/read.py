"""SMB2 READ, [MS-SMB2] 2.2.19 and 2.2.20."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, u8, u16, u32, u64, wire

# Flags
READ_UNBUFFERED: Final = 0x01
REQUEST_COMPRESSED: Final = 0x02

# Channel, of READ and of WRITE
CHANNEL_NONE: Final = 0x00000000
CHANNEL_RDMA_V1: Final = 0x00000001
CHANNEL_RDMA_V1_INVALIDATE: Final = 0x00000002
CHANNEL_RDMA_TRANSFORM: Final = 0x00000003

DATA_OFFSET: Final = 0x50  # of the data in a response, where every client looks for it


@wire(structure_size=49)
class ReadRequest(Wire):
    """SMB2 READ Request, [MS-SMB2] 2.2.19."""

    padding: u8 = DATA_OFFSET
    flags: u8 = 0
    length: u32  # bytes wanted
    offset: u64  # bytes, into the file
    persistent_id: u64
    volatile_id: u64
    minimum_count: u32 = 0
    channel: u32 = CHANNEL_NONE
    remaining_bytes: u32 = 0
    read_channel_info_offset: u16 = 0
    read_channel_info_length: u16 = 0


@wire(structure_size=17)
class ReadResponse(Wire):
    """SMB2 READ Response, [MS-SMB2] 2.2.20; the data follows."""

    data_offset: u8 = DATA_OFFSET
    reserved: u8 = 0
    data_length: u32
    data_remaining: u32 = 0
    reserved2: u32 = 0
