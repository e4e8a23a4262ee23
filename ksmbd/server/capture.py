"""Captures: what some clients send and are sent, as pcapng, to whoever asked for it.

    begun --> running --the receiver has heard enough, or is gone; close()--> ended, once

While one runs, the readers of the chosen connections are given a ``Tapped`` in the place of their
dispatch, and their transports call it before they send: each frame is copied into the capture's
queue, and ``ksmbd/capture`` makes packets of it and writes them.  Nobody waits for that thread:
what finds the queue full is counted, and the capture says where it is missing.

Locks: ``_lock`` guards the queue; a leaf.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from time import time_ns
from typing import Final, NamedTuple

import ksmbd
from ksmbd.crypto.sealing import Unsealer
from ksmbd.server.reader import Dispatch
from ksmbd.state.connection import Connection
from ksmbd.state.session import Session
from ksmbd.state.work import Work
from ksmbd.wire import pcapng
from ksmbd.wire.base import Buffer
from ksmbd.wire.header import (
    SESSION_ID_OFFSET,
    SMB2_PROTOCOL_ID,
    TRANSFORM_PROTOCOL_ID,
    TRANSFORM_SIZE,
)
from ksmbd.wire.nbss import PREFIX_SIZE, pack_length, unpack_length
from ksmbd.wire.pcapng import INBOUND, OUTBOUND, Endpoint, Flow, Statistics
from ksmbd.wire.status import Disconnect

log = logging.getLogger("ksmbd.conn")

ROOM: Final = 32 << 20  # bytes of frames that wait to be written
SMB_PORT: Final = 445  # the server's in packets, whatever it is: Wireshark knows it
CLOSE_S: Final = 1.0  # for the thread to end, when the server does
_MANY: Final = 64  # connections
_OVERHEAD: Final = 256  # bytes that a frame takes besides its own, about

_SESSION_ID_AT: Final = {
    SMB2_PROTOCOL_ID: SESSION_ID_OFFSET,
    TRANSFORM_PROTOCOL_ID: TRANSFORM_SIZE - 8,
}
_NOWHERE: Final = IPv4Address(0)


class Selection(NamedTuple):
    """Whom to capture; what is not None decides."""

    network: IPv4Network | IPv6Network | None = None  # of the client's address
    connection: int | None = None  # its number
    session: int | None = None  # its id: what is said in it, on whatever connections

    def wants(self, connection: Connection) -> bool:
        """Whether anything that is said on *connection* may be wanted."""
        if self.connection is not None:
            return connection.number == self.connection
        if self.network is not None:
            return _address(connection.peer) in self.network
        return self.session is not None

    def wants_frame(self, connection: Connection, frame: Buffer) -> bool:
        """Of a wanted connection: whether it is this one.

        A frame without a session's id, a NEGOTIATE or a break, is the session's if its connection
        is.
        """
        if self.session is None:
            return True
        session_id = _session_id(frame)
        if not session_id:
            return self.session in connection.sessions
        return session_id == self.session


class Taken(NamedTuple):
    """A frame on its way to be written."""

    stream: Stream
    direction: int
    data: bytes  # with its length before it
    ns: int
    session: Session | None  # whose key it is under
    lost: int  # frames before it that were not taken
    lost_bytes: int


class Stream:
    """One connection in one capture; ``lost`` counts by direction, by the capture's lock."""

    __slots__ = ("flow", "lost", "lost_bytes", "unsealers")

    def __init__(self, connection: Connection, port: int) -> None:
        client, server = _address(connection.peer), _address(connection.transport.local)
        self.flow = Flow(Endpoint(client, port), Endpoint(server, SMB_PORT))
        self.lost = {INBOUND: 0, OUTBOUND: 0}
        self.lost_bytes = {INBOUND: 0, OUTBOUND: 0}
        self.unsealers: dict[int, Unsealer] = {}  # of sessions: of what we send


