"""Requests that are served in the order in which they came, although kworkers run them.

Kworkers run the requests of a connection beside each other, and any of them may be first.  Where
two requests stand in one line, as CHANGE_NOTIFYs of an open for what changes next, the client must
find them in it as it sent them.  Those the reader does not run itself go through the connection's
lane: one kworker at a time takes one after the other.

    empty --put--> running --none is left--> empty
                   running --held up at one of them--> another kworker goes on with the rest

The reader may be held up, or merely get no processor, in such a request that it runs itself: what
follows then waits until that one has been done, for it has not found its place in the line yet.

Locks: ``_lock`` guards the line, whether somebody runs it and what it waits for; a leaf.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ksmbd.server.watchdog import Role, Watchdog
from ksmbd.state.work import Work
from ksmbd.wire.base import Buffer


class Runner(Protocol):
    """The kworkers."""

    def run(self, fn: Callable[..., object], /, *args: object) -> None: ...


class Lane:
    """The line of one connection."""

    def __init__(self, pool: Runner, watchdog: Watchdog, run: Callable[[Work], None]) -> None:
        """*run* does all of a work and never raises."""
        self._pool = pool
        self._watchdog = watchdog
        self._run = run
        self._lock = threading.Lock()
        self._works: deque[Work] = deque()  # by self._lock
        self._running = False  # by self._lock; a kworker has been asked, or is at it
        self._first: set[Work] = set()  # by self._lock; held up in a reader, and before the others
        self.at: Work | None = None  # what the reader runs itself; written by who has its role

    def put(self, work: Work) -> None:
        """Have *work* done after those that were put before.  RuntimeError: no more kworkers."""
        with self._lock:
            self._works.append(work)
            begin = self._begins()
        if begin:
            self._pool.run(self._go_on)

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
            begin = self._begins()
        if begin:
            self._ask()

    def _begins(self) -> bool:
        """Whether a kworker is to be asked now.  Caller holds the lock."""
        if self._running or self._first or not self._works:
            return False
        self._running = True
        return True

    def _go_on(self) -> None:
        """On a kworker: one after the other, until none is left or one holds us up."""
        role = Role(self._ask)
        while (work := self._next()) is not None:
            self._watchdog.arm(role)
            self._run(work)
            if not self._watchdog.disarm(role):
                return

    def _next(self) -> Work | None:
        with self._lock:
            if self._works and not self._first:
                return self._works.popleft()
            self._running = False
            return None

    def _ask(self) -> None:
        """Another kworker goes on with what waits."""
        with contextlib.suppress(RuntimeError):  # the server is shutting down
            self._pool.run(self._go_on)
