"""SMB2 OPLOCK_BREAK acknowledgments, [MS-SMB2] 3.3.5.22."""

from __future__ import annotations

from ksmbd.state.holder import LEVEL_OF
from ksmbd.state.work import Reply, Work
from ksmbd.wire.create import OPLOCK_LEASE
from ksmbd.wire.oplock_break import (
    LeaseBreakAcknowledgment,
    LeaseBreakResponse,
    OplockBreakAcknowledgment,
    OplockBreakResponse,
)
from ksmbd.wire.status import NtStatus, NtStatusError


def oplock_break(work: Work, req: OplockBreakAcknowledgment | LeaseBreakAcknowledgment) -> Reply:
    """Take an acknowledgment: whoever waited for it goes on, or the next step is asked for.

    INVALID_PARAMETER         no oplock level, or that of a lease, for an oplock
    FILE_CLOSED               the FileId names no open of this session
    INVALID_OPLOCK_PROTOCOL   the open has no oplock; or a level it was not offered
    INVALID_DEVICE_STATE      its oplock is not being broken
    OBJECT_NAME_NOT_FOUND     the client has no lease of that key
    UNSUCCESSFUL              the lease is not being broken
    REQUEST_NOT_ACCEPTED      more than the lease was asked to go down to
    """
    if isinstance(req, LeaseBreakAcknowledgment):
        work.server.caching.acknowledge_lease(work, req.lease_key, req.lease_state)
        return Reply(LeaseBreakResponse(lease_key=req.lease_key, lease_state=req.lease_state))
    open = work.open(req.persistent_id, req.volatile_id)
    level = LEVEL_OF.get(req.oplock_level)
    if level is None:
        if req.oplock_level == OPLOCK_LEASE:
            work.server.caching.give_up_oplock(open)
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"oplock level {req.oplock_level:#x}")
    work.server.caching.acknowledge_oplock(work, open, level)
    return Reply(
        OplockBreakResponse(
            oplock_level=req.oplock_level,
            persistent_id=open.persistent_id,
            volatile_id=open.volatile_id,
        )
    )
