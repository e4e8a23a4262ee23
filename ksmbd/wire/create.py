"""SMB2 CREATE, [MS-SMB2] 2.2.13 and 2.2.14; the masks are in ``access``."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, filetime, u8, u16, u32, u64, wire

# RequestedOplockLevel and OplockLevel
OPLOCK_NONE: Final = 0x00
OPLOCK_II: Final = 0x01
OPLOCK_EXCLUSIVE: Final = 0x08
OPLOCK_BATCH: Final = 0x09
OPLOCK_LEASE: Final = 0xFF

# ImpersonationLevel
ANONYMOUS: Final = 0
IDENTIFICATION: Final = 1
IMPERSONATION: Final = 2
DELEGATE: Final = 3

# Response Flags, 3.x
REPARSEPOINT: Final = 0x01


@wire(structure_size=57)
class CreateRequest(Wire):
    """SMB2 CREATE Request, [MS-SMB2] 2.2.13; name and create contexts follow."""

    security_flags: u8 = 0
    requested_oplock_level: u8 = OPLOCK_NONE
    impersonation_level: u32 = IMPERSONATION
    smb_create_flags: u64 = 0
    reserved: u64 = 0
    desired_access: u32
    file_attributes: u32 = 0
    share_access: u32
    create_disposition: u32
    create_options: u32 = 0
    name_offset: u16  # bytes, from the start of the SMB2 header
    name_length: u16
    create_contexts_offset: u32 = 0  # bytes, from the start of the SMB2 header
    create_contexts_length: u32 = 0


@wire(structure_size=89)
class CreateResponse(Wire):
    """SMB2 CREATE Response, [MS-SMB2] 2.2.14; create contexts follow."""

    oplock_level: u8 = OPLOCK_NONE
    flags: u8 = 0
    create_action: u32
    creation_time: filetime
    last_access_time: filetime
    last_write_time: filetime
    change_time: filetime
    allocation_size: u64
    end_of_file: u64
    file_attributes: u32
    reserved2: u32 = 0
    persistent_id: u64
    volatile_id: u64
    create_contexts_offset: u32 = 0
    create_contexts_length: u32 = 0
