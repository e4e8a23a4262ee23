"""The replay of a CREATE whose response was lost, [MS-SMB2] 3.3.5.9.10.

Only a CREATE with a CreateGuid can be replayed.  Windows answers a replay that comes while the
first one waits in ways that depend on what it waits for; here it is FILE_NOT_AVAILABLE always,
as the specification has it for every open: the client tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ksmbd.commands import create_durable
from ksmbd.state.lease import Lease
from ksmbd.state.open import Open
from ksmbd.state.wait import Wait
from ksmbd.state.work import Work
from ksmbd.wire.create import OPLOCK_LEASE, CreateRequest
from ksmbd.wire.create_context import DURABLE_PERSISTENT, DurableHandleRequestV2
from ksmbd.wire.header import REPLAY
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.commands.create_contexts import Contexts


def concerns(contexts: Contexts) -> bool:
    """Whether the CREATE can be replayed, or be a replay."""
    return type(contexts.durable) is DurableHandleRequestV2


@contextmanager
def under_way(work: Work, req: CreateRequest, contexts: Contexts) -> Iterator[Open | None]:
    """Around such a CREATE: the open that it has made when it came for the first time, or None.

    FILE_NOT_AVAILABLE   the first one is still under way; a persistent open that was used
    DUPLICATE_OBJECTID   the CreateGuid is taken, and this is no replay, or another session's
    ACCESS_DENIED        a replay by another user; with a lease, of an open that has another one
    INVALID_PARAMETER    the open is persistent, and the replay does not ask for that
    """
    asked = contexts.durable
    assert isinstance(asked, DurableHandleRequestV2)
    replays = work.server.replays
    key = work.connection.client_guid, asked.create_guid
    before = replays.begin(work, key)
    if before is not None:
        _check(work, req, before, contexts)
        yield before
        return
    try:
        yield None
    except Wait as wait:  # the same work comes again, unless it is cancelled
        wait.on_cancel = _and(wait.on_cancel, lambda: replays.end(work, key))
        raise
    except BaseException:
        replays.end(work, key)
        raise
    replays.end(work, key)


def _and(first: Callable[[], None] | None, then: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        if first is not None:
            first()
        then()

    return both


def _check(work: Work, req: CreateRequest, open: Open, contexts: Contexts) -> None:
    """Whether the replay may have it; one that is away comes back with it."""
    durable, asked = open.durable, contexts.durable
    assert durable is not None
    assert isinstance(asked, DurableHandleRequestV2)
    if not work.header.flags & REPLAY:
        raise NtStatusError(NtStatus.DUPLICATE_OBJECTID, "the CreateGuid is taken")
    if not durable.replayable:  # smb2.persistent-open.replay-multi
        raise NtStatusError(NtStatus.FILE_NOT_AVAILABLE, "the client has used the open")
    if not durable.away and open.session is not work.session:
        raise NtStatusError(NtStatus.DUPLICATE_OBJECTID, "an open of another session")
    identity = work.the_session().identity
    if durable.owner is None or identity is None or not durable.owner.same_user(identity):
        raise NtStatusError(NtStatus.ACCESS_DENIED, "an open of another user")
    if contexts.lease is not None and req.requested_oplock_level == OPLOCK_LEASE:
        lease = open.holder
        if not isinstance(lease, Lease) or lease.key != contexts.lease.lease_key:
            raise NtStatusError(NtStatus.ACCESS_DENIED, "an open with another lease, or none")
    if durable.persistent and not asked.flags & DURABLE_PERSISTENT:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "the open is persistent")
    if durable.away:
        create_durable.take_back(work, open, durable)
