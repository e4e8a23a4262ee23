"""Durable handles in CREATE: granting them, and giving them back to their clients.

[MS-SMB2] 3.3.5.9.6 and .10 (requests), 3.3.5.9.7 and .12 (reconnects).
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple, NoReturn

from ksmbd.state import channel_sequence
from ksmbd.state.durable import V1_S, AppInstance, Durable, Stamp
from ksmbd.state.inode import Inode, Inodes
from ksmbd.state.lease import Lease
from ksmbd.state.open import Open
from ksmbd.state.wait import Wait
from ksmbd.state.work import Work
from ksmbd.vfs.handle import Handle
from ksmbd.wire import create_context as wire
from ksmbd.wire.create import CreateRequest
from ksmbd.wire.create_context import LEASE_HANDLE
from ksmbd.wire.negotiate import CAP_PERSISTENT_HANDLES
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import from_utf16

log = logging.getLogger("ksmbd.smb")

_DEFAULT_MS: Final = 60_000  # if the client leaves it to us; both as Windows has it
_PERSISTENT_MS: Final = 180_000  # a server takes longer to come back than a connection
_LONGEST_MS: Final = 300_000
_NEWS_S: Final = 2.0  # how long the end of a connection may take to be noticed

_V2: Final = wire.DurableHandleRequestV2
_C2: Final = wire.DurableHandleReconnectV2

Request = wire.DurableHandleRequest | wire.DurableHandleRequestV2
Reconnect = wire.DurableHandleReconnect | wire.DurableHandleReconnectV2


# -- requests ----------------------------------------------------------------------------


def grant(
    work: Work, open: Open, asked: Request | None, app: AppInstance | None, action: int
) -> None:
    """Make the open durable if it may keep its file; with a CreateGuid it can be replayed, too."""
    granted = (
        work.the_tree().share.durable_handles
        and not open.is_directory
        and open.holder is not None
        and bool(open.holder.level & LEASE_HANDLE)
    )
    if app is None and (asked is None or not (granted or isinstance(asked, _V2))):
        return
    durable = Durable(work.the_session().identity, work.connection.client_guid)
    if isinstance(asked, _V2):
        durable.timeout_s = min(asked.timeout or _DEFAULT_MS, _LONGEST_MS) / 1000
        durable.create_guid = asked.create_guid
        durable.replayable = True
    else:
        durable.timeout_s = V1_S
    durable.granted = granted and asked is not None
    durable.app_instance = app
    durable.create_action = action
    open.durable = durable
    if isinstance(asked, _V2) and asked.flags & wire.DURABLE_PERSISTENT:
        _make_persistent(work, open, durable, asked.timeout)
    work.server.durables.register(open)
    if durable.replayable:
        work.server.replays.keep(open)


def _make_persistent(work: Work, open: Open, durable: Durable, timeout_ms: int) -> None:
    """Whatever it caches, it outlives the server from now on; where that cannot be, it does not."""
    owner = durable.owner
    if not may_persist(work) or open.is_directory or owner is None or not owner.can_sign:
        return
    durable.persistent = True
    durable.timeout_s = min(timeout_ms or _PERSISTENT_MS, _LONGEST_MS) / 1000
    if not work.server.persistence.keep(open):
        durable.persistent = False
    elif open.holder is not None:
        open.holder.persistent = True


def may_persist(work: Work) -> bool:
    """Whether the client and the share have persistent handles."""
    capable = work.connection.server_capabilities & CAP_PERSISTENT_HANDLES
    share = work.the_tree().share
    return bool(capable) and share.continuous_availability and share.durable_handles


def answer(durable: Durable, asked: Request) -> list[tuple[bytes, bytes]]:
    """The response's context, [MS-SMB2] 2.2.14.2.3 and .12; none if nothing was granted."""
    if not durable.granted and not durable.persistent:
        return []
    if isinstance(asked, wire.DurableHandleRequest):
        return [(wire.DURABLE_HANDLE_REQUEST, wire.DurableHandleResponse().pack())]
    flags = wire.DURABLE_PERSISTENT if durable.persistent else 0
    response = wire.DurableHandleResponseV2(timeout=round(durable.timeout_s * 1000), flags=flags)
    return [(wire.DURABLE_HANDLE_REQUEST_V2, response.pack())]


def make_way(inodes: Inodes, inode: Inode, handle: Handle) -> None:
    """FILE_NOT_AVAILABLE if a persistent open of the file is away, 3.3.5.9; the handle is closed.

    Whoever wants the file may try again when its client is back, or is not expected any more.
    """
    with inode.lock:
        away = any(
            open.durable is not None and open.durable.persistent and open.durable.away
            for open in inode.opens
        )
    if away:
        inodes.drop(inode)
        handle.close()
        raise NtStatusError(NtStatus.FILE_NOT_AVAILABLE, "a persistent open is away")


# -- reconnects --------------------------------------------------------------------------


