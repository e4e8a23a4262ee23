"""SMB2 CLOSE, [MS-SMB2] 2.2.15 and 2.2.16."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, filetime, u16, u32, u64, wire

POSTQUERY_ATTRIB: Final = 0x0001


@wire(structure_size=24)
class CloseRequest(Wire):
    """SMB2 CLOSE Request, [MS-SMB2] 2.2.15."""

    flags: u16 = 0
    reserved: u32 = 0
    persistent_id: u64
    volatile_id: u64


@wire(structure_size=60)
class CloseResponse(Wire):
    """SMB2 CLOSE Response, [MS-SMB2] 2.2.16; all zero unless POSTQUERY_ATTRIB is set."""

    flags: u16 = 0
    reserved: u32 = 0
    creation_time: filetime = 0
    last_access_time: filetime = 0
    last_write_time: filetime = 0
    change_time: filetime = 0
    allocation_size: u64 = 0
    end_of_file: u64 = 0
    file_attributes: u32 = 0
