"""Session, [MS-SMB2] 3.3.1.8, and Channel, 3.3.1.14.

    IN_PROGRESS --authenticated--> VALID --logoff, previous-session, last channel gone--> ended
                                     |  ^
                              expiry v  | re-authentication
                                   EXPIRED

A session outlives the connection it was made on as long as another channel is left: trees and
opens are the session's.

Lock order: see connection.  ``Session.lock`` guards the tree table, the open table and the
channels.
"""

from __future__ import annotations

import threading
from enum import IntEnum
from typing import TYPE_CHECKING

from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.auth.identity import Identity
    from ksmbd.crypto.sealing import Sealer, Unsealer
    from ksmbd.crypto.signing import Signer
    from ksmbd.state.connection import Connection
    from ksmbd.state.logon import Logon
    from ksmbd.state.open import Open
    from ksmbd.state.tree import TreeConnect
    from ksmbd.vfs.access import Token
    from ksmbd.vfs.credentials import Credentials
    from ksmbd.vfs.sid import Domain

MAX_TREES = 4096  # tree connects of one session
MAX_CHANNELS = 32  # of one session, as Windows and ksmbd have it


class SessionState(IntEnum):
    IN_PROGRESS = 0
    VALID = 1
    EXPIRED = 2


class Channel:
    """A connection the session uses, with the signing key of that connection."""

    __slots__ = ("connection", "logon", "signer")

    def __init__(self, connection: Connection, signer: Signer | None) -> None:
        self.connection = connection
        self.signer = signer
        self.logon: Logon | None = None  # a re-authentication under way; by Session.setup_lock


class Session:
    """One log-on.  ``signer`` of a channel is None only for guests."""

    def __init__(self, session_id: int, connection: Connection, now: float) -> None:
        self.session_id = session_id
        self.connection = connection  # the one it was made on; it may be gone
        self.creation_time = now
        self.state = SessionState.IN_PROGRESS
        self.lock = threading.Lock()
        self.setup_lock = threading.Lock()  # one SESSION_SETUP at a time; held over IPC

        # Set when the log-on succeeds.
        self.counted_for: str | None = None  # whose session it counts as; by Server.lock
        self.owner: Identity | None = None  # who logged on first
        self.identity: Identity | None = None  # who it is now: the owner, or nobody
        self.credentials: Credentials | None = None  # whom to act as; None: the process itself
        self.token: Token | None = None
        self.session_key = b""  # 16 bytes
        self.full_session_key = b""
        self.application_key = b""
        self.signer: Signer | None = None  # SigningKey: of the first channel, and of bindings
        self.signing_required = False
        self.encrypt_data = False  # every request must come sealed; needs the next two
        self.sealer: Sealer | None = None  # EncryptionKey; None: a guest, or not negotiated
        self.unsealer: Unsealer | None = None  # DecryptionKey
        self.was_signed = False  # some request about files was, whether it had to be or not
        self.was_sealed = False  # some request was
        self.is_guest = False
        self.is_anonymous = False
        self.aapl = 0  # Apple's extensions it has agreed on: AAPL_READ_DIR_ATTR ...
        self.account_flags = 0  # what mountd said of the account, for its tree connects
        self.expiration_time: float | None = None

        # While the first log-on is under way; by setup_lock.
        self.logon: Logon | None = None
        self.preauth_integrity_hash_value = b""  # 3.1.1 only

        # By self.lock.
        self.ended = False  # only ever becomes true: nothing may join it any more
        self.channels: dict[int, Channel] = {}  # connection.number -> Channel, the oldest first
        self.trees: dict[int, TreeConnect] = {}
        self.opens: dict[int, Open] = {}  # volatile id -> Open
        self._next_tree_id = 1

    @property
    def domain(self) -> Domain:
        """The machine's domain, whose SIDs our users have."""
        return self.connection.server.domain

    @property
    def account(self) -> str:
        return self.identity.account if self.identity else ""

    @property
    def can_encrypt(self) -> bool:
        """Whether it has keys that only its two sides know."""
        return self.sealer is not None and not self.is_anonymous

    def signer_on(self, connection: Connection) -> Signer | None:
        """The key of the channel on *connection*; None if it has none."""
        channel = self.channels.get(connection.number)
        return channel.signer if channel else None

    def expired(self, now: float) -> bool:
        """Whether its credentials have expired at *now*, noticed already or not."""
        end = self.expiration_time
        return self.state == SessionState.EXPIRED or (end is not None and now >= end)

    def require_room(self) -> None:
        """INSUFFICIENT_RESOURCES   it has as many channels as a session may have"""
        if len(self.channels) >= MAX_CHANNELS:
            raise NtStatusError(NtStatus.INSUFFICIENT_RESOURCES, f"{MAX_CHANNELS} channels")

    def add_channel(self, connection: Connection, signer: Signer | None) -> None:
        """Let the session use *connection*.

        USER_SESSION_DELETED     it ended meanwhile
        INSUFFICIENT_RESOURCES   see :meth:`require_room`
        """
        with self.lock:
            if self.ended:
                raise NtStatusError(NtStatus.USER_SESSION_DELETED, "ended meanwhile")
            self.require_room()
            self.channels[connection.number] = Channel(connection, signer)

    def remove_channel(self, connection: Connection) -> bool:
        """Forget the channel; True if none is left."""
        with self.lock:
            self.channels.pop(connection.number, None)
            return not self.channels

    def find_tree(self, tree_id: int) -> TreeConnect:
        """NETWORK_NAME_DELETED   no tree connect of this session has the id"""
        tree = self.trees.get(tree_id)
        if tree is None:
            raise NtStatusError(NtStatus.NETWORK_NAME_DELETED, f"tree {tree_id:#x}")
        return tree

    def new_tree_id(self) -> int:
        """Reserve an id for a tree connect.

        INSUFFICIENT_RESOURCES   the session has too many of them
        """
        with self.lock:
            if len(self.trees) >= MAX_TREES:
                raise NtStatusError(NtStatus.INSUFFICIENT_RESOURCES, "too many tree connects")
            while True:
                tree_id = self._next_tree_id
                self._next_tree_id = tree_id % 0xFFFF_FFF0 + 1
                if tree_id not in self.trees:
                    return tree_id

    def add_tree(self, tree: TreeConnect) -> None:
        """USER_SESSION_DELETED   it ended meanwhile, and its trees with it"""
        with self.lock:
            if self.ended:
                raise NtStatusError(NtStatus.USER_SESSION_DELETED, "ended meanwhile")
            self.trees[tree.tree_id] = tree

    def remove_tree(self, tree_id: int) -> TreeConnect | None:
        with self.lock:
            return self.trees.pop(tree_id, None)
