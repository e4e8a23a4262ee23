"""The server without sockets and threads: bytes in, replies out, in the test's thread.

An :class:`Engine` is a real ``state.server.Server`` under the real dispatch, with a queue for
kworkers, a clock that a test turns, a list for a transport, and an in-memory mountd.  A
:class:`Client` is one connection to it, with the client's half of signing and credits.

Every reply is checked as it comes: a whole PDU, a header that answers the request, a body of
its command's StructureSize, offsets inside, the right signature.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast
from weakref import WeakSet

from ksmbd.auth import spnego
from ksmbd.ipc.client import Mountd
from ksmbd.ipc.requests import ShareConfig
from ksmbd.server import dispatch
from ksmbd.state.connection import Connection
from ksmbd.state.server import Server
from ksmbd.state.settings import Settings
from ksmbd.vfs import credentials
from ksmbd.vfs.sid import Domain
from ksmbd.wire.base import Buffer
from ksmbd.wire.spnego import NTLMSSP
from ksmbd.wire.status import Disconnect
from tests.support.mountd import READ_ONLY, MemoryMountd, User, share, unprivileged_id

NOW: Final = 1_700_000_000.0
PEER: Final = "192.0.2.7"


class Clock:
    """Seconds since 1970; moves when a test says so."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Timer:
    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.fn, self.args = fn, args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Scheduler:
    """A queue that ``drain`` empties, timers that ``advance`` fires."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self.queue: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.timers: list[tuple[float, int, Timer]] = []

    def run(self, fn: Callable[..., Any], *args: Any) -> None:
        self.queue.append((fn, args))

    def call_later(self, seconds: float, fn: Callable[..., Any], *args: Any) -> Timer:
        timer = Timer(fn, args)
        heapq.heappush(self.timers, (self._clock.now + seconds, next(self._order), timer))
        return timer

    @property
    def pending_timers(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self.timers)

    def drain(self, at_most: int = 100_000) -> None:
        """Run what is queued, and what that queues; a server that never comes to rest fails."""
        for _ in range(at_most):
            if not self.queue:
                return
            fn, args = self.queue.popleft()
            fn(*args)
        raise AssertionError("the server does not come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass; timers fire in order, each with the work it queues."""
        until = self._clock.now + seconds
        while self.timers and self.timers[0][0] <= until:
            at, _, timer = heapq.heappop(self.timers)
            self._clock.now = max(self._clock.now, at)
            if not timer.cancelled:
                timer.fn(*timer.args)
                self.drain()
        self._clock.now = until


class Random:
    """As good as random, and the same in every run."""

    def __init__(self, seed: bytes = b"engine") -> None:
        self._seed = seed
        self._count = itertools.count()

    def __call__(self, length: int) -> bytes:
        out = b""
        while len(out) < length:
            out += hashlib.sha256(self._seed + next(self._count).to_bytes(8, "little")).digest()
        return out[:length]


class ListTransport:
    """``state.transport.Transport``: keeps what was sent, cut into PDUs."""

    def __init__(self, peer: str = PEER) -> None:
        self.peer = peer
        self.local = "192.0.2.1"
        self.closed = False
        self.aborted = False
        self.unacknowledged: int | None = None  # what ``resent`` says
        self._pdus: list[bytes] = []

    def send(self, parts: Sequence[Buffer]) -> None:
        """One or several whole frames, as the protocol of Transport says."""
        if self.closed:
            return
        raw = b"".join(bytes(part) for part in parts)
        while raw:
            length = int.from_bytes(raw[:4], "big")
            assert length < 1 << 24, f"a frame of {length} bytes has no direct-TCP header"
            assert len(raw) >= 4 + length, "a frame that is shorter than it says"
            self._pdus.append(raw[4 : 4 + length])
            raw = raw[4 + length :]

    def resent(self) -> int | None:
        return self.unacknowledged

    def abort(self) -> None:
        self.closed = self.aborted = True

    def close(self) -> None:
        self.closed = True

    def take(self) -> list[bytes]:
        pdus, self._pdus = self._pdus, []
        return pdus


