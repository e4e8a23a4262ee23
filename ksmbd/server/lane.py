"""Requests that are served in the order in which they came, although kworkers run them.

Kworkers run the requests of a connection beside each other, and any of them may be first.  Where
two requests stand in one line, as CHANGE_NOTIFYs of an open for what changes next, the client must
find them in it as it sent them.  Those the reader does not run itself go through the connection's
lane: one kworker at a time takes one after the other.

    empty --put--> running --none is left--> empty
                   running --PATIENCE ticks of the watchdog at one--> another kworker goes on

A kworker that has merely got no processor for a while keeps its turn, for its request has perhaps
not found its place yet; one that waits for a file system that does not answer loses it.  The
reader may be held up, or merely get no processor, in such a request that it runs itself: what
follows then waits until that one has been done, for it has not found its place in the line yet.

Locks: ``_lock`` guards the line, whose turn it is and what it waits for; a leaf.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from ksmbd.server.watchdog import Role, Watchdog
from ksmbd.state.work import Work
from ksmbd.wire.base import Buffer

PATIENCE: Final = 200  # ticks of the watchdog, about a second


class Runner(Protocol):
    """The kworkers."""

    def run(self, fn: Callable[..., object], /, *args: object) -> None: ...


class _Turn:
    """A kworker takes one work after the other, until another does."""

    __slots__ = ("late", "role")

    def __init__(self, held_up: Callable[[_Turn], None]) -> None:
        self.role = Role(partial(held_up, self))
        self.late = 0  # by Lane._lock; ticks that its work has taken too long


class Lane:
    """The line of one connection."""

    def __init__(self, pool: Runner, watchdog: Watchdog, run: Callable[[Work], None]) -> None:
        """*run* does all of a work and never raises."""
        self._pool = pool
        self._watchdog = watchdog
        self._run = run
        self._lock = threading.Lock()
        self._works: deque[Work] = deque()  # by self._lock
        self._turn: _Turn | None = None  # by self._lock; of a kworker that was asked, or is at it
        self._first: set[Work] = set()  # by self._lock; held up in a reader, and before the others
        self.at: Work | None = None  # what the reader runs itself; written by who has its role

    def put(self, work: Work) -> None:
        """Have *work* done after those that were put before.  RuntimeError: no more kworkers."""
        with self._lock:
            self._works.append(work)
            turn = self._begins()
        if turn is not None:
            self._pool.run(self._go_on, turn)

    def held_up(self, in_order: Callable[[Buffer], bool]) -> None:
        """The reader is, at what it runs itself; by the watchdog, before another thread reads."""
        with self._lock:
            if self.at is not None and in_order(self.at.frame):
                self._first.add(self.at)

    def over(self, work: Work) -> None:
        """*work*, at which the reader was held up, has been done."""
        with self._lock:
            if self.at is work:  # the watchdog has not told us yet, and need not
                self.at = None
            self._first.discard(work)
            turn = self._begins()
        self._ask(turn)

    def _begins(self) -> _Turn | None:
        """The turn for which a kworker is to be asked now, if any.  Caller holds the lock."""
        if self._turn is None and self._works and not self._first:
            self._turn = _Turn(self._late)
            return self._turn
        return None

    def _go_on(self, turn: _Turn) -> None:
        """On a kworker: one after the other, until none is left or another has the turn."""
        watchdog = self._watchdog
        turn.role.thread = threading.get_native_id()
        while (work := self._next(turn)) is not None:
            watchdog.arm(turn.role)
            self._run(work)
            watchdog.disarm(turn.role)

    def _next(self, turn: _Turn) -> Work | None:
        with self._lock:
            if self._turn is not turn:
                return None
            turn.late = 0
            if self._works and not self._first:
                return self._works.popleft()
            self._turn = None
            return None

    def _late(self, turn: _Turn) -> None:
        """By the watchdog: *turn* is at the same work as a tick ago."""
        with self._lock:
            if self._turn is not turn:
                return
            turn.late += 1
            if turn.late < PATIENCE:
                self._watchdog.armed[turn.role] = turn.role.works  # look again at the next tick
                return
            self._turn = None
            another = self._begins()
        self._ask(another)

    def _ask(self, turn: _Turn | None) -> None:
        """A kworker takes the turn, if there is one to take."""
        if turn is not None:
            with contextlib.suppress(RuntimeError):  # the server is shutting down
                self._pool.run(self._go_on, turn)
