"""Opens that outlive their connection, [MS-SMB2] 3.3.7.1: durable, resilient, persistent.

    here --connection lost, LOGOFF, session replaced--> away --reconnect--> here
                                                  |
              a cache it held is wanted by others, time over, too many --> lost --> closed

``Inode.lock`` guards the state of one open; the table's own lock is a leaf.  What an open that is
away keeps: its place among the share modes, its byte-range locks, and an oplock or lease that
nobody objects to.  It is counted among ``max open files``; so that those who are away cannot keep
out those who are here, there are limits, and the one that is away longest makes room for an open.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.state.holder import After
from ksmbd.state.wait import Event
from ksmbd.vfs import credentials
from ksmbd.wire.create_context import LEASE_HANDLE, LEASE_WRITE
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.auth.identity import Identity
    from ksmbd.state.inode import Inode
    from ksmbd.state.open import Open
    from ksmbd.state.server import Server
    from ksmbd.state.transport import Cancellable
    from ksmbd.state.tree import TreeConnect
    from ksmbd.state.work import Work

log = logging.getLogger("ksmbd.smb")

V1_S: Final = 16 * 60.0  # how long a durable open of version 1 waits, as Windows has it
_ALL: Final = 2  # one in so many of ``max open files`` may be away
_ONE_USERS: Final = 4  # and of one user


class Stamp(NamedTuple):
    """What must not change while the client is away, for it may have the data in its cache."""

    size: int
    written: int  # ns

    @classmethod
    def of(cls, open: Open) -> Stamp:
        st = os.fstat(open.file.fd)
        return cls(st.st_size, st.st_mtime_ns)


class AppInstance(NamedTuple):
    """The application that opened it, which may come back from another machine."""

    id: bytes  # 16 bytes
    version: tuple[int, int] | None = None  # high, low


class Durable:
    """What an open has besides, if it may outlive its connection or be replayed."""

    __slots__ = (
        "app_instance", "away", "client_guid", "create_action", "create_guid", "deadline",
        "given_up", "granted", "lost", "owner", "persistent", "replayable", "resilient", "stamp",
        "timeout_s",
    )  # fmt: skip

    def __init__(self, owner: Identity | None, client_guid: bytes) -> None:
        self.owner = owner  # DurableOwner
        self.client_guid = client_guid  # of whoever made it
        self.timeout_s = 0.0  # how long it waits for its client
        self.create_guid = b""  # 16 bytes; of version 2
        self.create_action = 0  # what the CREATE response said, for its replay
        self.app_instance: AppInstance | None = None
        self.granted = False  # IsDurable
        self.resilient = False
        self.persistent = False
        self.replayable = False  # IsReplayEligible
        self.away = False  # by inode.lock
        self.lost = False  # by inode.lock; only ever becomes true
        self.deadline = 0.0  # by inode.lock; of one that is away
        self.stamp: Stamp | None = None  # of one that is away
        self.given_up: Event | None = None  # by inode.lock; fired when it goes away

    @property
    def lasting(self) -> bool:
        """Whether it needs no oplock or lease to be kept."""
        return self.resilient or self.persistent

    @property
    def reconnectable(self) -> bool:
        return self.granted or self.lasting


def is_away(open: Open) -> bool:
    return open.durable is not None and open.durable.away


class Durables:
    """The opens of a server that have a :class:`Durable`, by the persistent half of the FileId."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._lock = threading.Lock()
        self._opens: dict[int, Open] = {}  # by self._lock
        self._apps: dict[bytes, list[Open]] = {}  # by self._lock; AppInstanceId
        self._away: dict[Open, str] = {}  # by self._lock; its user, longest away first
        self._timer: Cancellable | None = None  # by self._lock
        self._of_users: Counter[str] = Counter()  # by self._lock; how many of each user
        self._told_full = False  # by self._lock; until one is back or ends
        self.persistent_away = 0  # by self._lock; so many of those who are away
        self._next = 0.0  # by self._lock; when it fires

    def __len__(self) -> int:
        """How many are away."""
        return len(self._away)

    def register(self, open: Open) -> None:
        """It has been given its FileId: from now on it can be found."""
        assert open.durable is not None
        app = open.durable.app_instance
        with self._lock:
            self._opens[open.persistent_id] = open
            if app is not None:
                self._apps.setdefault(app.id, []).append(open)

    def forget(self, open: Open) -> None:
        """It is closed."""
        with self._lock:
            self._opens.pop(open.persistent_id, None)
            self._not_away(open)
            self._forget_app(open)
            timer = None
            if not self._away:
                timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self.server.replays.forget(open)
        if open.durable is not None and open.durable.persistent:
            self.server.persistence.forget(open)

    def _forget_app(self, open: Open) -> None:
        app = open.durable.app_instance if open.durable is not None else None
        opens = self._apps.get(app.id) if app is not None else None
        if app is not None and opens is not None and open in opens:
            opens.remove(open)
            if not opens:
                del self._apps[app.id]

    def find(self, persistent_id: int) -> Open | None:
        return self._opens.get(persistent_id)

    def of_app(self, app_instance_id: bytes) -> list[Open]:
        """The opens of an application, wherever it runs."""
        with self._lock:
            return list(self._apps.get(app_instance_id, ()))

    def put_back(self, open: Open) -> None:
        """One that another process had: its client does not know yet."""
        durable = open.durable
        assert durable is not None
        durable.away = True
        durable.deadline = self.server.clock() + durable.timeout_s
        self.register(open)
        with self._lock:
            self._away[open] = user = open.session.account.casefold()
            self._of_users[user] += 1
            self.persistent_away += 1
        self._set_timer(durable.deadline)

    # -- here -> away --------------------------------------------------------------------

    def preserve(self, opens: Iterable[Open]) -> list[Open]:
        """Their session ends: keep those that may be kept.  The others."""
        return [open for open in opens if open.durable is None or not self._preserve(open)]

    def _preserve(self, open: Open) -> bool:
        durable, inode, session = open.durable, open.inode, open.session
        if durable is None or inode is None or not durable.reconnectable:
            return False
        stamp = None if open.users else Stamp.of(open)
        if not self._make_away(open):
            return False
        after = After()
        waiters: list[Callable[[NtStatus], None]] = []
        with inode.lock:
            kept = not open.closed and (durable.lasting or _holds_handle(open, inode))
            if kept:
                durable.away = True
                durable.deadline = self.server.clock() + durable.timeout_s
                durable.stamp = stamp
                if open.holder is not None:
                    self.server.caching.went_away(open.holder, after)
                with open.lock:  # requests of the old session wait on it no more
                    waiters, open.waiters = open.waiters, []
                given_up, durable.given_up = durable.given_up, None
                if given_up is not None:
                    waiters.append(lambda _status: given_up.fire())
        self.server.caching.finish(after)
        with session.lock:
            session.opens.pop(open.volatile_id, None)
        if not kept:
            with self._lock:
                self._not_away(open)
            return False
        for waiter in waiters:
            waiter(NtStatus.FILE_CLOSED)
        log.info("%s: %s waits for its client", session.account, open.path)
        self._set_timer(durable.deadline)
        return True

    def _make_away(self, open: Open) -> bool:
        """Count it among those who are away; False if there are too many of them."""
        user = open.session.account.casefold()
        limit = self.server.opens.limit
        with self._lock:
            of_user = self._of_users[user]
            if len(self._away) >= limit // _ALL or of_user >= limit // _ONE_USERS:
                if not self._told_full:
                    log.warning("%s: too many opens wait for their clients", open.session.account)
                self._told_full = True
                return False
            self._away[open] = user
            self._of_users[user] += 1
            self.persistent_away += open.durable is not None and open.durable.persistent
            return True

    def _not_away(self, open: Open) -> None:
        """Under the table's lock."""
        user = self._away.pop(open, None)
        if user is not None:
            self._of_users[user] -= 1
            if not self._of_users[user]:
                del self._of_users[user]
            self._told_full = False
            self.persistent_away -= open.durable is not None and open.durable.persistent

    # -- away -> here --------------------------------------------------------------------

    def expect(self, open: Open) -> Event | None:
        """Fires when the open goes away; None: it has."""
        assert open.durable is not None
        assert open.inode is not None
        with open.inode.lock:
            if open.durable.away:
                return None
            if open.durable.given_up is None:
                open.durable.given_up = Event()
            return open.durable.given_up

    def reclaim(self, work: Work, tree: TreeConnect, open: Open) -> None:
        """The client is back: the open belongs to its new session.

        OBJECT_NAME_NOT_FOUND   somebody was faster, or the open is lost
        NETWORK_NAME_DELETED    the tree was disconnected meanwhile
        """
        durable, inode = open.durable, open.inode
        assert durable is not None
        assert inode is not None
        with inode.lock:
            if not durable.away or durable.lost or open.closed:
                raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, "not to be reconnected")
            durable.away = False
            open.connection = work.connection
            open.session = tree.session
            open.tree = tree
        with self._lock:
            self._not_away(open)
        session = tree.session
        with session.lock:
            if tree.connected:
                session.opens[open.volatile_id] = open
                return
        self.server.opens.close(open)
        raise NtStatusError(NtStatus.NETWORK_NAME_DELETED, "disconnected during the reconnect")

    # -- away -> lost --------------------------------------------------------------------

    def close_lost(self, open: Open) -> None:
        """Close one that has been marked as lost, soon and by a kworker: it is done as its user."""
        log.info("%s: %s waits for its client no more", open.session.account, open.path)
        self.server.scheduler.run(self.server.opens.close, open)

    def lose(self, open: Open) -> None:
        """Close one that is away, unless it is back already."""
        after = After()
        assert open.inode is not None
        with open.inode.lock:
            mark_lost((open,), after)
        self.server.caching.finish(after)

    def make_room(self) -> bool:
        """Close the one that is away longest, at once; False if there is none."""
        with self._lock:
            open = next((o for o in self._away if o.durable and not o.durable.persistent), None)
        if open is None:
            return False
        self.close_now(open)
        return True

    def close_now(self, open: Open) -> None:
        """Close somebody else's open, and go on as whom we act."""
        acting = credentials.current()
        try:
            self.server.opens.close(open)
        finally:
            credentials.become(acting)

    def _set_timer(self, deadline: float) -> None:
        """One timer for all, for the next deadline."""
        with self._lock:
            if not self._away or (self._timer is not None and self._next <= deadline):
                return
            stopped, self._next = self._timer, deadline
            seconds = max(deadline - self.server.clock(), 0.0)
            self._timer = self.server.scheduler.call_later(seconds, self._sweep)
        if stopped is not None:
            stopped.cancel()

    def _sweep(self) -> None:
        now = self.server.clock()
        with self._lock:
            self._timer = None
            deadlines = {o: o.durable.deadline for o in self._away if o.durable is not None}
            over = [open for open, deadline in deadlines.items() if deadline <= now]
            for open in over:
                self._not_away(open)
        for open in over:
            self.lose(open)
        rest = [deadline for deadline in deadlines.values() if deadline > now]
        if rest:
            self._set_timer(min(rest))

    def close_all(self, *, persistent: bool = True) -> None:
        """The server ends: close those who are away, but leave what it is to find again."""
        with self._lock:
            opens = list(self._away)
        acting = credentials.current()
        try:
            self.server.opens.close_all(
                o for o in opens if o.durable and (persistent or not o.durable.persistent)
            )
        finally:
            credentials.become(acting)


def _holds_handle(open: Open, inode: Inode) -> bool:
    """Under ``inode.lock``: a batch oplock or a lease with HANDLE, and no break of it.

    With byte-range locks it takes WRITE, too: smbtorture's smb2.durable-open.lock-noW-lease.
    """
    holder = open.holder
    if holder is None or holder.state.breaking or not holder.level & LEASE_HANDLE:
        return False
    return bool(holder.level & LEASE_WRITE) or not inode.locks.of(open, 1)


def mark_lost(opens: Iterable[Open], after: After) -> None:
    """Under ``inode.lock``: those of *opens* that are away are to be closed."""
    for open in opens:
        durable = open.durable
        if durable is not None and durable.away and not durable.lost:
            durable.lost = True
            after.lost.append(open)
