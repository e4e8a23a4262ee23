"""Who reads which connection.

As a rule each connection has a reader thread of its own, as in the kernel; when several are busy
with short requests, they lend their connections to one common loop
(``ksmbd/server/own_thread.py``).  A server may also be told to have so many loops read all
connections, which then have no threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksmbd import interpreter
from ksmbd.server.loop import NAME, Loop
from ksmbd.server.own_thread import OwnThread
from ksmbd.server.watchdog import Watchdog

if TYPE_CHECKING:
    from ksmbd.server.lane import Runner

MAX_READERS = 64


class Loops:
    """The loops of a server."""

    def __init__(self, watchdog: Watchdog, pool: Runner, readers: int = 0) -> None:
        """*readers* for all connections; 0: one for each of them."""
        self._lends = interpreter.takes_turns()
        self.spare: list[bytearray] = []  # receive buffers that no connection uses now
        self._shared = [
            Loop(watchdog, pool, name=f"{NAME}-{number}", spare=self.spare)
            for number in range(readers)
        ]
        self._common = Loop(watchdog, pool, spare=self.spare)

    def place(self, number: int, peer: str) -> tuple[Loop, OwnThread | None]:
        """Who is to read connection *number*: a loop, or a thread that may lend it to the loop."""
        if self._shared:
            return self._shared[number % len(self._shared)], None
        own = OwnThread(self._common, f"ksmbd/{number}-{peer}", lends=self._lends)
        return self._common, own

    def close(self) -> None:
        """End their threads; for the owner, when no connection is left."""
        for loop in (self._common, *self._shared):
            loop.close()
