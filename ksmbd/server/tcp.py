"""SMB2 over TCP: frames in, parts out, [MS-SMB2] 2.1.

Receiving: one ``recv_into`` a reused buffer may bring several small frames, each handed out
as a ``bytearray`` of its own (cheaper than a view for a few hundred bytes, and it can be
decrypted in place).  A frame above LARGE is received straight into a pooled buffer and handed
out as a ``memoryview`` of it; ``give_back`` returns it.  After a large frame the next ``recv``
asks for little, so that bulk data is not first copied through the small buffer.

The receive side has no lock: it belongs to the thread that holds the connection's reader
role (``ksmbd/server/reader.py``), and so do the bytes that were received but not yet parsed.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

from ksmbd.server.outbox import Outbox
from ksmbd.state.buffers import Buffers
from ksmbd.wire.base import Buffer
from ksmbd.wire.status import Disconnect

log = logging.getLogger("ksmbd.conn")

LARGE: Final = 32 << 10  # bytes; a longer frame gets a buffer of its own
RECEIVE_BUFFER: Final = 64 << 10
ASK_AFTER_LARGE: Final = 512  # bytes; holds a length and the fixed part of a WRITE
ALWAYS_TAKEN: Final = 64 << 10  # bytes; only for longer frames the limit is asked for
PREFIX: Final = 4  # bytes of the length before each frame
MIN_FRAME: Final = 4  # bytes; shorter than a ProtocolId

FRAME_PATIENCE_S: Final = 7.0  # a frame that was begun is complete after this ...
MIN_RATE: Final = 16 << 10  # ... and a second more for so many bytes

KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4

_LENGTH: Final = struct.Struct(">I")
_TCP_INFO: Final = struct.Struct("=120xQQ")  # of struct tcp_info: bytes_acked, bytes_received


class TcpTransport:
    """One connected socket; ``ksmbd.state.transport.Transport`` and the receiving half."""

    def __init__(
        self,
        sock: socket.socket,
        buffers: Buffers,
        *,
        clock: Callable[[], float] = time.monotonic,
        outbox: Callable[[socket.socket, str, Callable[[str], None]], Outbox] = Outbox,
    ) -> None:
        self.peer = address_text(sock.getpeername())
        self.local = address_text(sock.getsockname())
        self.limit: Callable[[], int] = _only_what_is_always_taken  # bytes of the longest frame
        self.closed = False  # only ever becomes true
        self.deadline = 0.0  # by when the frame begun must be complete; 0: none is begun
        self._sock = sock
        self._buffers = buffers
        self._clock = clock
        self._buffer = bytearray(RECEIVE_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # unparsed bytes of _buffer
        self._ask = RECEIVE_BUFFER
        _configure(sock)
        self._outbox = outbox(sock, self.peer, self._lost)
        self.send: Callable[[Sequence[Buffer]], None] = self._outbox.send

    @property
    def slow(self) -> bool:
        """Whether the peer does not keep up with its replies."""
        return self._outbox.slow

    def traffic(self) -> tuple[int, int]:
        """Bytes received, and bytes sent that the peer has; the kernel counts them anyhow."""
        try:
            raw = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except OSError:  # closed meanwhile
            return 0, 0
        if len(raw) < _TCP_INFO.size:
            return 0, 0
        acknowledged, received = _TCP_INFO.unpack(raw)
        return received, acknowledged

    def wait_written(self) -> None:
        """Return when a slow peer has taken what waited for it, or the connection is closed."""
        self._outbox.wait_written()

    def next_frame(self) -> Buffer | None:
        """The next whole PDU, without its length; None when the connection has ended.

        Raises Disconnect for a length that is malformed or above the limit.
        """
        while not self.closed:
            have = self._end - self._start
            if have >= PREFIX:
                length = self._length()
                start = self._start + PREFIX
                if length <= have - PREFIX:
                    self._start = start + length
                    self.deadline = 0.0
                    self._outbox.holding = self._whole_frame_follows()
                    return self._buffer[start : self._start]
                if length > LARGE:
                    self._outbox.flush()
                    return self._receive_large(length)
                if start + length > RECEIVE_BUFFER:
                    self._compact()
            elif not have:
                self._start = self._end = 0
            elif self._start + PREFIX > RECEIVE_BUFFER:
                self._compact()
            if have and not self.deadline:
                self.deadline = self._clock() + FRAME_PATIENCE_S
            self._outbox.flush()  # nothing may wait for frames that are yet to come
            if not self._receive():
                return None
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
        room = self._view[self._end : min(self._end + self._ask, RECEIVE_BUFFER)]
        self._ask = RECEIVE_BUFFER
        try:
            count = self._sock.recv_into(room)
        except OSError as error:
            log.debug("%s: %s", self.peer, error.strerror)
            return False
        self._end += count
        return count > 0

    def _receive_large(self, length: int) -> memoryview | None:
        """The rest of a large frame straight into a buffer of its own."""
        self.deadline = self._clock() + FRAME_PATIENCE_S + length / MIN_RATE
        frame = memoryview(self._buffers.take(length))[:length]
        start = self._start + PREFIX
        have = self._end - start
        frame[:have] = self._view[start : self._end]
        self._start = self._end = 0
        self._ask = ASK_AFTER_LARGE
        try:
            while have < length:
                count = self._sock.recv_into(frame[have:], 0, socket.MSG_WAITALL)
                if not count:
                    return None
                have += count
        except OSError as error:
            log.debug("%s: %s", self.peer, error.strerror)
            return None
        self.deadline = 0.0
        return frame

    def _compact(self) -> None:
        """Move the unparsed bytes to the front."""
        have = self._end - self._start
        self._view[:have] = self._view[self._start : self._end]
        self._start, self._end = 0, have

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


def _only_what_is_always_taken() -> int:
    return ALWAYS_TAKEN


def _configure(sock: socket.socket) -> None:
    """No delay for small replies; notice a peer that has vanished."""
    sock.setblocking(True)
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
