"""The create contexts: read all, honour what there is something behind, answer those.

[MS-SMB2] 2.2.13.2, 3.3.5.9.1 and following.  Unknown contexts are ignored, as the specification
says, and so are those of features that were not negotiated (POSIX) and those that the dialect has
not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ksmbd.commands import create_aapl, create_durable
from ksmbd.state import apple_ids, rights
from ksmbd.state.audit import Decision
from ksmbd.state.local_opens import Wish
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.stat import Stat
from ksmbd.wire import create_context as wire
from ksmbd.wire import posix
from ksmbd.wire.access import FILE_NO_EA_KNOWLEDGE
from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.create import CreateRequest
from ksmbd.wire.file_chains import flagged_eas, unpack_full_eas
from ksmbd.wire.negotiate import SMB_3_0, SMB_3_1_1
from ksmbd.wire.security import SecurityDescriptor
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import filetime_from_ns


class Contexts:
    """What the contexts of one CREATE ask for, and what became of it."""

    __slots__ = (
        "aapl", "allocation", "app_instance_id", "app_instance_version", "decision", "durable",
        "eas", "found", "lease", "maximal_access", "needed_eas", "on_disk_id", "posix_mode",
        "reconnect", "security", "timestamp", "timewarp", "wish",
    )  # fmt: skip

    def __init__(self) -> None:
        self.aapl: wire.AaplQuery | wire.AaplResolveId | None = None
        self.eas: list[tuple[str, bytes]] = []
        self.needed_eas: frozenset[str] = frozenset()
        self.security: SecurityDescriptor | None = None
        self.allocation = 0  # bytes to reserve
        self.maximal_access = False
        self.timestamp = 0  # of MxAc, FILETIME; 0: answer whatever the file's is
        self.on_disk_id = False
        self.posix_mode: int | None = None  # of the POSIX extensions; PosixRequest
        self.lease: wire.RequestLease | wire.RequestLeaseV2 | None = None
        self.wish: Wish = 0  # what to cache, from the lease or the oplock level
        self.app_instance_id = b""  # 16 bytes
        self.app_instance_version: tuple[int, int] | None = None
        self.durable: wire.DurableHandleRequest | wire.DurableHandleRequestV2 | None = None
        self.reconnect: wire.DurableHandleReconnect | wire.DurableHandleReconnectV2 | None = None
        self.timewarp = 0  # FILETIME of the previous version that is meant; 0: the present
        self.decision: Decision | None = None  # of the descriptor, for the audit
        self.found: Stat | None = None  # the file that was opened, as it was when it was found

    def decided(self, decision: Decision) -> None:
        """Keep for the audit what was decided last."""
        self.decision = decision

    def forgo(self) -> None:
        """Ask for nothing that outlives the open or lets its client cache."""
        self.lease = self.durable = None
        self.wish = 0
        self.app_instance_id = b""


def parse(work: Work, req: CreateRequest) -> Contexts:
    """Read the chain.  The first of several equal contexts counts.

    INVALID_PARAMETER       a malformed chain or context, durable requests that exclude each other
    ACCESS_DENIED           EAs from a client that says it knows none
    """
    found = Contexts()
    if not req.create_contexts_length:
        return found
    offset, length = req.create_contexts_offset, req.create_contexts_length
    seen: set[bytes] = set()
    for context in wire.contexts(work.buffer(offset, length, after=req.SIZE)):
        name = context.name
        read = _READERS.get(name)
        if read is None or name in seen:
            continue
        if work.connection.dialect < _since(name):
            continue
        if not _is_offered(work, name):
            continue
        seen.add(name)
        read(found, req, context.data)
    _check_durable(seen)
    return found


def _is_offered(work: Work, name: bytes) -> bool:
    """Whether the server, or the share, wants to know of a context."""
    if name == wire.POSIX:
        return work.connection.posix
    return name != wire.AAPL or work.the_tree().share.aapl


def _since(name: bytes) -> int:
    """The first dialect that has the context."""
    return SMB_3_0 if name in _OF_3_X else SMB_3_1_1 if name in _OF_3_1_1 else 0


def _check_durable(seen: set[bytes]) -> None:
    """3.3.5.9.6, .7, .10, .12: which of the four go together; one pair does."""
    durable = seen & _DURABLE
    if len(durable) > 1 and durable != _V1:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "a durable request among others")


def _aapl(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.aapl = create_aapl.query(data)


def _eas(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    if req.create_options & FILE_NO_EA_KNOWLEDGE:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "EAs without knowing EAs")
    try:
        found.eas = unpack_full_eas(data)
    except WireError as malformed:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, str(malformed)) from None
    try:
        found.needed_eas = flagged_eas(data)
    except ValueError as invalid:
        raise NtStatusError(NtStatus.INVALID_EA_NAME, str(invalid)) from None


def _security(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.security = SecurityDescriptor.unpack(data)


def _allocation(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.allocation = wire.unpack_exact(wire.AllocationSize, data).allocation_size


def _maximal_access(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.maximal_access = True
    if len(data):
        found.timestamp = wire.unpack_exact(wire.MaximalAccessRequest, data).timestamp


def _on_disk_id(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.on_disk_id = True


def _timewarp(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.timewarp = wire.unpack_exact(wire.TimewarpToken, data).timestamp


def _durable(
    structure: type[wire.DurableHandleRequest | wire.DurableHandleRequestV2],
) -> Callable[[Contexts, CreateRequest, Buffer], None]:
    def read(found: Contexts, req: CreateRequest, data: Buffer) -> None:
        found.durable = wire.unpack_exact(structure, data)

    return read


def _reconnect(
    structure: type[wire.DurableHandleReconnect | wire.DurableHandleReconnectV2],
) -> Callable[[Contexts, CreateRequest, Buffer], None]:
    def read(found: Contexts, req: CreateRequest, data: Buffer) -> None:
        found.reconnect = wire.unpack_exact(structure, data)

    return read


def _app_instance_id(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.app_instance_id = wire.unpack_exact(wire.AppInstanceId, data).app_instance_id


def _app_instance_version(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    version = wire.unpack_exact(wire.AppInstanceVersion, data)
    found.app_instance_version = (
        version.app_instance_version_high,
        version.app_instance_version_low,
    )


def _posix(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.posix_mode = wire.unpack_exact(wire.PosixRequest, data).mode


def _lease(found: Contexts, req: CreateRequest, data: Buffer) -> None:
    found.lease = wire.unpack_lease(data)


_READERS: Final[dict[bytes, Callable[[Contexts, CreateRequest, Buffer], None]]] = {
    wire.AAPL: _aapl,
    wire.EA_BUFFER: _eas,
    wire.SD_BUFFER: _security,
    wire.ALLOCATION_SIZE: _allocation,
    wire.QUERY_MAXIMAL_ACCESS: _maximal_access,
    wire.QUERY_ON_DISK_ID: _on_disk_id,
    wire.TIMEWARP_TOKEN: _timewarp,
    wire.DURABLE_HANDLE_REQUEST: _durable(wire.DurableHandleRequest),
    wire.DURABLE_HANDLE_RECONNECT: _reconnect(wire.DurableHandleReconnect),
    wire.DURABLE_HANDLE_REQUEST_V2: _durable(wire.DurableHandleRequestV2),
    wire.DURABLE_HANDLE_RECONNECT_V2: _reconnect(wire.DurableHandleReconnectV2),
    wire.REQUEST_LEASE: _lease,
    wire.POSIX: _posix,
    wire.APP_INSTANCE_ID: _app_instance_id,
    wire.APP_INSTANCE_VERSION: _app_instance_version,
}
_V1: Final = frozenset((wire.DURABLE_HANDLE_REQUEST, wire.DURABLE_HANDLE_RECONNECT))
_V2: Final = frozenset((wire.DURABLE_HANDLE_REQUEST_V2, wire.DURABLE_HANDLE_RECONNECT_V2))
_DURABLE: Final = _V1 | _V2
_OF_3_X: Final = _V2 | {wire.APP_INSTANCE_ID}
_OF_3_1_1: Final = frozenset((wire.APP_INSTANCE_VERSION,))


def prepare(open: Open, contexts: Contexts) -> None:
    """What a new file gets besides its descriptor: EAs and space.

    INVALID_EA_NAME   a name that none may have
    """
    handle = open.file
    if contexts.eas:
        try:
            handle.set_eas(contexts.eas, contexts.needed_eas)
        except NameInvalid as invalid:
            raise NtStatusError(NtStatus.INVALID_EA_NAME, str(invalid)) from None
    if contexts.allocation and not handle.is_directory:
        handle.allocate(contexts.allocation)


def answer(work: Work, open: Open, st: Stat, contexts: Contexts) -> bytes:
    """The response's chain of contexts, in the order Windows has them."""
    answers: list[tuple[bytes, bytes]] = []
    aapl = b"" if contexts.aapl is None else create_aapl.answer(work, open, contexts.aapl)
    if contexts.maximal_access:
        answers.append((wire.QUERY_MAXIMAL_ACCESS, _maximal_access_of(open, st, contexts)))
    if contexts.durable is not None and open.durable is not None:
        answers += create_durable.answer(open.durable, contexts.durable)
    if contexts.on_disk_id:
        share = open.tree.share
        number = apple_ids.number(open, st)
        ids = wire.OnDiskIdResponse(disk_file_id=number, volume_id=share.volume_serial)
        answers.append((wire.QUERY_ON_DISK_ID, ids.pack()))
    if open.grant.lease:
        answers.append((wire.REQUEST_LEASE, open.grant.lease))
    if contexts.posix_mode is not None:
        answers.append((wire.POSIX, _posix_of(st)))
    if aapl:  # what it agrees on holds for the contexts above, too
        answers.append((wire.AAPL, aapl))
    return wire.pack_contexts(answers) if answers else b""


def _posix_of(st: Stat) -> bytes:
    head = posix.PosixCreateResponse(
        number_of_links=st.nlink, reparse_tag=st.reparse_tag, mode=posix.wire_mode(st.posix_mode)
    )
    return head.pack() + posix.unix_user_sid(st.uid) + posix.unix_group_sid(st.gid)


def _maximal_access_of(open: Open, st: Stat, contexts: Contexts) -> bytes:
    """NONE_MAPPED if the client's timestamp says that it knows the answer, 3.3.5.9.5."""
    if contexts.timestamp and contexts.timestamp == filetime_from_ns(st.write):
        return wire.MaximalAccessResponse(query_status=_NONE_MAPPED, maximal_access=0).pack()
    mask = rights.maximal(open.tree, open)
    return wire.MaximalAccessResponse(query_status=0, maximal_access=mask).pack()


_NONE_MAPPED: Final = 0xC0000073
