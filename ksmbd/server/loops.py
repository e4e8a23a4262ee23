"""Who reads which connection.

As a rule each connection has a reader thread of its own, as in the kernel: what it receives,
encrypts and asks of the file system goes on beside what others do.  Readers that are nearly all
Python, as short requests are, take turns at the interpreter's lock instead, which costs more
than the requests; so a server may be told to have so many readers for all connections.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ksmbd.server.loop import NAME, Loop
from ksmbd.server.watchdog import Watchdog

if TYPE_CHECKING:
    from ksmbd.server.reader import Runner

MAX_READERS = 64


class Loops:
    """The loops of a server."""

    def __init__(self, watchdog: Watchdog, pool: Runner, readers: int = 0) -> None:
        """*readers* for all connections; 0: one for each of them."""
        self._watchdog = watchdog
        self._pool = pool
        self.spare: list[bytearray] = []  # receive buffers that no connection uses now
        self._shared = [
            Loop(watchdog, pool, name=f"{NAME}-{number}", spare=self.spare)
            for number in range(readers)
        ]
        self._next = itertools.cycle(self._shared)

    @property
    def patient(self) -> bool:
        """Whether each connection has a thread that may wait for it."""
        return not self._shared

    def loop_for(self, number: int, peer: str) -> Loop:
        """Who is to read connection *number*."""
        if self._shared:
            return next(self._next)
        name = f"ksmbd/{number}-{peer}"
        return Loop(self._watchdog, self._pool, name=name, single=True, spare=self.spare)

    def close(self) -> None:
        """End the shared ones; for the owner, when no connection is left."""
        for loop in self._shared:
            loop.close()