class Capture:
    """One capture, from its beginning to its end."""

    def __init__(
        self,
        selection: Selection,
        *,
        decrypted: bool,
        ended: Callable[[Capture], None],
        room: int = ROOM,
    ) -> None:
        """*ended* is called once, when nothing more is to be taken, on a thread of ours."""
        self.selection = selection
        self._decrypted = decrypted
        self._ended = ended
        self._room = room
        self._lock = threading.Lock()
        self._queue: deque[Taken] = deque()  # by self._lock
        self._waiting = 0  # by self._lock; bytes in the queue
        self._frames = 0  # by self._lock; taken so far
        self._dropped = 0  # by self._lock; frames for which there was no room
        self._closed = False  # only ever becomes true
        # By self._lock; by connection number.  Those that have ended go from time to time.
        self._streams: dict[int, tuple[Connection, Stream]] = {}
        self._many = _MANY  # by self._lock; look for those that have ended when there are so many
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Not before nobody can write to it any more, when its number may be another's.
        weakref.finalize(self, os.close, self._wake)
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="ksmbd/capture", daemon=True)

    def start(self, sock: socket.socket) -> None:
        """Write to *sock* from now on, and close it at the end; its owner says so by EOF."""
        self._socket = sock
        self._thread.start()

    def close(self) -> None:
        """End it for good: what waits is written if the receiver takes it at once."""
        self._closed = True
        self._ring()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    # -- by those who serve clients ------------------------------------------------------

    def take(
        self, connection: Connection, stream: Stream, direction: int, parts: Sequence[Buffer]
    ) -> None:
        """Copy a frame with its length, if it is wanted and there is room.  Never waits."""
        if self._closed or not self.selection.wants_frame(connection, _start(parts)):
            return
        size = sum(map(len, parts))
        if self._waiting + size > self._room:
            with self._lock:
                self._dropped += 1
                stream.lost[direction] += 1
                stream.lost_bytes[direction] += size
            return
        data = b"".join(parts)
        session = _session(connection, data) if self._decrypted else None
        with self._lock:
            lost, stream.lost[direction] = stream.lost[direction], 0
            lost_bytes, stream.lost_bytes[direction] = stream.lost_bytes[direction], 0
            taken = Taken(stream, direction, data, time_ns(), session, lost, lost_bytes)
            self._queue.append(taken)
            self._waiting += size + _OVERHEAD
            self._frames += 1
            first = len(self._queue) == 1
        if first:
            self._ring()

    def stream(self, connection: Connection, port: int) -> Stream:
        """What *connection*, from that port of its client, is in this capture."""
        with self._lock:
            streams = self._streams
            if connection.number not in streams:
                if len(streams) >= self._many:
                    for number in [n for n, (made, _) in streams.items() if made.closed]:
                        del streams[number]
                    self._many = 2 * len(streams) + _MANY
                streams[connection.number] = connection, Stream(connection, port)
            return streams[connection.number][1]

    def _ring(self) -> None:
        """Have the thread look at the queue."""
        with contextlib.suppress(BlockingIOError):  # it has more than enough reason to
            os.eventfd_write(self._wake, 1)

    # -- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        sock = self._socket
        assert sock is not None
        try:
            self._serve(sock)
        except OSError as gone:
            log.debug("capture: %s", gone)
        except Exception:
            log.exception("capture: a bug in the server")
        finally:
            self._closed = True
            self._ended(self)
            sock.close()
            with self._lock:
                self._queue.clear()
            log.info("a capture has ended: %d frames, %d dropped", self._frames, self._dropped)

    def _serve(self, sock: socket.socket) -> None:
        """Write what comes until nobody wants more; then what is still there, and the end."""
        what = "decrypted" if self._decrypted else "as it was sent"
        comment = f"SMB2 {what}; the packets around it, and port {SMB_PORT}, are made up"
        sock.sendall(pcapng.section(f"ksmbd {ksmbd.__version__}", comment))
        sock.sendall(pcapng.interface("ksmbd"))
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLRDHUP)
        poll.register(self._wake, select.POLLIN)
        enough = False
        while not enough:
            for fd, _ in poll.poll():
                if fd == self._wake:
                    os.eventfd_read(self._wake)
                else:
                    enough = not sock.recv(4096)  # what it may say means nothing
            if self._closed:
                enough = True
                sock.settimeout(CLOSE_S)
            self._write(sock)
        self._closed = True
        self._write(sock)
        sock.sendall(pcapng.statistics(Statistics(self._frames, self._dropped), time_ns()))

    def _write(self, sock: socket.socket) -> None:
        """All that waits."""
        while True:
            with self._lock:
                if not self._queue:
                    return
                taken = self._queue.popleft()
                self._waiting -= len(taken.data) + _OVERHEAD
            sock.sendall(b"".join(self._packets(taken)))

    def _packets(self, taken: Taken) -> list[bytes]:
        flow, lost = taken.stream.flow, taken.lost
        if lost:
            flow.skip(taken.direction, taken.lost_bytes)
        data = taken.data if taken.session is None else _opened(taken, taken.session)
        blocks = []
        for packet in flow.packets(taken.direction, data):
            blocks.append(pcapng.packet(packet, taken.ns, taken.direction, lost))
            lost = 0
        return blocks


