"""LOCK requests that come a second time, [MS-SMB2] 3.3.5.14: Open.LockSequenceArray.

A client numbers its LOCKs in buckets, one request at a time in each.  The number it sent last in a
bucket is a replay if that request succeeded: it is answered, and not done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ksmbd.wire.negotiate import CAP_MULTI_CHANNEL, SMB_2_1

if TYPE_CHECKING:
    from ksmbd.state.connection import Connection
    from ksmbd.state.open import Open
    from ksmbd.wire.lock import LockRequest

BUCKETS: Final = 64  # from 1 on; what is in none is done always


def counts(connection: Connection, open: Open, req: LockRequest) -> bool:
    """Whether it is in a bucket: only opens that another connection may go on with have any."""
    if not 1 <= req.lock_sequence >> 4 <= BUCKETS or connection.dialect < SMB_2_1:
        return False
    if connection.server_capabilities & CAP_MULTI_CHANNEL:
        return True
    return open.durable is not None and open.durable.reconnectable


def replayed(open: Open, req: LockRequest) -> bool:
    """Whether one that counts was done before; if not, its bucket is empty from now on."""
    done = open.lock_sequences
    if done is None:
        return False
    if done.get(req.lock_sequence_index) == req.lock_sequence_number:
        return True
    done.pop(req.lock_sequence_index, None)
    return False


def succeeded(open: Open, req: LockRequest) -> None:
    """Know one that counts again when it comes once more."""
    if open.lock_sequences is None:
        open.lock_sequences = {}
    open.lock_sequences[req.lock_sequence_index] = req.lock_sequence_number
