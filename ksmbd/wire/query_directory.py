"""SMB2 QUERY_DIRECTORY, [MS-SMB2] 2.2.33 and 2.2.34; the entries are in ``dir_info``."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, u8, u16, u32, u64, wire

# Flags
RESTART_SCANS: Final = 0x01
RETURN_SINGLE_ENTRY: Final = 0x02
INDEX_SPECIFIED: Final = 0x04
REOPEN: Final = 0x10

BUFFER_OFFSET: Final = 72  # of the entries in a response


@wire(structure_size=33)
class QueryDirectoryRequest(Wire):
    """SMB2 QUERY_DIRECTORY Request, [MS-SMB2] 2.2.33; the search pattern follows."""

    file_information_class: u8
    flags: u8 = 0
    file_index: u32 = 0
    persistent_id: u64
    volatile_id: u64
    file_name_offset: u16  # bytes, from the start of the SMB2 header
    file_name_length: u16
    output_buffer_length: u32


@wire(structure_size=9)
class QueryDirectoryResponse(Wire):
    """SMB2 QUERY_DIRECTORY Response, [MS-SMB2] 2.2.34; the entries follow."""

    output_buffer_offset: u16 = BUFFER_OFFSET
    output_buffer_length: u32
