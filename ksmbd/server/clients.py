"""The connections the server has now: from accept to the end, and those that must go.

    accepted --admitted--> served --end of stream, too slow, idle, shutdown--> lost

``sweep`` closes a connection that

    began a frame and does not complete it            ``TcpTransport.deadline``
    has not negotiated after NEGOTIATE_S
    has not logged on after LOG_ON_S, whatever it sent meanwhile
    was idle for ``deadtime`` and has no file open    [MS-SMB2] has no such rule; Samba and ksmbd do

It runs from a timer, and only while there are connections.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from ksmbd.server.listener import Admission
from ksmbd.server.loops import Loops
from ksmbd.server.reader import Dispatch, Reader
from ksmbd.server.tcp import TcpTransport
from ksmbd.server.timers import Timers
from ksmbd.state.connection import Connection
from ksmbd.state.server import Server
from ksmbd.state.transport import Scheduler

log = logging.getLogger("ksmbd.conn")

SWEEP_S: Final = 2.0
NEGOTIATE_S: Final = 15.0
LOG_ON_S: Final = 60.0


# What the reader of a connection is to call; it may tap the transport, too.
Watched = Callable[[Connection, TcpTransport], Dispatch]


class Client:
    """One connection with what moves its bytes."""

    __slots__ = ("active", "connection", "frames", "reader", "since", "transport")

    def __init__(
        self, connection: Connection, transport: TcpTransport, reader: Reader, now: float
    ) -> None:
        self.connection = connection
        self.transport = transport
        self.reader = reader
        self.since = now
        self.active = now  # when ``sweep`` last saw that frames had come
        self.frames = 0  # so many then


class Clients:
    """Serves admitted sockets and keeps the table of them."""

    def __init__(
        self,
        server: Server,
        *,
        dispatch: Dispatch,
        admission: Admission,
        loops: Loops,
        timers: Timers,
        direct: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._dispatch = dispatch
        self._watched: Watched | None = None  # by self._lock
        self._admission = admission
        self._loops = loops
        self._timers = timers
        self._pool: Scheduler = server.scheduler
        self._direct = direct
        self._clock = clock
        self._lock = threading.Lock()
        self._fewer = threading.Condition(self._lock)
        self._clients: dict[int, Client] = {}  # by self._lock; connection number -> client
        self._sweeping = False  # by self._lock
        self._closed = False  # by self._lock

    def serve(self, sock: socket.socket, peer: str) -> None:
        """Take a connection over; for a Listener, which counted it in.

        Raises OSError if it is gone already, RuntimeError if no thread can be started; nothing
        of it is left then.
        """
        transport = TcpTransport(
            sock,
            self._server.buffers,
            spare=self._loops.spare,
            clock=self._clock,
            run=self._pool.run,
        )
        connection = self._server.new_connection(transport)
        transport.limit = lambda: connection.max_frame
        loop, own_thread = self._loops.place(connection.number, peer)
        reader = Reader(
            connection,
            transport,
            dispatch=self._dispatch,
            pool=self._pool,
            loop=loop,
            own_thread=own_thread,
            lost=self._lost,
            direct=self._direct,
        )
        client = Client(connection, transport, reader, self._clock())
        with self._lock:
            self._clients[connection.number] = client
            if self._watched is not None:
                reader.dispatch = self._watched(connection, transport)
            closed = self._closed
            sweep, self._sweeping = not self._sweeping, True
        if sweep:
            self._timers.call_later(SWEEP_S, self._sweep_again)
        if closed:
            transport.close()
        log.debug("%s: connection %d", peer, connection.number)
        try:
            reader.start()
        except RuntimeError:
            self._forget(connection)
            raise

    def all(self) -> list[Client]:
        with self._lock:
            return list(self._clients.values())

    def redirect(self, watched: Watched) -> None:
        """Have the reader of every connection, now and from now on, call what this returns."""
        with self._lock:
            self._watched = watched
            for client in self._clients.values():
                client.reader.dispatch = watched(client.connection, client.transport)

    def sweep(self) -> None:
        """Close every connection that has outstayed its time."""
        now = self._clock()
        deadtime = self._server.settings.deadtime_s
        for client in self.all():
            why = _outstayed(client, now, deadtime)
            if why is not None:
                log.info("%s: dropped: %s", client.transport.peer, why)
                client.transport.close()

    def idle(self) -> dict[int, float]:
        """Seconds since something came from each connection, by its number, as ``sweep`` saw it."""
        now = self._clock()
        return {
            client.connection.number: now - client.active
            if client.reader.frames == client.frames
            else 0.0
            for client in self.all()
        }

    def close_all(self) -> None:
        """Close every connection; later ones are closed at once."""
        with self._lock:
            self._closed = True
        self.drop_all()

    def drop_all(self) -> None:
        """Close every connection that is there now."""
        for client in self.all():
            client.transport.close()

    def wait_gone(self, deadline_s: float) -> bool:
        """Wait until no connection is left; False if some still are after *deadline_s*."""
        with self._fewer:
            return self._fewer.wait_for(lambda: not self._clients, deadline_s)

    def _sweep_again(self) -> None:
        self.sweep()
        self._server.buffers.trim()
        with self._lock:
            self._sweeping = more = bool(self._clients)
        if more:
            self._timers.call_later(SWEEP_S, self._sweep_again)
        else:
            self._server.buffers.clear()

    def _lost(self, connection: Connection) -> None:
        """By the reader, once for every connection whose reader was started."""
        log.debug("%s: connection %d has ended", connection.peer, connection.number)
        try:
            self._forget(connection)
        finally:
            self._admission.leave(connection.peer)

    def _forget(self, connection: Connection) -> None:
        try:
            self._server.connection_lost(connection)
        finally:
            with self._fewer:
                self._clients.pop(connection.number, None)
                self._fewer.notify_all()


def _outstayed(client: Client, now: float, deadtime: float) -> str | None:
    """Why the connection must go; None: it may stay."""
    deadline = client.transport.deadline
    if deadline and now >= deadline:
        return "a frame was begun and not completed"
    connection = client.connection
    if not connection.negotiated and now - client.since >= NEGOTIATE_S:
        return "not negotiated in time"
    if not connection.authenticated and now - client.since >= LOG_ON_S:
        return "not logged on in time"
    frames = client.reader.frames
    if frames != client.frames:
        client.frames, client.active = frames, now
    elif deadtime and now - client.active >= deadtime and not _has_opens(connection):
        return f"idle for {deadtime} s"
    return None


def _has_opens(connection: Connection) -> bool:
    with connection.lock:
        sessions = list(connection.sessions.values())
    return any(session.opens for session in sessions)
