"""SMB2 OPLOCK_BREAK acknowledgments, [MS-SMB2] 3.3.5.22.

This server grants no oplocks and no leases yet, so that it never breaks one and no
acknowledgment can be right; each gets the status the specification has for that.
"""

from __future__ import annotations

from ksmbd.state.work import Reply, Work
from ksmbd.wire.create import OPLOCK_LEASE
from ksmbd.wire.oplock_break import LeaseBreakAcknowledgment, OplockBreakAcknowledgment
from ksmbd.wire.status import NtStatus, NtStatusError


def oplock_break(work: Work, req: OplockBreakAcknowledgment | LeaseBreakAcknowledgment) -> Reply:
    """Take an acknowledgment.

    OBJECT_NAME_NOT_FOUND     no lease has the key
    INVALID_PARAMETER         the level of a lease in an oplock's acknowledgment
    FILE_CLOSED               the FileId names no open of this session
    INVALID_OPLOCK_PROTOCOL   the open has no oplock, and none is being broken
    """
    if isinstance(req, LeaseBreakAcknowledgment):
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, f"lease {req.lease_key.hex()}")
    if req.oplock_level == OPLOCK_LEASE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "a lease level for an oplock")
    work.open(req.persistent_id, req.volatile_id)
    raise NtStatusError(NtStatus.INVALID_OPLOCK_PROTOCOL, "no break in progress")
