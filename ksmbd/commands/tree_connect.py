"""SMB2 TREE_CONNECT, [MS-SMB2] 3.3.5.7."""

from __future__ import annotations

from typing import Final

from ksmbd.auth.identity import Identity
from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.state import shares
from ksmbd.state.connection import Connection
from ksmbd.state.identities import credentials_for, share_access, token_for
from ksmbd.state.quotas import give_defaults
from ksmbd.state.refusals import not_encrypted, refused
from ksmbd.state.server import Server
from ksmbd.state.session import Session
from ksmbd.state.share import Share
from ksmbd.state.tree import TreeConnect
from ksmbd.state.work import Reply, Work
from ksmbd.wire.access import (
    FILE_GENERIC_EXECUTE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
)
from ksmbd.wire.ipc import TREE_ADMIN, TREE_GUEST, TREE_UPDATE, TREE_WRITABLE, TreeStatus
from ksmbd.wire.negotiate import CAP_PERSISTENT_HANDLES, SMB_3_1_1
from ksmbd.wire.policy import Encryption
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError
from ksmbd.wire.text import from_utf16
from ksmbd.wire.tree_connect import (
    EXTENSION_PRESENT,
    SHARE_CAP_CONTINUOUS_AVAILABILITY,
    SHARE_DISK,
    SHARE_PIPE,
    SHAREFLAG_ACCESS_BASED_DIRECTORY_ENUM,
    SHAREFLAG_ENCRYPT_DATA,
    SHAREFLAG_MANUAL_CACHING,
    SHAREFLAG_NO_CACHING,
    TreeConnectRequest,
    TreeConnectResponse,
)

_MAX_NAME: Final = 80  # characters of a share name, [MS-SRVS]
_PIPE_ACCESS: Final = FILE_GENERIC_READ | FILE_GENERIC_WRITE
_USING: Final = FILE_READ_DATA | FILE_WRITE_DATA  # without either there is nothing to do
_READ_ONLY_ACCESS: Final = FILE_GENERIC_READ | FILE_GENERIC_EXECUTE

_REFUSALS: Final[dict[TreeStatus, NtStatus]] = {
    TreeStatus.NOMEM: NtStatus.NO_MEMORY,
    TreeStatus.NO_SHARE: NtStatus.BAD_NETWORK_NAME,
    TreeStatus.NO_USER: NtStatus.ACCESS_DENIED,
    TreeStatus.INVALID_USER: NtStatus.ACCESS_DENIED,
    TreeStatus.HOST_DENIED: NtStatus.ACCESS_DENIED,
    TreeStatus.CONN_EXIST: NtStatus.ACCESS_DENIED,
    TreeStatus.TOO_MANY_CONNS: NtStatus.REQUEST_NOT_ACCEPTED,
    TreeStatus.TOO_MANY_SESSIONS: NtStatus.TOO_MANY_SESSIONS,
    TreeStatus.ERROR: NtStatus.ACCESS_DENIED,
}


def tree_connect(work: Work, req: TreeConnectRequest) -> Reply:
    """Let a session use a share, as mountd decides.

    BAD_NETWORK_NAME      no such share
    ACCESS_DENIED         not for this user, this host, or a guest, be it by the share's own
                          descriptor; or the share must be used encrypted, which this session cannot
    REQUEST_NOT_ACCEPTED  the share has as many connections as it may
    NO_LOGON_SERVERS      mountd is away
    USER_SESSION_DELETED  the session ended while mountd was asked

    Drops the connection if a 3.1.1 client that could sign did not ([MS-SMB2] 3.3.5.7).
    """
    session = work.the_session()
    _require_signature(work, session)
    name = _share_name(work, req)
    audit, peer = work.server.audit, work.connection.peer
    try:
        tree = _connect(work, session, name)
    except NtStatusError as refusal:
        if audit is not None:
            audit.connect_refused(session, name, peer, refusal.status)
        raise
    if audit is not None:
        audit.connected(tree, peer)
    share = tree.share
    work.header.tree_id = tree.tree_id
    work.tree = tree
    if tree.writable and not tree.administers:
        give_defaults(tree)
    if share.root is not None and share.root.depot.used:
        work.after.append(share.root.depot.sweep)
    return Reply(
        TreeConnectResponse(
            share_type=SHARE_PIPE if share.is_pipe else SHARE_DISK,
            share_flags=_share_flags(tree),
            capabilities=_capabilities(work.connection, share),
            maximal_access=tree.maximal_access,
        )
    )


