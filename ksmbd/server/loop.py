"""The loop: a thread that reads several connections.

It waits for sockets that have something, and lets the reader of each take its turn: some
frames, which it queues for the kworkers or runs itself.  A connection that has a thread of its
own (``ksmbd/server/own_thread.py``) is lent to it, and goes back when it has been alone for
TURNS_ALONE turns, or brings much.

Whoever runs the loop has the *reader role*.  It changes hands while a work item that a reader
runs itself is held up:

    running the loop --short work, in time--> running the loop
                     --held up--> another thread runs the loop; this one ends with its work

The role changes hands by an entry in ``Watchdog.armed``; see there.  Everything here and all
that was received but not parsed belongs to its holder; others use ``add`` and ``look_at``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from ksmbd.server.watchdog import Role, Watchdog

if TYPE_CHECKING:
    from ksmbd.server.lane import Runner
    from ksmbd.server.reader import Reader

log = logging.getLogger("ksmbd.conn")

NAME: Final = "ksmbd/reader"
AT_A_TIME: Final = 64  # sockets
TURNS_ALONE: Final = 64  # in a row; a change of threads costs as much as one or two

_HUNG_UP: Final = select.EPOLLHUP | select.EPOLLERR


class Loop:
    """Reads some connections.  ``add`` and ``adopt`` start it, ``close`` ends it."""

    def __init__(
        self,
        watchdog: Watchdog,
        pool: Runner,
        *,
        name: str = NAME,
        spare: list[bytearray] | None = None,
    ) -> None:
        """*name* is the thread's.

        *spare*: receive buffers that no connection uses now; loops may share them.
        """
        self.watchdog = watchdog
        self.spare: list[bytearray] = [] if spare is None else spare
        self._name = name
        self._pool = pool
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._readers: dict[int, Reader] = {}  # by descriptor; each operation is one step
        self._due: deque[Reader] = deque()  # to be looked at although the kernel does not say so
        self._now: Reader | None = None  # whose turn it is
        self._last: Reader | None = None  # who was alone in the last round,
        self._alone = 0  # and in so many before it
        # Whose turn was last, of the threads that contend: each writes itself, and if it has
        # seen nobody else then nobody was there.
        self.latest: object = None
        self._lock = threading.Lock()
        self._started = False  # by self._lock
        self._closed = False  # only ever becomes true
        self._disposed = False  # by self._lock

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, reader: Reader) -> None:
        """Read a connection from now on.  Raises RuntimeError if the system gives no thread."""
        self._readers[reader.fd] = reader
        try:
            self.start()
            self._epoll.register(reader.fd, select.EPOLLIN)
        except BaseException:
            self._readers.pop(reader.fd, None)
            raise

    def adopt(self, reader: Reader) -> None:
        """Read a connection whose own thread lends it, from what it has received already on."""
        with self._lock:
            if self._disposed:  # too late: the server ends
                return
            first, self._started = not self._started, True
            self._readers[reader.fd] = reader
            self._epoll.register(reader.fd, select.EPOLLIN)
        self.look_at(reader)
        if first:
            self._start_any()

    def start(self) -> None:
        """Run the loop in a thread, unless one runs it already."""
        with self._lock:
            if not self._started:
                self._start_thread()
                self._started = True

    def close(self) -> None:
        """End the thread; for the owner, when no connection is left."""
        with self._lock:
            self._closed = True
            if self._started:
                os.eventfd_write(self._wake, 1)
            else:
                self._dispose()

    def look_at(self, reader: Reader) -> None:
        """Give *reader* a turn soon; from any thread."""
        self._due.append(reader)
        with self._lock:
            if not self._disposed:
                os.eventfd_write(self._wake, 1)

    # -- for the holder of the role ------------------------------------------------------

    def again(self, reader: Reader) -> None:
        """Give *reader* another turn when all others had theirs."""
        self._due.append(reader)

    def listen(self, fd: int, wanted: bool) -> None:
        """Whether frames of the connection are wanted; its end is noticed in any case."""
        self._epoll.modify(fd, select.EPOLLIN if wanted else 0)

    def remove(self, reader: Reader) -> None:
        """Read the connection no more."""
        self._last = None
        if self._readers.pop(reader.fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(reader.fd)

    def promote(self) -> None:
        """Have another thread go on; for whoever took our entry out of ``armed``."""
        reader = self._now
        if reader is not None:
            reader.cool_down()
            self._due.append(reader)  # with the frames behind the one that is held up
        self._start_any()

    def run(self) -> None:
        """Until the end, or until the role was taken over."""
        role = Role(self.promote)
        poll, readers, due = self._epoll.poll, self._readers, self._due
        while not self._closed:
            ready = poll(0 if due else -1, AT_A_TIME)
            self.latest = self
            alone = len(ready) == 1 and not due
            for fd, events in ready:
                self._now = reader = readers.get(fd)
                if reader is not None:
                    if not reader.turn(role, hung_up=events & _HUNG_UP != 0):
                        return
                    if reader.brings_much:
                        self._give_back(reader)
                elif fd == self._wake:
                    os.eventfd_read(self._wake)
            for _ in range(len(due)):
                self._now = reader = due.popleft()
                if readers.get(reader.fd) is reader:
                    if not reader.turn(role):
                        return
                    if reader.brings_much:
                        self._give_back(reader)
            reader, self._now = self._now, None
            if alone and reader is not None:
                self._was_alone(reader)
            else:
                self._last = None
        with self._lock:
            self._dispose()

    def _was_alone(self, reader: Reader) -> None:
        """In this round there was no other: nobody contends with a thread of its own."""
        if reader is not self._last:
            self._last = reader
            self._alone = 0
        self._alone += 1
        if self._alone >= TURNS_ALONE:
            self._last = None
            self._give_back(reader)

    def _give_back(self, reader: Reader) -> None:
        """To its own thread, if it has one that is free."""
        reader.brings_much = False
        own = reader.own_thread
        if own is None or not own.asleep or reader.rests or reader.fd not in self._readers:
            return
        self.remove(reader)
        own.take_back(reader)

    def _start_any(self) -> None:
        """Have a new thread run the loop, or, if the system gives none, a kworker."""
        try:
            self._start_thread()
        except RuntimeError:
            log.warning("no thread for the reader: a kworker reads on")
            self._pool.run(self.run)

    def _start_thread(self) -> None:
        threading.Thread(target=self.run, name=self._name, daemon=True).start()

    def _dispose(self) -> None:
        """Caller holds the lock."""
        if not self._disposed:
            self._disposed = True
            self._epoll.close()
            os.close(self._wake)
