"""What a CREATE wants to cache: an oplock level, or a lease in an RqLs context.

[MS-SMB2] 3.3.5.9 (oplocks), 3.3.5.9.8 and 3.3.5.9.11 (leases).
"""

from __future__ import annotations

from ksmbd.state.connection import Connection
from ksmbd.state.holder import LEVEL_OF
from ksmbd.state.lease import LeaseWish
from ksmbd.state.local_opens import Wish
from ksmbd.state.work import Work
from ksmbd.wire.create import OPLOCK_LEASE, CreateRequest
from ksmbd.wire.create_context import LEASE_PARENT_KEY_SET, RequestLease, RequestLeaseV2
from ksmbd.wire.negotiate import CAP_DIRECTORY_LEASING, CAP_LEASING, SMB_3_0

NOTHING: Wish = 0


def wish(work: Work, req: CreateRequest, lease: RequestLease | RequestLeaseV2 | None) -> Wish:
    """What the request asks for, as far as the share and the connection have it.

    A lease context counts only with the oplock level that says so, and the other way round.
    """
    if not work.the_tree().share.oplocks:
        return NOTHING
    if req.requested_oplock_level != OPLOCK_LEASE:
        return LEVEL_OF.get(req.requested_oplock_level, NOTHING)
    connection = work.connection
    if lease is None or not connection.server_capabilities & CAP_LEASING:
        return NOTHING
    if isinstance(lease, RequestLease):
        return LeaseWish(lease.lease_key, lease.lease_state, version=1)
    if connection.dialect < SMB_3_0:
        return NOTHING
    parent = lease.parent_lease_key if lease.lease_flags & LEASE_PARENT_KEY_SET else None
    return LeaseWish(lease.lease_key, lease.lease_state, 2, lease.epoch, parent)


def fitting(connection: Connection, wanted: Wish, *, directory: bool) -> Wish:
    """What of it can be meant for what was opened: directories have leases of version 2 only."""
    if not directory:
        return wanted
    leased = isinstance(wanted, LeaseWish) and wanted.version == 2
    return wanted if leased and connection.server_capabilities & CAP_DIRECTORY_LEASING else NOTHING