def _connect(work: Work, session: Session, name: str) -> TreeConnect:
    """The tree connect, in the session's table, if mountd and the share allow it."""
    tree_id = session.new_tree_id()
    identity = session.identity
    decision = _ask(work, session, name, tree_id)
    try:
        fresh = bool(decision.flags & TREE_UPDATE)
        share = shares.find(work.server, name, decision.variant, fresh=fresh)
        require_encryption(work.connection, session, share)
        tree = make_tree(work.server, session, share, tree_id, decision, identity)
        session.add_tree(tree)
    except NtStatusError:
        work.server.mountd.tree_disconnect(session.session_id, tree_id)
        raise
    return tree


def _require_signature(work: Work, session: Session) -> None:
    if work.connection.dialect != SMB_3_1_1 or session.is_guest or session.is_anonymous:
        return
    if not work.request_signed and work.sealed is None:
        raise Disconnect("TREE_CONNECT neither signed nor encrypted")


def require_encryption(connection: Connection, session: Session, share: Share) -> None:
    """ACCESS_DENIED   the share must be used encrypted, which the session cannot"""
    if share.encryption == Encryption.REQUIRED and not session.can_encrypt:
        raise not_encrypted(connection, "smb encrypt", session=session, share=share.name)


def _share_name(work: Work, req: TreeConnectRequest) -> str:
    r"""The part of \\server\share that counts; the server's name may be any of ours."""
    offset, length = req.path_offset, req.path_length
    if req.flags & EXTENSION_PRESENT and work.connection.dialect == SMB_3_1_1:
        # The path lies behind the extension then, counted from its start ([MS-SMB2] 2.2.9.1).
        offset += 64 + req.SIZE
    path = from_utf16(work.buffer(offset, length, after=req.SIZE)).rstrip("\0")
    if not path.startswith("\\\\") or path.count("\\") != 3:
        raise NtStatusError(NtStatus.BAD_NETWORK_NAME, path)
    name = path.rpartition("\\")[2]
    if not name or len(name) > _MAX_NAME:
        raise NtStatusError(NtStatus.BAD_NETWORK_NAME, path)
    return name


def _ask(work: Work, session: Session, name: str, tree_id: int) -> TreeConnectReply:
    peer = work.connection.peer
    decision = work.server.mountd.tree_connect(
        account=session.account,
        share=name,
        session_id=session.session_id,
        connect_id=tree_id,
        peer=peer,
        account_flags=session.account_flags,
        ipv6=":" in peer,
        machine=session.identity.workstation if session.identity else "",
    )
    if decision.status != TreeStatus.OK:
        raise NtStatusError(_REFUSALS[decision.status], f"{name}: {decision.status.name}")
    return decision


def make_tree(
    server: Server,
    session: Session,
    share: Share,
    tree_id: int,
    decision: TreeConnectReply,
    identity: Identity | None,
) -> TreeConnect:
    """The session's use of *share* by mountd's *decision*, in no table yet.

    ACCESS_DENIED   the share's own descriptor gives the user nothing
    """
    held = share_access(server, session, share)
    if not held & _USING:
        why = "the share's own permissions let this user do nothing; see ksmbdshares.db"
        denied = NtStatus.ACCESS_DENIED
        raise refused(session.connection, denied, why, session=session, share=share.name)
    writable = bool(decision.flags & TREE_WRITABLE and held & FILE_WRITE_DATA)
    files = held if writable else held & _READ_ONLY_ACCESS
    access = _PIPE_ACCESS if share.is_pipe else files
    acting = credentials_for(session, share, decision)
    return TreeConnect(
        tree_id,
        session,
        share,
        writable=writable,
        maximal_access=access,
        credentials=acting,
        token=token_for(server, session, acting),
        now=server.clock(),
        identity=identity,
        encrypt_data=share.encryption >= Encryption.DESIRED and session.can_encrypt,
        administers=_administers(session, decision),
    )


def _administers(session: Session, decision: TreeConnectReply) -> bool:
    if session.is_guest or decision.flags & TREE_GUEST:
        return False
    root = session.credentials is not None and not session.credentials.uid
    return root or bool(decision.flags & TREE_ADMIN)


def _share_flags(tree: TreeConnect) -> int:
    flags = SHAREFLAG_NO_CACHING if tree.share.is_pipe else SHAREFLAG_MANUAL_CACHING
    if tree.share.hide_unreadable:
        flags |= SHAREFLAG_ACCESS_BASED_DIRECTORY_ENUM
    return flags | SHAREFLAG_ENCRYPT_DATA if tree.encrypt_data else flags


def _capabilities(connection: Connection, share: Share) -> int:
    persistent = connection.server_capabilities & CAP_PERSISTENT_HANDLES
    if persistent and share.continuous_availability and share.durable_handles:
        return SHARE_CAP_CONTINUOUS_AVAILABILITY
    return 0