class Tapped:
    """``ksmbd.server.reader.Dispatch`` for one connection that is captured."""

    def __init__(
        self, connection: Connection, port: int, inner: Dispatch, captures: Sequence[Capture]
    ) -> None:
        self._connection = connection
        self._captures = [(capture, capture.stream(connection, port)) for capture in captures]
        self._receive = inner.receive
        self.is_direct = inner.is_direct
        self.in_order = inner.in_order
        self.queued = inner.queued
        self.run = inner.run

    def receive(self, connection: Connection, frame: memoryview, /) -> Work | None:
        parts = (pack_length(len(frame)), frame)
        for capture, stream in self._captures:
            capture.take(connection, stream, INBOUND, parts)
        return self._receive(connection, frame)

    def sent(self, parts: Sequence[Buffer]) -> None:
        for capture, stream in self._captures:
            capture.take(self._connection, stream, OUTBOUND, parts)


def _session(connection: Connection, data: bytes) -> Session | None:
    """The session whose key the frame is under, if it is under one."""
    if data[PREFIX_SIZE : PREFIX_SIZE + 4] != TRANSFORM_PROTOCOL_ID:
        return None
    return connection.sessions.get(_session_id(memoryview(data)[PREFIX_SIZE:]))


def _opened(taken: Taken, session: Session) -> bytes:
    """The message inside, with its length; as it came if the session's key does not open it."""
    unsealer = _unsealer(taken, session)
    if unsealer is None or unpack_length(taken.data) + PREFIX_SIZE != len(taken.data):
        return taken.data
    try:
        message = unsealer.unseal(memoryview(taken.data)[PREFIX_SIZE:])
    except Disconnect:
        return taken.data
    return b"".join((pack_length(len(message)), message))


def _unsealer(taken: Taken, session: Session) -> Unsealer | None:
    if taken.direction == INBOUND:
        return session.unsealer
    known = taken.stream.unsealers
    if session.session_id not in known and session.sealer is not None:
        known.clear()  # one is enough, as a rule
        known[session.session_id] = session.sealer.unsealer()
    return known.get(session.session_id)


def _start(parts: Sequence[Buffer]) -> Buffer:
    """The beginning of the frame behind its length, with the SessionId."""
    first = parts[0]
    return parts[1] if len(first) == PREFIX_SIZE else memoryview(first)[PREFIX_SIZE:]


def _session_id(frame: Buffer) -> int:
    """That of its first header, or of its transform header; 0: none."""
    at = _SESSION_ID_AT.get(bytes(frame[:4]))
    return int.from_bytes(frame[at : at + 8], "little") if at is not None else 0


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:  # a socket pair
        return _NOWHERE
