"""SMB2 SET_INFO, [MS-SMB2] 2.2.39 and 2.2.40; InfoType as in ``query_info``."""

from __future__ import annotations

from ksmbd.wire.base import Wire, u8, u16, u32, u64, wire


@wire(structure_size=33)
class SetInfoRequest(Wire):
    """SMB2 SET_INFO Request, [MS-SMB2] 2.2.39; the information follows."""

    info_type: u8
    file_info_class: u8
    buffer_length: u32
    buffer_offset: u16  # bytes, from the start of the SMB2 header
    reserved: u16 = 0
    additional_information: u32 = 0
    persistent_id: u64
    volatile_id: u64


@wire(structure_size=2)
class SetInfoResponse(Wire):
    """SMB2 SET_INFO Response, [MS-SMB2] 2.2.40: StructureSize and nothing else."""
