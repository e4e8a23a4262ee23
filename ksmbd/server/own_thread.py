"""The reader thread of one connection, ``ksmbd/<n>-<peer>``.

It waits in ``recv`` for its client and runs what is short itself, as the kernel's does.  Short
requests are nearly all Python, though, and Python lets one thread run at a time: when several
connections are busy at once, each ``recv`` that returns becomes a contest for the interpreter's
lock, two context switches dear, which costs more than the request.  Threads that find themselves
in such a contest lend their connections to the common loop (``ksmbd/server/loop.py``), where one
thread gives all of them turns, and sleep.  What is large is received and sent with the lock
free, so a connection that brings much keeps its thread, or gets it back.

    reading --TURNS_IN_CONTEST in a row, others had theirs between--> lent
    reading --must be paused, or a work item of ours is held up--> lent
    lent --alone in the loop for some turns, or a long frame has begun--> reading

Whoever reads the connection has its reader role: the loop's holder while it is lent.  On a
Python without the interpreter's lock there is no contest, and nothing is lent for one.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from ksmbd.server.watchdog import Role

if TYPE_CHECKING:
    from ksmbd.server.loop import Loop
    from ksmbd.server.reader import Reader

TURNS_IN_CONTEST: Final = 4  # in a row
CONTEST_S: Final = 0.1  # that took longer are no contest: both are mostly idle


class OwnThread:
    """Reads one connection, unless it is lent to *loop*."""

    def __init__(self, loop: Loop, name: str, *, lends: bool = True) -> None:
        """*lends*: in a contest, too."""
        self._loop = loop
        self._name = name
        self._lends = lends
        self._gate = threading.Lock()  # no data: the thread sleeps on it while lent
        self._gate.acquire()
        self._closed = False  # only ever becomes true
        self._reader: Reader | None = None  # set once, by ``start``
        self.asleep = False  # set by the thread, cleared by the holder of the loop's role

    def start(self, reader: Reader) -> None:
        """Begin to read.  Raises RuntimeError if the system gives no thread."""
        self._reader = reader
        reader.has_own_thread(True)
        threading.Thread(target=self._run, args=(reader,), name=self._name, daemon=True).start()

    def take_back(self, reader: Reader) -> None:
        """Read again; for the loop, which has let go of the connection, while ``asleep``."""
        self.asleep = False
        reader.has_own_thread(True)
        self._gate.release()

    def close(self) -> None:
        """The connection has ended; for whoever reads it."""
        if not self._closed:
            self._closed = True
            if self.asleep:
                self.asleep = False
                self._gate.release()

    def promote(self) -> None:
        """Our work item is held up: the loop reads on.  See ``Watchdog``."""
        if self._reader is not None:
            self._reader.cool_down()
            self._lend(self._reader)

    def _run(self, reader: Reader) -> None:
        role = Role(self.promote)
        while True:
            self._read(reader, role)
            self.asleep = True
            if self._closed:
                return
            self._gate.acquire()
            if self._closed:
                return

    def _read(self, reader: Reader, role: Role) -> None:
        """Until the end of the connection, or until somebody else reads it."""
        loop = self._loop
        contests = 0
        since = 0.0
        while reader.turn(role):
            if reader.ended:
                return
            if reader.must_pause:
                break
            if loop.latest is self:
                contests = 0
                continue
            loop.latest = self
            contests += 1
            if contests == 1:
                since = time.monotonic()
            elif contests >= TURNS_IN_CONTEST and self._lends:
                contests = 0
                if time.monotonic() - since < CONTEST_S and not reader.brings_much:
                    break
                reader.brings_much = False
        else:
            return  # the role went to another thread
        self._lend(reader)

    def _lend(self, reader: Reader) -> None:
        """Last thing of whoever has the role: the loop reads from here on."""
        reader.has_own_thread(False)
        self._loop.adopt(reader)
