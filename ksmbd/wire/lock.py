"""SMB2 LOCK, [MS-SMB2] 2.2.26 and 2.2.27."""

from __future__ import annotations

import struct
from typing import Final

from ksmbd.wire.base import Buffer, Wire, WireError, u16, u32, u64, wire

# Flags of a lock element
SHARED_LOCK: Final = 0x00000001
EXCLUSIVE_LOCK: Final = 0x00000002
UNLOCK: Final = 0x00000004
FAIL_IMMEDIATELY: Final = 0x00000010

_ELEMENT: Final = struct.Struct("<QQI4x")


@wire(structure_size=48)
class LockRequest(Wire):
    """SMB2 LOCK Request, [MS-SMB2] 2.2.26; the elements follow, the first counted in the 48."""

    lock_count: u16
    lock_sequence: u32 = 0  # number in the low 4 bits, index in the rest
    persistent_id: u64
    volatile_id: u64

    @property
    def lock_sequence_number(self) -> int:
        return self.lock_sequence & 0xF

    @property
    def lock_sequence_index(self) -> int:
        return self.lock_sequence >> 4


@wire()
class LockElement(Wire):
    """SMB2_LOCK_ELEMENT, [MS-SMB2] 2.2.26.1."""

    offset: u64
    length: u64
    flags: u32
    reserved: u32 = 0


@wire(structure_size=4)
class LockResponse(Wire):
    """SMB2 LOCK Response, [MS-SMB2] 2.2.27."""

    reserved: u16 = 0


Element = tuple[int, int, int]  # Offset, Length, Flags of a LockElement


def unpack_elements(buf: Buffer, offset: int, count: int) -> list[Element]:
    """The *count* elements at *offset*.

    WireError if they do not fit; nothing is built for a count the bytes cannot hold.
    """
    if offset + count * LockElement.SIZE > len(buf):
        raise WireError(f"{count} lock elements in {len(buf) - offset} bytes")
    return [_ELEMENT.unpack_from(buf, offset + n * LockElement.SIZE) for n in range(count)]
