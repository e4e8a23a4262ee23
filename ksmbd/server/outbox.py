"""The sending half of a connection: whole frames, in turn, and nobody held up for long.

Whoever answers writes under the connection's send lock: a short reply without waiting, for it
may be the reader of all connections who writes; what the kernel does not take of it at once a
kworker writes.  A kworker waits up to PATIENCE_S; what is left then is copied to the backlog,
and a thread of its own, ``ksmbd-tx/<peer>``, writes it out.  Meanwhile the connection is *slow*:
later replies go straight to the backlog, and its reader takes no more work.  A client that takes
next to nothing for STALL_S loses the connection.

    free --send--> sending --taken--> free
                      \\--short, not taken at once--> slow (kworker) --written--> free
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
SHORT: Final = 320 << 10  # bytes; for so few nobody waits, neither for the lock nor the kernel
MUCH: Final = 1 << 20  # bytes of backlog, from which on its reader takes no more work
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
        run: Callable[[Callable[[], None]], object] | None = None,
        much: Callable[[], None] | None = None,
    ) -> None:
        """*lost* is called, with the reason, when the connection can no longer be written.

        *much* is called for each reply that is not SHORT.

        *run* has a kworker call something; without it a thread is started for that.
        """
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
        self._run = run or self._start
        self._much = much or _nobody_waits
        self.written: Callable[[], None] = _nobody_waits  # called when slow comes to an end
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._backlog: deque[Buffer] = deque()  # by self._guard
        self._backlog_size = 0  # by self._guard; bytes in _backlog
        self._sending = False  # set by the holder of _turn, cleared by self._guard too
        # Whether the peer does not keep up with its replies; by self._guard, and whoever holds
        # _turn ends it.
        self.slow = False
        self._since = 0.0  # by self._guard; when slow began
        self._dead = False  # by self._guard
        self.holding = False  # written by the reader only; others may see it late

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
        first = list(parts)
        size = len(first[0]) if len(first) == 1 else sum(map(len, first))
        short = size <= SHORT
        if short:
            rest = self._write_at_once(first, size)
        else:
            self._much()
            rest = self._write(first)
        if not rest:
            rest = self._write_backlog()
        if not rest:
            self._end_slow() if self.slow else self._turn.release()
        elif short:
            self._leave(rest)
        else:
            self._go_slow(rest)

    def _write_backlog(self) -> list[Buffer]:
        """Write what others have left meanwhile; returns what the kernel did not take."""
        rest: list[Buffer] = []
        while not rest:
            with self._guard:
                if not self._backlog:
                    self._sending = False
                    return rest
                left = self._take_backlog()
            rest = self._write_at_once(left, sum(map(len, left)))
        return rest

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

    def wait_unused(self) -> None:
        """Return when nobody writes any longer; the socket may be closed then."""
        self._turn.acquire()  # for ever: nobody sends after this

    def _hold(self, parts: Sequence[Buffer]) -> bool:
        """Keep a small reply until the next; False if it must go now."""
        size = len(parts[0]) if len(parts) == 1 else sum(map(len, parts))
        if size > HELD:
            return False
        data = b"".join(parts)
        with self._guard:
            if self._dead or self._sending or len(self._backlog) >= MOST_HELD:
                return False
            self._backlog.append(data)
            self._backlog_size += size
            return True

    def _take_turn(self, parts: Sequence[Buffer]) -> bool:
        """Get the send lock; False if another thread will write *parts*."""
        size = sum(map(len, parts))
        waited = False
        while True:
            if size <= SHORT or waited or self.slow:
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
            if self._backlog_size > MUCH:
                self._begin_slow()
            return True

    def _take_backlog(self) -> list[Buffer]:
        """Everything that waits.  Caller holds the guard."""
        batch = list(self._backlog)
        self._backlog.clear()
        self._backlog_size = 0
        return batch

    def _take_some(self) -> list[Buffer]:
        """The first of what waits; the rest counts as backlog.  Caller holds the guard."""
        some: list[Buffer] = []
        size = 0
        while self._backlog and size < MUCH:
            some.append(self._backlog.popleft())
            size += len(some[-1])
        self._backlog_size -= size
        return some

    def _write(self, parts: list[Buffer]) -> list[Buffer]:
        """Write with the patience of the socket; returns what the kernel did not take."""
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

    def _write_at_once(self, parts: list[Buffer], size: int) -> list[Buffer]:
        """Write *size* bytes without waiting; returns what the kernel did not take."""
        if self._dead or not size:
            return []
        if size <= MOST:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            sent = quick_send(self._fd, data if type(data) is bytes else bytes(data))
            if sent:
                return [] if sent == size else [memoryview(data)[sent:]]
        try:
            sent = self._sock.sendmsg(parts[:_IOV_MAX], (), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return parts
        except OSError as error:
            self._fail(str(error.strerror))
            return []
        return [] if sent == size else _without(parts, sent)

    def _fail(self, why: str) -> None:
        self.close()
        self._lost(why)

    def _leave(self, rest: list[Buffer]) -> None:
        """Leave the rest and the send lock to a kworker."""
        self._put_back(rest)
        try:
            self._run(self._write_patiently)
        except RuntimeError:  # there are no more kworkers, or no more threads: do it here
            self._write_patiently()

    def _write_patiently(self) -> None:
        """On a kworker: write what was left, as long as the client takes it."""
        with self._guard:
            rest = self._take_some()
        if rest := self._write(rest) or self._write_backlog():
            self._go_slow(rest)
            return
        self._end_slow()

    def _put_back(self, rest: list[Buffer]) -> None:
        """What was not taken goes before what waits; the caller may reuse its buffers."""
        copy = b"".join(rest)
        with self._guard:
            self._begin_slow()
            self._backlog.appendleft(copy)
            self._backlog_size += len(copy)

    def _begin_slow(self) -> None:
        """Caller holds the guard."""
        if not self.slow:
            self.slow = True
            self._since = self._clock()

    def _end_slow(self) -> None:
        """All is written: give the send lock back."""
        with self._guard:
            self.slow = False
        self._turn.release()
        self.written()

    def _go_slow(self, rest: list[Buffer]) -> None:
        """Leave the rest and the send lock to a thread of their own."""
        self._put_back(rest)
        try:
            self._start(self._flush)
        except RuntimeError:  # the system gives no more threads: do it here
            self._flush()

    def _start(self, call: Callable[[], None]) -> None:
        threading.Thread(target=call, name=f"ksmbd-tx/{self._peer}", daemon=True).start()

    def _flush(self) -> None:
        """Write the backlog of a slow client; holds the send lock from ``_go_slow`` on."""
        log.debug("%s: does not keep up with its replies", self._peer)
        since, taken = self._since, 0
        rest: list[Buffer] = []
        while True:
            if not rest:
                with self._guard:
                    self._sending = bool(self._backlog)
                    rest = self._take_some()
                if not rest:
                    break
            before = sum(map(len, rest))
            rest = self._write(rest)
            taken += before - sum(map(len, rest))
            now = self._clock()
            if now - since >= self._stall_s:
                if rest and taken < MIN_PROGRESS:
                    self._fail("does not read its replies")
                since, taken = now, 0
        self._end_slow()


def _nobody_waits() -> None:
    """Nobody wants to know."""


def _without(parts: list[Buffer], sent: int) -> list[Buffer]:
    """What is left of *parts* after their first *sent* bytes."""
    for index, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[index + 1 :]]
        sent -= len(part)
    return []