ENGINES: Final[WeakSet[Engine]] = WeakSet()  # made during a test, closed after it


class Engine:
    """A server with users joe and jane and shares data, ro and IPC$.

    ``folder`` is what both disk shares serve; joe may do what its owner may.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Sequence[User] | None = None,
        shares: Sequence[ShareConfig] | None = None,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.clock = Clock()
        self.scheduler = self.make_scheduler()
        if users is None:
            users = [User("joe"), User("jane", "Secret!")]
        if shares is None:
            shares = [share("data", str(folder)), share("ro", str(folder), READ_ONLY)]
        self.mountd = MemoryMountd(users, shares)
        self.random = Random()
        sub_authorities = settings.setdefault("sub_authorities", (11, 22, 33))
        self.direct = False  # whether works are run as by a reader: what takes long is passed on
        self.server = Server(
            scheduler=self.scheduler,
            mountd=cast(Mountd, self.mountd),
            random=self.random,
            guid=bytes(range(0xA0, 0xB0)),
            negotiate_token=spnego.hint([NTLMSSP]),
            domain=Domain(sub_authorities),
            clock=self.clock,
            settings=Settings(**settings),
        )

        ENGINES.add(self)

    def make_scheduler(self) -> Scheduler:
        """What runs works and timers."""
        return Scheduler(self.clock)

    def close(self) -> None:
        """Lose every connection and give all descriptors back."""
        for connection in list(self.server.connections.values()):
            self.lose(connection)
        with self.acting():
            self.server.durables.close_all()
        if self.server.persistence.journal is not None:
            self.server.persistence.journal.close()
        for one in self.server.shares.values():
            if one.root is not None:
                one.root.close()

    def connection(self, peer: str = PEER) -> tuple[Connection, ListTransport]:
        transport = ListTransport(peer)
        return self.server.new_connection(transport), transport

    def receive(self, connection: Connection, frame: Buffer) -> None:
        """One PDU, as the reader hands it over; then everything that it set going."""
        with self.acting(connection):
            try:
                work = dispatch.receive(connection, memoryview(frame))
                if work is not None:
                    work.direct = self.direct
                    dispatch.run(work)
            except Disconnect as why:
                connection.drop(str(why))

    def lose(self, connection: Connection) -> None:
        """The transport is gone, as the reader notices."""
        with self.acting():
            connection.transport.close()
            self.server.connection_lost(connection)

    def advance(self, seconds: float) -> None:
        with self.acting():
            self.scheduler.advance(seconds)

    @contextmanager
    def acting(self, connection: Connection | None = None) -> Iterator[None]:
        """Around all that the server does: come to rest afterwards, and be ourselves again."""
        try:
            yield
            self.scheduler.drain()
            if connection is not None and cast(ListTransport, connection.transport).closed:
                if not connection.closed:
                    self.server.connection_lost(connection)
                self.scheduler.drain()
        finally:
            credentials.become(None)

    def make_file(self, name: str, data: bytes = b"") -> Path:
        """A file of joe's on the share."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_file_of_joe(path, data)
        return path

    def make_directory(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        give_to_joe(path)
        return path

    def assert_idle(self) -> None:
        """Nothing is left of what clients did."""
        server = self.server
        assert not server.sessions
        assert not server.connections
        assert len(server.opens) == 0
        assert not server.inodes._inodes
        assert len(server.durables) == 0
        assert len(server.replays) == 0
        assert not self.mountd.trees
        assert not self.mountd.pipes
        assert not self.scheduler.pending_timers


def make_file_of_joe(path: Path, data: bytes = b"") -> None:
    path.write_bytes(data)
    path.chmod(0o744)  # as the server makes files: with an x, the owner has every right
    give_to_joe(path)


def give_to_joe(path: Path) -> None:
    """chown to whom the tests' users act as."""
    if os.geteuid() == 0:
        os.chown(path, unprivileged_id(), unprivileged_id())
