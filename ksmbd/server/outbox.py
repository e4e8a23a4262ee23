"""The sending half of a connection: whole frames, in turn, and nobody held up for long.

A worker that answers writes with one ``sendmsg`` under the connection's send lock.  A client
that does not read its replies must not pin workers: what the kernel does not take within
PATIENCE_S is copied to the backlog, and a thread of its own, ``ksmbd-tx/<peer>``, writes it
out; later replies of that connection go straight to the backlog.  A client that takes next
to nothing for STALL_S loses the connection.

    free --send--> sending --taken--> free
                      \\--not taken within PATIENCE_S--> slow (thread) --written--> free

A small reply that finds the lock taken is left to the thread that holds it, which sends all
such replies with one system call.  So does the reader with the replies to frames that came
together: while it has more of them to do, ``holding`` is set and small replies wait in the
backlog, for whatever is sent next or for ``flush``.  Frames stay in order.

Locks: ``_turn`` (the send lock, last in the lock order) is held while writing; ``_guard`` is
a leaf below it, only memory is touched under it.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ksmbd.server.quicksend import MOST, quick_send
from ksmbd.wire.base import Buffer

log = logging.getLogger("ksmbd.conn")

PATIENCE_S: Final = 0.25  # a worker waits so long for the kernel or for its turn
STALL_S: Final = 30.0  # seconds in which a slow client must take MIN_PROGRESS
MIN_PROGRESS: Final = 16 << 10  # bytes
SMALL: Final = 64 << 10  # bytes; cheaper to copy than to wait for the send lock
MAX_BACKLOG: Final = 32 << 20  # bytes; beyond it senders wait
HELD: Final = 8 << 10  # bytes of a reply that may wait for the next one, and
MOST_HELD: Final = 16  # of so many, so that none waits long

_IOV_MAX: Final = os.sysconf("SC_IOV_MAX")
_TIMEVAL: Final = struct.Struct("@ll")


class Outbox:
    """Writes the frames of one socket.  ``send`` never raises."""

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        lost: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
        stall_s: float = STALL_S,
    ) -> None:
        """*lost* is called, with the reason, when the connection can no longer be written."""
        self._sock = sock
        self._fd = sock.fileno()  # the socket's as long as somebody can have the send lock
        self._peer = peer
        self._lost = lost
        self._clock = clock
        self._patience_s = patience_s
        self._stall_s = stall_s
        seconds, fraction = divmod(patience_s, 1)
        timeval = _TIMEVAL.pack(int(seconds), int(fraction * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._backlog: deque[Buffer] = deque()  # by self._guard
        self._backlog_size = 0  # by self._guard; bytes in _backlog
        self._sending = False  # set by the holder of _turn, cleared by self._guard too
        self._slow = False  # by self._guard; the thread holds _turn
        self._dead = False  # by self._guard
        self.holding = False  # written by the reader only; others may see it late

    @property
    def slow(self) -> bool:
        """Whether the peer does not keep up with its replies."""
        return self._slow

    def send(self, parts: Sequence[Buffer]) -> None:
        """Write *parts* in order, or have them written; the caller may reuse them afterwards."""
        if self.holding and self._hold(parts):
            return
        if not self._turn.acquire(blocking=False) and not self._take_turn(parts):
            return
        self._sending = True
        if self._backlog:
            with self._guard:
                parts = [*self._take_backlog(), *parts]
        rest = self._write(list(parts))
        while not rest:
            with self._guard:
                if not self._backlog:
                    self._sending = False
                    break
                rest = self._take_backlog()
            rest = self._write(rest)
        else:
            self._go_slow(rest)
            return
        self._turn.release()

    def flush(self) -> None:
        """Write what was held back."""
        self.holding = False
        if self._backlog:
            self.send(())

    def close(self) -> None:
        """Write nothing more; what waits is dropped."""
        with self._guard:
            self._dead = True
            self._backlog.clear()
            self._backlog_size = 0

    def wait_written(self) -> None:
        """Return when nobody is writing."""
        with self._turn:
            pass

    def wait_unused(self) -> None:
        """Return when nobody writes any longer; the socket may be closed then."""
        self._turn.acquire()  # for ever: nobody sends after this

    def _hold(self, parts: Sequence[Buffer]) -> bool:
        """Keep a small reply until the next; False if it must go now."""
        data = b"".join(parts)
        if len(data) > HELD:
            return False
        with self._guard:
            if self._dead or self._sending or len(self._backlog) >= MOST_HELD:
                return False
            self._backlog.append(data)
            self._backlog_size += len(data)
            return True

    def _take_turn(self, parts: Sequence[Buffer]) -> bool:
        """Get the send lock; False if another thread will write *parts*."""
        size = sum(map(len, parts))
        waited = False
        while True:
            if size <= SMALL or waited or self._slow:
                if self._defer(b"".join(parts)):
                    return False
            elif self._dead:
                return False
            if self._turn.acquire(timeout=self._patience_s):
                return True
            waited = True

    def _defer(self, data: bytes) -> bool:
        """Leave *data* to the thread that is sending."""
        with self._guard:
            if self._dead:
                return True
            if not self._sending or self._backlog_size + len(data) > MAX_BACKLOG:
                return False
            self._backlog.append(data)
            self._backlog_size += len(data)
            return True

    def _take_backlog(self) -> list[Buffer]:
        """Everything that waits.  Caller holds the guard."""
        batch = list(self._backlog)
        self._backlog.clear()
        self._backlog_size = 0
        return batch

    def _write(self, parts: list[Buffer]) -> list[Buffer]:
        """Write with the patience of the socket; returns what the kernel did not take."""
        parts = self._write_quickly(parts)
        while parts and not self._dead:
            batch = parts[:_IOV_MAX]
            try:
                sent = self._sock.sendmsg(batch)
            except BlockingIOError:
                return parts
            except OSError as error:
                self._fail(str(error.strerror))
                return []
            if sent < sum(map(len, batch)):
                return _without(parts, sent)
            parts = parts[len(batch) :]
        return []

    def _write_quickly(self, parts: list[Buffer]) -> list[Buffer]:
        """Write little at once; returns what is left, which is all of what is not little."""
        size = sum(map(len, parts))
        if size > MOST or self._dead:
            return parts
        data = b"".join(parts)
        sent = quick_send(self._fd, data)
        if sent == size:
            return []
        return [data[sent:]]

    def _fail(self, why: str) -> None:
        self.close()
        self._lost(why)

    def _go_slow(self, rest: list[Buffer]) -> None:
        """Leave the rest and the send lock to a thread of their own."""
        copy = b"".join(rest)
        with self._guard:
            self._slow = True
            self._backlog.appendleft(copy)
            self._backlog_size += len(copy)
        name = f"ksmbd-tx/{self._peer}"
        try:
            threading.Thread(target=self._flush, name=name, daemon=True).start()
        except RuntimeError:  # the system gives no more threads: do it here
            self._flush()

    def _flush(self) -> None:
        """Write the backlog of a slow client; holds the send lock from ``_go_slow`` on."""
        log.debug("%s: does not keep up with its replies", self._peer)
        since, taken = self._clock(), 0
        rest: list[Buffer] = []
        while True:
            if not rest:
                with self._guard:
                    if not self._backlog:
                        self._slow = self._sending = False
                        break
                    rest = self._take_backlog()
            before = sum(map(len, rest))
            rest = self._write(rest)
            taken += before - sum(map(len, rest))
            now = self._clock()
            if now - since >= self._stall_s:
                if rest and taken < MIN_PROGRESS:
                    self._fail("does not read its replies")
                since, taken = now, 0
        self._turn.release()


def _without(parts: list[Buffer], sent: int) -> list[Buffer]:
    """What is left of *parts* after their first *sent* bytes."""
    for index, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[index + 1 :]]
        sent -= len(part)
    return []
