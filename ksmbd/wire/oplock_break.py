"""SMB2 OPLOCK_BREAK for oplocks and leases, [MS-SMB2] 2.2.23 to 2.2.25."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, bytes16, u8, u16, u32, u64, wire

# Flags of a lease break notification
ACK_REQUIRED: Final = 0x00000001


@wire(structure_size=24)
class OplockBreakNotification(Wire):
    """SMB2 Oplock Break Notification, [MS-SMB2] 2.2.23.1."""

    oplock_level: u8
    reserved: u8 = 0
    reserved2: u32 = 0
    persistent_id: u64
    volatile_id: u64


@wire(structure_size=24)
class OplockBreakAcknowledgment(Wire):
    """SMB2 Oplock Break Acknowledgment, [MS-SMB2] 2.2.24.1."""

    oplock_level: u8
    reserved: u8 = 0
    reserved2: u32 = 0
    persistent_id: u64
    volatile_id: u64


@wire(structure_size=24)
class OplockBreakResponse(Wire):
    """SMB2 Oplock Break Response, [MS-SMB2] 2.2.25.1."""

    oplock_level: u8
    reserved: u8 = 0
    reserved2: u32 = 0
    persistent_id: u64
    volatile_id: u64


@wire(structure_size=44)
class LeaseBreakNotification(Wire):
    """SMB2 Lease Break Notification, [MS-SMB2] 2.2.23.2; lease states as in ``create_context``."""

    new_epoch: u16 = 0  # 0 for a version 1 lease
    flags: u32 = 0
    lease_key: bytes16
    current_lease_state: u32
    new_lease_state: u32
    break_reason: u32 = 0
    access_mask_hint: u32 = 0
    share_mask_hint: u32 = 0


@wire(structure_size=36)
class LeaseBreakAcknowledgment(Wire):
    """SMB2 Lease Break Acknowledgment, [MS-SMB2] 2.2.24.2."""

    reserved: u16 = 0
    flags: u32 = 0
    lease_key: bytes16
    lease_state: u32
    lease_duration: u64 = 0


@wire(structure_size=36)
class LeaseBreakResponse(Wire):
    """SMB2 Lease Break Response, [MS-SMB2] 2.2.25.2."""

    reserved: u16 = 0
    flags: u32 = 0
    lease_key: bytes16
    lease_state: u32
    lease_duration: u64 = 0
