"""Server, [MS-SMB2] 3.3.1.5: configuration, the global tables, the collaborators.

Lock order: see connection.  ``Server.lock`` guards the connection and session tables and is
taken before every other lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ksmbd.state.buffers import Buffers
from ksmbd.state.caching import Caching
from ksmbd.state.connection import MAX_SESSIONS, Connection
from ksmbd.state.durable import Durables
from ksmbd.state.inode import Inodes
from ksmbd.state.notify import Notify
from ksmbd.state.offload import OffloadTokens
from ksmbd.state.opens import Opens
from ksmbd.state.persistent import Persistence
from ksmbd.state.pipe import Pipe
from ksmbd.state.refusals import Refusals, refused
from ksmbd.state.replay import Replays
from ksmbd.state.session import Session, SessionState
from ksmbd.state.settings import Settings
from ksmbd.state.tally import Tally
from ksmbd.state.unfinished import Unfinished
from ksmbd.vfs import credentials
from ksmbd.wire.header import Command
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.ipc.client import Mountd
    from ksmbd.state.share import Share
    from ksmbd.state.transport import Audit, Scheduler, Transport
    from ksmbd.state.tree import TreeConnect
    from ksmbd.vfs.sid import Domain
    from ksmbd.wire.fsctl import NetworkInterfaceInfo

log = logging.getLogger("ksmbd.smb")


def _no_interfaces(_reached: str) -> list[NetworkInterfaceInfo]:
    return []


class Server:
    """Everything that lives as long as the process."""

    log_conn = logging.getLogger("ksmbd.conn")

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        mountd: Mountd,
        random: Callable[[int], bytes],
        guid: bytes,
        negotiate_token: bytes,
        domain: Domain,
        clock: Callable[[], float] = time.time,
        settings: Settings | None = None,
        interfaces: Callable[[str], list[NetworkInterfaceInfo]] = _no_interfaces,
    ) -> None:
        self.scheduler = scheduler
        self.mountd = mountd
        self.random = random
        self.guid = guid  # 16 bytes, the same after every start
        self.negotiate_token = negotiate_token  # SPNEGO: the mechanisms we have
        self.domain = domain
        self.clock = clock  # seconds since 1970
        self.settings = settings or Settings()
        self.interfaces = interfaces  # by the address of ours that a client has reached
        self.start_time = clock()
        self.tally = Tally()
        self.refusals = Refusals(clock)
        self.audit: Audit | None = None  # who is told of log-ons; set once
        self.lock = threading.Lock()
        self.connections: dict[int, Connection] = {}  # by self.lock
        self.sessions: dict[int, Session] = {}  # by self.lock; GlobalSessionTable
        self._of_user: Counter[str] = Counter()  # by self.lock; folded account -> sessions
        self.shares: dict[str, Share] = {}  # by self.lock; folded name -> as mountd last said
        # by self.lock; those of one client each, for as long as they are used
        self.variants: WeakValueDictionary[tuple[str, str], Share] = WeakValueDictionary()
        self._next_connection = 1  # by self.lock
        self._next_pipe = 1  # by self.lock
        self.inodes = Inodes()
        self.notify = Notify()
        self.durables = Durables(self)
        self.replays = Replays()
        self.unfinished = Unfinished()
        self.opens = Opens(
            self.inodes,
            random,
            self.settings.max_open_files,
            self.notify,
            self.durables.make_room,
        )
        self.caching = Caching(self)
        self.persistence = Persistence(self)
        self.buffers = Buffers()
        self.offload = OffloadTokens(clock, random)

    # -- connections ---------------------------------------------------------------------

    def new_connection(self, transport: Transport) -> Connection:
        """Number a connection and put it in the table."""
        with self.lock:
            number = self._next_connection
            self._next_connection += 1
            connection = self.connections[number] = Connection(self, transport, number)
            return connection

    def connection_lost(self, connection: Connection) -> None:
        """[MS-SMB2] 3.3.7.1: cancel what waits, end what lived on this connection alone.

        A CREATE that waits goes on for a session with another channel, where its replay finds it.
        """
        with connection.lock:
            connection.closed = True
            works = list(connection.requests.values())
            sessions = list(connection.sessions.values())
            connection.sessions.clear()
            connection.preauth_sessions.clear()
        ended = [session for session in sessions if session.remove_channel(connection)]
        for work in works:
            if work.session in ended or not work.is_parked(Command.CREATE):
                work.abandon()
        for session in ended:
            self.end_session(session, preserve=True)
        self.caching.questions.lost(connection)
        with self.lock:
            self.connections.pop(connection.number, None)
        credentials.become(None)

    @property
    def connections_made(self) -> int:
        """So far."""
        return self._next_connection - 1

    # -- sessions ------------------------------------------------------------------------

    def new_session(self, connection: Connection) -> Session:
        """Make a session in progress and put it in the tables, [MS-SMB2] 3.3.5.5.1.

        Its id is random and fits 32 bits: clients exist that keep no more of it.

        TOO_MANY_SESSIONS   ``max active sessions`` is reached, or the connection has too many
        """
        if len(connection.sessions) >= MAX_SESSIONS:
            raise NtStatusError(NtStatus.TOO_MANY_SESSIONS, "of one connection")
        limit = self.settings.max_sessions
        with self.lock:
            session = None if len(self.sessions) >= limit else self._numbered(connection)
        if session is None:
            why = f"max active sessions = {limit} are there; raise it"
            raise refused(connection, NtStatus.TOO_MANY_SESSIONS, why)
        if not connection.add_session(session):
            self.end_session(session)
            raise Disconnect("lost before the log-on began")
        return session

    def _numbered(self, connection: Connection) -> Session:
        """A session with an id of its own, in the table; under the lock."""
        while True:
            session_id = int.from_bytes(self.random(4), "little")
            if session_id not in (0, 0xFFFF_FFFF) and session_id not in self.sessions:
                break
        session = self.sessions[session_id] = Session(session_id, connection, self.clock())
        return session

    def count_session(self, session: Session, account: str) -> None:
        """A log-on has succeeded; the session counts as its user's until it ends.

        TOO_MANY_SESSIONS   ``max user sessions`` is reached
        """
        user = account.casefold()
        limit = self.settings.max_user_sessions
        with self.lock:
            full = self._of_user[user] >= limit
            if not full and self.sessions.get(session.session_id) is session:
                self._of_user[user] += 1
                session.counted_for = user
        if full:
            why = f"{account} has max user sessions = {limit} already; raise it"
            raise refused(session.connection, NtStatus.TOO_MANY_SESSIONS, why)

    def most_of_a_user(self) -> int:
        """Sessions of the user who has most of them."""
        with self.lock:
            return max(self._of_user.values(), default=0)

    def end_session(
        self,
        session: Session,
        status: NtStatus = NtStatus.FILE_CLOSED,
        *,
        preserve: bool = False,
    ) -> None:
        """Take a session out of the tables and end its opens and trees.  Safe to call twice.

        *preserve*: its client may come back for the opens that are durable.
        """
        with self.lock:
            if self.sessions.get(session.session_id) is not session:
                return
            del self.sessions[session.session_id]
            if session.counted_for is not None:
                self._of_user[session.counted_for] -= 1
                if not self._of_user[session.counted_for]:
                    del self._of_user[session.counted_for]
        was_valid = session.state != SessionState.IN_PROGRESS
        session.state = SessionState.EXPIRED
        with session.lock:
            session.ended = True
            channels = list(session.channels.values())
            trees = list(session.trees.values())
            session.trees.clear()
            for tree in trees:
                tree.connected = False
            opens = list(session.opens.values())
        for channel in channels:
            channel.connection.remove_session(session)
        session.connection.remove_session(session)
        self.offload.forget(session)
        self.opens.close_all(self.durables.preserve(opens) if preserve else opens, status)
        for tree in trees:
            if tree.audited is not None:
                tree.audited.ended(tree)
            self.mountd.tree_disconnect(session.session_id, tree.tree_id)
        if was_valid and self.audit is not None:
            self.audit.logged_off(session)
        if was_valid and session.account:
            self.mountd.logout(session.account, 0, session.connection.peer)

    def end_tree(self, tree: TreeConnect, status: NtStatus = NtStatus.FILE_CLOSED) -> None:
        """TREE_DISCONNECT: the tree's opens go, mountd is told."""
        session = tree.session
        with session.lock:
            tree.connected = False
            opens = [open for open in session.opens.values() if open.tree is tree]
        session.remove_tree(tree.tree_id)
        self.opens.close_all(opens, status)
        if tree.audited is not None:
            tree.audited.ended(tree)
        self.mountd.tree_disconnect(session.session_id, tree.tree_id)

    # -- pipes ---------------------------------------------------------------------------

    def open_pipe(self, session: Session, name: str, peer: str) -> Pipe:
        """Have mountd open one of its DCE/RPC pipes.

        OBJECT_NAME_NOT_FOUND   there is none of that name
        PIPE_NOT_AVAILABLE      mountd is away
        """
        with self.lock:
            number = self._next_pipe
            self._next_pipe = number % 0xFFFF_FFFF + 1
        pipe = Pipe(self.mountd, number, name)
        reply = self.mountd.rpc_open(
            number,
            name,
            account=session.account,
            session_id=session.session_id,
            peer=peer,
            guest=session.is_guest or session.is_anonymous,
        )
        pipe.checked(reply)
        return pipe

    # -- shares --------------------------------------------------------------------------

    def cached_share(self, name: str, variant: str = "") -> Share | None:
        with self.lock:
            if variant:
                return self.variants.get((name.casefold(), variant))
            return self.shares.get(name.casefold())

    def keep_share(self, share: Share) -> None:
        with self.lock:
            if share.variant:
                self.variants[share.name.casefold(), share.variant] = share
            else:
                self.shares[share.name.casefold()] = share

    def forget_shares(self) -> None:
        """After a reload: new tree connects ask mountd again."""
        with self.lock:
            self.shares.clear()
            self.variants.clear()
