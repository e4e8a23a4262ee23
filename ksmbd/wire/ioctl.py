"""SMB2 IOCTL, [MS-SMB2] 2.2.31 and 2.2.32; the control codes are in ``fsctl``."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, u16, u32, u64, wire

IS_FSCTL: Final = 0x00000001
BUFFER_OFFSET: Final = 112  # of the buffers in a response


@wire(structure_size=57)
class IoctlRequest(Wire):
    """SMB2 IOCTL Request, [MS-SMB2] 2.2.31; the input buffer follows."""

    reserved: u16 = 0
    ctl_code: u32
    persistent_id: u64
    volatile_id: u64
    input_offset: u32 = 0  # bytes, from the start of the SMB2 header
    input_count: u32 = 0
    max_input_response: u32 = 0
    output_offset: u32 = 0
    output_count: u32 = 0
    max_output_response: u32 = 0
    flags: u32 = IS_FSCTL
    reserved2: u32 = 0


@wire(structure_size=49)
class IoctlResponse(Wire):
    """SMB2 IOCTL Response, [MS-SMB2] 2.2.32; the output buffer follows."""

    reserved: u16 = 0
    ctl_code: u32
    persistent_id: u64
    volatile_id: u64
    input_offset: u32 = BUFFER_OFFSET
    input_count: u32 = 0
    output_offset: u32 = BUFFER_OFFSET
    output_count: u32 = 0
    flags: u32 = 0
    reserved2: u32 = 0
