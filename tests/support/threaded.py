"""The engine with everything that runs threads: readers, kworkers, timers, inotify.

Frames go through a socket pair, as a client's do; ``receive`` returns when each command of the
frame has had its answer, be it STATUS_PENDING.  Clocks are real.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self, cast

from ksmbd.server import dispatch
from ksmbd.server.clients import Clients
from ksmbd.server.loops import Loops
from ksmbd.server.notify_reader import NotifyReader
from ksmbd.server.pool import Pool
from ksmbd.server.server import Kworkers
from ksmbd.server.timers import Timers
from ksmbd.server.watchdog import Watchdog
from ksmbd.state.connection import Connection
from ksmbd.wire.base import Buffer
from ksmbd.wire.header import Command, elements
from tests.support.engine import PEER, Engine

SOON: Final = 30.0
_MESSAGE_ID: Final = struct.Struct("<24xQ")
_COMMAND: Final = struct.Struct("<12xH")


class SocketTransport:
    """The client's end; has the face of ``ListTransport``."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.closed = False
        self._raw = b""
        self._pdus: list[bytes] = []

    def take(self) -> list[bytes]:
        """What has come since."""
        self.pump(0)
        pdus, self._pdus = self._pdus, []
        return pdus

    def pump(self, timeout_s: float) -> bool:
        """Take in what is there, or comes in time; False when nothing did."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        came = False
        while not self.closed and poll.poll(0 if came else timeout_s * 1000):
            raw = b""
            try:
                raw = self.socket.recv(1 << 20)
            except ConnectionResetError:
                pass
            self.closed = not raw
            self._raw += raw
            came = True
        while len(self._raw) >= 4:
            end = 4 + int.from_bytes(self._raw[:4], "big")
            if len(self._raw) < end:
                break
            self._pdus.append(self._raw[4:end])
            self._raw = self._raw[end:]
        return came

    def wait_for(self, message_ids: set[int]) -> None:
        """Until each of these requests was answered, or the server has hung up."""
        end = time.monotonic() + SOON
        while not self.closed:
            seen = {_MESSAGE_ID.unpack_from(e)[0] for pdu in self._pdus for e in elements(pdu)}
            if message_ids <= seen:
                return
            assert time.monotonic() < end, f"no answer to {message_ids - seen}"
            self.pump(0.5)


class RealScheduler(Kworkers):
    """Works and timers run by themselves."""

    def __init__(self, pool: Pool, timers: Timers) -> None:
        super().__init__(pool, timers)
        self._all = timers

    @property
    def pending_timers(self) -> int:
        return self._all.pending()

    def drain(self) -> None:
        """Nobody has to run anything."""


class ThreadedEngine(Engine):
    """Ends with ``stop``, or as a context; then its threads are gone."""

    def __init__(
        self, folder: Path, *, workers: int = 2, readers: int = 0, **arguments: Any
    ) -> None:
        self.pool = Pool(workers)
        self.timers = Timers()
        super().__init__(folder, **arguments)
        self.watchdog = Watchdog()
        self.loops = Loops(self.watchdog, self.pool, readers)
        self.notify_reader = NotifyReader(self.server.notify, hold_s=0.01)
        self.server.notify.local = self.notify_reader
        self.clients = Clients(
            self.server,
            dispatch=dispatch,
            admission=cast(Any, SimpleNamespace(leave=lambda _peer: None)),
            loops=self.loops,
            timers=self.timers,
        )
        self._ends: dict[int, SocketTransport] = {}  # by connection number
        self._connecting = threading.Lock()

    def make_scheduler(self) -> Any:
        return RealScheduler(self.pool, self.timers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.clients.close_all()
        assert self.clients.wait_gone(SOON), "a connection does not end"
        self.notify_reader.close()
        self.timers.close()
        self.loops.close()
        self.watchdog.close()
        assert self.pool.shutdown_within(SOON), "a kworker does not end"
        for end in self._ends.values():
            end.socket.close()

    def connection(self, peer: str = PEER) -> tuple[Connection, Any]:
        ours, theirs = socket.socketpair()
        with self._connecting:
            before = set(self.server.connections)
            self.clients.serve(ours, peer)
            (number,) = set(self.server.connections) - before
        self._ends[number] = SocketTransport(theirs)
        return self.server.connections[number], self._ends[number]

    def receive(self, connection: Connection, frame: Buffer) -> None:
        commands = {
            _MESSAGE_ID.unpack_from(element)[0]
            for element in elements(bytes(frame))
            if _COMMAND.unpack_from(element)[0] != Command.CANCEL
        }
        self.post(connection, frame)
        self._ends[connection.number].wait_for(commands)

    def post(self, connection: Connection, frame: Buffer) -> None:
        """Send a frame and wait for nothing."""
        end = self._ends[connection.number]
        try:
            end.socket.sendall(len(frame).to_bytes(4, "big") + bytes(frame))
        except OSError:
            end.closed = True

    def lose(self, connection: Connection) -> None:
        """Break the connection, and wait until nothing is left of it."""
        end = self._ends.pop(connection.number, None)
        if end is not None:
            end.closed = True
            end.socket.close()
        self.eventually(lambda: connection.number not in self.server.connections)

    def eventually(self, true: Callable[[], object], what: str = "") -> None:
        """Wait until something is the case."""
        turn = threading.Event()
        end = time.monotonic() + SOON
        while not true():
            assert time.monotonic() < end, what or "it does not come to pass"
            turn.wait(0.002)


__all__: Sequence[str] = ["SocketTransport", "ThreadedEngine"]