class Claim(NamedTuple):
    """A reconnect: which open, and what its client says of it."""

    asked: Reconnect
    lease: wire.RequestLease | wire.RequestLeaseV2 | None


def reconnect(work: Work, req: CreateRequest, claim: Claim) -> Open:
    """Give an open that is away back to its client.

    What the request says besides of access, options and disposition means nothing, and neither
    does its name, but for a lease's.

    OBJECT_NAME_NOT_FOUND   there is none to be had: no such open, or it is not away; another
                            share, CreateGuid, ClientGuid, or lease; the file is another one now
    INVALID_PARAMETER       a lease, and not its file's name; wanted as a persistent one
    ACCESS_DENIED           another user
    """
    open = work.server.durables.find(claim.asked.persistent_id) or _by_guid(work, claim.asked)
    if open is None or open.durable is None or not open.durable.reconnectable:
        _not_found("no such durable open")
    tree = work.the_tree()
    if not open.tree.share.is_same(tree.share):
        _not_found("of another share")
    durable = open.durable
    _check_kind(work, durable, claim.asked)
    _check_lease(work, req, open, claim)
    identity = work.the_session().identity
    owns = durable.owner is not None and identity is not None and durable.owner.same_user(identity)
    if not durable.away:
        _await(work, open, owns)
    if not owns:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "a durable open of another user")
    take_back(work, open, durable)
    return open


def take_back(work: Work, open: Open, durable: Durable) -> None:
    """An open that is away belongs to the request's session and tree from now on.

    OBJECT_NAME_NOT_FOUND   the file is another one now; somebody was faster
    """
    _check_file(work, open, durable)
    work.server.durables.reclaim(work, work.the_tree(), open)
    channel_sequence.begin_again(open, work.header.channel_sequence)
    log.info("%s: %s is back", work.connection.peer, open.path)


def _await(work: Work, open: Open, owns: bool) -> None:
    """Its client may be faster than the news that its old connection is lost."""
    if not owns or open.session is work.session or work.wake is not None:
        _not_found("its client has it")
    given_up = work.server.durables.expect(open)
    if given_up is not None:
        raise Wait(given_up, timeout_s=_NEWS_S, interim=False)


def _not_found(why: str) -> NoReturn:
    raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, why)


def _by_guid(work: Work, asked: Reconnect) -> Open | None:
    """A persistent open whose FileId the client has not got."""
    if isinstance(asked, _C2) and asked.flags & wire.DURABLE_PERSISTENT and may_persist(work):
        return work.server.replays.find((work.connection.client_guid, asked.create_guid))
    return None


def _check_kind(work: Work, durable: Durable, asked: Reconnect) -> None:
    """An open of version 1 has no CreateGuid, which is zero then: smb2.durable-open.reopen2-lease.

    One of version 2 comes back to a reconnect of version 1, too: smb2.durable-v2-open.reopen2b.
    """
    if not isinstance(asked, _C2):
        if durable.persistent:
            _not_found("a persistent open")
        return
    if asked.create_guid != (durable.create_guid or bytes(16)):
        _not_found("another CreateGuid")
    persistent = bool(asked.flags & wire.DURABLE_PERSISTENT) and may_persist(work)
    if durable.persistent and not persistent:
        _not_found("a persistent open")
    if persistent and not durable.persistent:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "not a persistent open")


def _check_lease(work: Work, req: CreateRequest, open: Open, claim: Claim) -> None:
    """A lease is its client's, and must be named; an oplock is whoever's knows the FileId."""
    lease = open.holder
    if not isinstance(lease, Lease):
        if claim.lease is not None:
            _not_found("it has no lease")
        return
    if lease.client_guid != work.connection.client_guid:
        _not_found("a lease of another client")
    if claim.lease is None or claim.lease.lease_key != lease.key:
        _not_found("another lease")
    if lease.version != (1 if isinstance(claim.lease, wire.RequestLease) else 2):
        _not_found("a lease of another version")
    if _name(work, req) != open.full_name.casefold():
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "not the name of the lease's file")


def _name(work: Work, req: CreateRequest) -> str:
    raw = work.buffer(req.name_offset, req.name_length, after=CreateRequest.SIZE)
    if len(raw) % 2:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "a name of an odd length")
    return from_utf16(raw).replace("\\", "/").casefold().removesuffix(":$data")


def _check_file(work: Work, open: Open, durable: Durable) -> None:
    """Local processes break nothing: see whether they have moved or changed the file."""
    if open.inode is not None and open.inode.deleted:
        return
    changed = False
    if durable.stamp is not None and not durable.lasting:
        changed = durable.stamp != Stamp.of(open)
    if changed or not _in_place(open):
        work.server.durables.lose(open)
        _not_found("the file was changed meanwhile")


def _in_place(open: Open) -> bool:
    try:
        with open.file.root.resolve(open.path) as entry:
            st = entry.stat
    except OSError as gone:
        log.debug("%s: %s", open.path, gone)
        return False
    return st is not None and (st.dev, st.ino) == (open.file.dev, open.file.ino)
