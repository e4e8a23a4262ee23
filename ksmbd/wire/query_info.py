"""SMB2 QUERY_INFO, [MS-SMB2] 2.2.37 and 2.2.38."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, u8, u16, u32, u64, wire

# InfoType, of QUERY_INFO and of SET_INFO
INFO_FILE: Final = 1
INFO_FILESYSTEM: Final = 2
INFO_SECURITY: Final = 3
INFO_QUOTA: Final = 4

# Flags for FileFullEaInformation
RESTART_SCAN: Final = 0x00000001
RETURN_SINGLE_ENTRY: Final = 0x00000002
INDEX_SPECIFIED: Final = 0x00000004

BUFFER_OFFSET: Final = 72  # of the information in a response


@wire(structure_size=41)
class QueryInfoRequest(Wire):
    """SMB2 QUERY_INFO Request, [MS-SMB2] 2.2.37; the input buffer follows."""

    info_type: u8
    file_info_class: u8
    output_buffer_length: u32
    input_buffer_offset: u16 = 0  # bytes, from the start of the SMB2 header
    reserved: u16 = 0
    input_buffer_length: u32 = 0
    additional_information: u32 = 0
    flags: u32 = 0
    persistent_id: u64
    volatile_id: u64


@wire(structure_size=9)
class QueryInfoResponse(Wire):
    """SMB2 QUERY_INFO Response, [MS-SMB2] 2.2.38; the information follows."""

    output_buffer_offset: u16 = BUFFER_OFFSET
    output_buffer_length: u32
