"""SMB2 over TCP: frames in, parts out, [MS-SMB2] 2.1.

``receive`` takes what the socket has, and waits for it only if told to; ``next_frame`` hands it
out frame by frame.  One call may bring several small frames, each handed out as a ``bytearray`` of
its own (cheaper than a view where it is short, and it can be decrypted in place).  A frame
above LARGE is received straight into a pooled buffer and handed out as a ``memoryview`` of it;
``give_back`` returns it.  After a large frame the next call asks for little, so that bulk data is
not first copied through the small buffer.

A connection from which nothing is half received has no buffer of its own: it borrows one of
*spare*, which those who read share.

The receive side has no lock: it belongs to the thread that holds the reader role
(``ksmbd/server/loop.py``), and so do the bytes that were received but not yet parsed.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

from ksmbd.server.outbox import Outbox
from ksmbd.state.buffers import Buffers
from ksmbd.wire.base import Buffer
from ksmbd.wire.marked import Client
from ksmbd.wire.status import Disconnect

log = logging.getLogger("ksmbd.conn")

# Two WRITEs of 64 KiB, a size that many programs write in, come with one call, and are answered
# with one: each for itself costs half as much again (docs/performance.md).
LARGE: Final = 72 << 10  # bytes; a longer frame gets a buffer of its own
RECEIVE_BUFFER: Final = 160 << 10
ASK_AFTER_LARGE: Final = 512  # bytes; holds a length and the fixed part of a WRITE
MAX_SPARE: Final = 32  # receive buffers; more are given back to the system
ALWAYS_TAKEN: Final = 64 << 10  # bytes; only for longer frames the limit is asked for
PREFIX: Final = 4  # bytes of the length before each frame
MIN_FRAME: Final = 4  # bytes; shorter than a ProtocolId

FRAME_PATIENCE_S: Final = 7.0  # a frame that was begun is complete after this ...
MIN_RATE: Final = 16 << 10  # ... and a second more for so many bytes

WAKE_AT: Final = 256 << 10  # bytes of a large frame that are worth waking for
MUCH: Final = 256 << 10  # bytes of a frame that is worth a thread of its own

IDLE_S: Final = 1  # without a byte; then who waits for more waits without a buffer

KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4
# What is sent is acknowledged by the peer's kernel within this time, or the connection is lost.
# Linux alone would go on for a quarter of an hour, while others wait for what the peer has open;
# this is less than they wait for a break that nobody answers: smbtorture's smb2.oplock.batch22b.
UNACKNOWLEDGED_MS: Final = 30_000

_LENGTH: Final = struct.Struct(">I")
# of struct tcp_info: retransmits, unacked, bytes_acked, bytes_received
_TCP_INFO: Final = struct.Struct("=2xB21xI92xQQ")
_IDLE: Final = struct.pack("ll", IDLE_S, 0)  # struct timeval
_NO_LINGER: Final = struct.pack("ii", 1, 0)  # what was not acknowledged is given up
_NO_BUFFER: Final = bytearray()


class TcpTransport:
    """One connected socket; ``ksmbd.state.transport.Transport`` and the receiving half."""

    def __init__(
        self,
        sock: socket.socket,
        buffers: Buffers,
        *,
        spare: list[bytearray] | None = None,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """*spare*: receive buffers that nobody uses now, shared by all connections.

        *run* has a kworker call something.
        """
        peer, local = sock.getpeername(), sock.getsockname()
        self.peer: str = Client(address_text(peer))
        self.local = address_text(local)
        self.peer_port = _port(peer)
        self.limit: Callable[[], int] = _only_what_is_always_taken  # bytes of the longest frame
        self.closed = False  # only ever becomes true
        self.deadline = 0.0  # by when the frame begun must be complete; 0: none is begun
        self._sock = sock
        self._buffers = buffers
        self._clock = clock
        self._patient = False  # who reads has nothing else to read, and waits for more to come
        self._spare = [] if spare is None else spare
        self._buffer: bytearray = _NO_BUFFER
        self._start = self._end = 0  # unparsed bytes of _buffer
        self._ask = RECEIVE_BUFFER
        self._large: memoryview | None = None  # the frame that is being received
        self._have = 0  # bytes of it
        self.expecting = False  # whether more is probably there already
        # A frame of MUCH or more has begun, or a long reply was sent; for the reader to clear.
        self.brings_much = False
        self._woken_at = 1  # SO_RCVLOWAT
        _configure(sock)
        self._outbox = Outbox(sock, self.peer, self._lost, run=run, much=self._much)
        self.send: Callable[[Sequence[Buffer]], None] = self._outbox.send

    @property
    def slow(self) -> bool:
        """Whether the peer does not keep up with its replies."""
        return self._outbox.slow

    def traffic(self) -> tuple[int, int]:
        """Bytes received, and bytes sent that the peer has; the kernel counts them anyhow."""
        _, _, acknowledged, received = self._tcp_info()
        return received, acknowledged

    def resent(self) -> int | None:
        """How often TCP has sent again what the peer has not acknowledged; None: it has all."""
        retransmits, unacknowledged, _, _ = self._tcp_info()
        return retransmits if unacknowledged else None

    def _tcp_info(self) -> tuple[int, ...]:
        """See ``_TCP_INFO``; all 0 for what is closed or no TCP."""
        try:
            raw = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except OSError:
            raw = b""
        return _TCP_INFO.unpack(raw) if len(raw) == _TCP_INFO.size else (0, 0, 0, 0)

    def fileno(self) -> int:
        return self._sock.fileno()

    def when_written(self, call: Callable[[], None]) -> None:
        """Have *call* called each time a slow peer has taken what waited for it."""
        self._outbox.written = call

    def tap(self, tap: Callable[[Sequence[Buffer]], None] | None) -> None:
        """Have *tap* called with what is to be sent, each time before it is; None: nobody."""
        send = self._outbox.send
        if tap is None:
            self.send = send
            return

        def tapped(parts: Sequence[Buffer]) -> None:
            tap(parts)
            send(parts)

        self.send = tapped

    def flush(self) -> None:
        """Send the replies that were held back for more."""
        self._outbox.flush()

    def be_patient(self, patient: bool) -> None:
        """Whether ``receive`` waits; for who has the reader role."""
        self._patient = patient
        if patient:
            self._wake_at(1)
        elif self._start == self._end:
            self._lend()

    def receive(self) -> bool:
        """Take what the socket has; False at the end of the stream, or of the connection."""
        self.expecting = False
        if self.closed:
            return False
        try:
            if self._large is not None:
                return self._receive_large(self._large)
            if not self._receive():
                return False
        except BlockingIOError:
            if self._patient and self._large is None and self._start == self._end:
                self._wait_idle()
            return True
        except OSError as error:
            log.debug("%s: %s", self.peer, error.strerror)
            return False
        return True

    def _wait_idle(self) -> None:
        """Wait for more without a buffer: a thousand idle clients would have a thousand."""
        self._lend()
        arrived = select.poll()
        arrived.register(self._sock, select.POLLIN)
        arrived.poll()

    def next_frame(self) -> Buffer | None:
        """The next whole PDU, without its length; None if it is not here yet.

        Raises Disconnect for a length that is malformed or above the limit.
        """
        if self.closed:
            return None
        have = self._end - self._start
        if have >= PREFIX:
            length = self._length()
            start = self._start + PREFIX
            if length <= have - PREFIX:
                self._start = end = start + length
                self.deadline = 0.0
                self._outbox.holding = end != self._end and self._whole_frame_follows()
                return self._buffer[start:end]
            if length > LARGE:
                self._begin_large(length)
                return None
            if start + length > RECEIVE_BUFFER:
                self._compact()
        elif self._large is not None:
            return self._finished()
        elif not have:
            if self._patient:  # who reads is about to wait for more, with this buffer
                self._start = self._end = 0
            else:
                self._lend()
            return None
        elif self._start + PREFIX > RECEIVE_BUFFER:
            self._compact()
        if not self.deadline:
            self.deadline = self._clock() + FRAME_PATIENCE_S
        return None

    def _whole_frame_follows(self) -> bool:
        """Whether the next frame is here already, so that the reply to this one may wait."""
        start = self._start + PREFIX
        if start > self._end:
            return False
        (length,) = _LENGTH.unpack_from(self._buffer, self._start)
        return bool(length <= self._end - start)

    def give_back(self, frame_buffer: bytearray) -> None:
        """Reuse the buffer of a large frame, unless somebody still looks at it.

        The caller has dropped its own views.  A bytearray that is exported refuses to change
        its size: then it is left to the garbage collector.
        """
        try:
            frame_buffer.append(frame_buffer.pop())
        except BufferError:
            return
        self._buffers.give(frame_buffer)

    def close(self) -> None:
        self.closed = True
        self._outbox.close()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def abort(self) -> None:
        """Close with a reset, which a peer hears whose own packets do not get through."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.close()

    def dispose(self) -> None:
        """Close the descriptor; called once, by the reader, which will receive no more."""
        self.close()
        self._outbox.wait_unused()
        self._sock.close()

    def _length(self) -> int:
        """The length of the frame at the start of the buffer."""
        length: int = _LENGTH.unpack_from(self._buffer, self._start)[0]
        if length > ALWAYS_TAKEN and length > self.limit():
            if length >> 24:
                raise Disconnect(f"length prefix begins with {length >> 24:#04x}")
            raise Disconnect(f"frame of {length} bytes")
        if length < MIN_FRAME:
            raise Disconnect(f"frame of {length} bytes")
        return length

    def _receive(self) -> bool:
        """Receive some more behind the unparsed bytes; False at the end of the stream."""
        if self._buffer is _NO_BUFFER:
            try:
                self._buffer = self._spare.pop()
            except IndexError:  # whoever read in another thread may have taken the last
                self._buffer = bytearray(RECEIVE_BUFFER)
        ask, self._ask = self._ask, RECEIVE_BUFFER
        flags = 0 if self._patient else socket.MSG_DONTWAIT
        end = self._end
        if end or ask < RECEIVE_BUFFER:
            room = memoryview(self._buffer)[end : min(end + ask, RECEIVE_BUFFER)]
            count = self._sock.recv_into(room, 0, flags)
        else:
            count = self._sock.recv_into(self._buffer, 0, flags)
        self._end = end + count
        return count > 0

    def _lend(self) -> None:
        """Nothing is half received: others may use the buffer."""
        if self._buffer is not _NO_BUFFER:
            if len(self._spare) < MAX_SPARE:
                self._spare.append(self._buffer)
            self._buffer = _NO_BUFFER
            self._start = self._end = 0

    def _begin_large(self, length: int) -> None:
        """The rest of a large frame goes straight into a buffer of its own."""
        self.deadline = self._clock() + FRAME_PATIENCE_S + length / MIN_RATE
        self._large = frame = memoryview(self._buffers.take_frame(length))[:length]
        start = self._start + PREFIX
        self._have = have = self._end - start
        frame[:have] = memoryview(self._buffer)[start : self._end]
        self._start = self._end
        self._lend()
        self._ask = ASK_AFTER_LARGE
        self.expecting = True
        if length >= MUCH:
            self.brings_much = True

    def _receive_large(self, frame: memoryview) -> bool:
        """Some more of a large frame; False at the end of the stream."""
        have = self._have
        rest = frame[have:] if have else frame
        if self._patient:
            count = self._sock.recv_into(rest, 0, socket.MSG_WAITALL)
            self._have = have + count
            return count > 0
        count = self._sock.recv_into(rest, 0, socket.MSG_DONTWAIT)
        self._have = have = have + count
        self._wake_at(max(min(len(frame) - have, WAKE_AT), 1))
        return count > 0

    def _wake_at(self, size: int) -> None:
        """Let the kernel tell of bytes that came when there are so many, or the stream ends."""
        if size != self._woken_at and (size == WAKE_AT or self._woken_at != 1):
            self._woken_at = size
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def _finished(self) -> memoryview | None:
        """The large frame, when all of it is here."""
        frame = self._large
        if frame is None or self._have < len(frame):
            return None
        self._large = None
        self.deadline = 0.0
        return frame

    def _compact(self) -> None:
        """Move the unparsed bytes to the front."""
        have = self._end - self._start
        self._buffer[:have] = self._buffer[self._start : self._end]
        self._start, self._end = 0, have

    def _much(self) -> None:
        """By whoever sends a long reply; a mark that comes late does no harm."""
        self.brings_much = True

    def _lost(self, why: str) -> None:
        if not self.closed:
            log.info("%s: cannot send: %s", self.peer, why)
        self.close()


def address_text(address: object) -> str:
    """An address from the socket module as text; IPv4 in IPv6 is IPv4."""
    if not isinstance(address, tuple):
        return "local"  # a socket pair
    text = str(address[0])
    return text.removeprefix("::ffff:") if "." in text else text


def _port(address: object) -> int:
    return address[1] if isinstance(address, tuple) else 0


def _only_what_is_always_taken() -> int:
    return ALWAYS_TAKEN


def _configure(sock: socket.socket) -> None:
    """No delay for small replies; notice a peer that has vanished."""
    sock.setblocking(True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _IDLE)
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
