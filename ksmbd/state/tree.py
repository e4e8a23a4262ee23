"""TreeConnect, [MS-SMB2] 3.3.1.9."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.auth.identity import Identity
    from ksmbd.state.session import Session
    from ksmbd.state.share import Share
    from ksmbd.state.transport import AuditedTree
    from ksmbd.vfs.access import Token
    from ksmbd.vfs.credentials import Credentials
    from ksmbd.vfs.root import ShareRoot


class TreeConnect:
    """A session's use of a share.

    ``credentials`` and ``token`` are the session's, or those of ``force user``.
    """

    __slots__ = (
        "administers",
        "audited",
        "connected",
        "creation_time",
        "credentials",
        "encrypt_data",
        "identity",
        "maximal_access",
        "session",
        "share",
        "token",
        "tree_id",
        "writable",
    )

    def __init__(
        self,
        tree_id: int,
        session: Session,
        share: Share,
        *,
        writable: bool,
        maximal_access: int,
        credentials: Credentials | None,
        token: Token | None,
        now: float,
        identity: Identity | None = None,
        encrypt_data: bool = False,
        administers: bool = False,
    ) -> None:
        self.tree_id = tree_id
        self.session = session
        self.share = share
        self.writable = writable
        self.maximal_access = maximal_access
        self.credentials = credentials
        self.token = token
        self.identity = identity  # whom the session had when mountd was asked
        self.creation_time = now
        self.encrypt_data = encrypt_data  # every request must come sealed
        self.administers = administers  # the quotas of the share's users, too
        self.audited: AuditedTree | None = None  # who is told of its end
        self.connected = True  # TREE_DISCONNECT and LOGOFF end it, once

    @property
    def root(self) -> ShareRoot:
        """The directory it serves; only for disk shares."""
        if self.share.root is None:
            raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no file system on a pipe share")
        return self.share.root

    @property
    def the_token(self) -> Token:
        """The token of its user; every tree that checks let through has one."""
        if self.token is None:
            raise NtStatusError(NtStatus.ACCESS_DENIED, "nobody is logged on")
        return self.token

    def require_user(self) -> None:
        """ACCESS_DENIED   the session has been re-authenticated as another user since"""
        if self.identity is not self.session.identity:
            raise NtStatusError(NtStatus.ACCESS_DENIED, "connected as another user")

    def require_writable(self) -> None:
        """ACCESS_DENIED   the share, or this user's use of it, is read-only"""
        if not self.writable:
            raise NtStatusError(NtStatus.ACCESS_DENIED, f"{self.share.name} is read-only")
