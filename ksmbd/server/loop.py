"""The loop: a thread that reads one connection, or several.

It waits for sockets that have something, and lets the reader of each take its turn: some
frames, which it queues for the kworkers or runs itself.  As a rule each connection has a loop
of its own (``ksmbd/server/loops.py``).

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

from ksmbd.server.watchdog import Watchdog

if TYPE_CHECKING:
    from ksmbd.server.reader import Reader, Runner

log = logging.getLogger("ksmbd.conn")

NAME: Final = "ksmbd/reader"
AT_A_TIME: Final = 64  # sockets

_HUNG_UP: Final = select.EPOLLHUP | select.EPOLLERR


class Role:
    """The reader role in the hands of one thread; the key of ``Watchdog.armed``.

    Each holder has its own: a thread that lost the role can never take out the entry of the
    thread that has it now.
    """

    __slots__ = ("promote",)

    def __init__(self, loop: Loop) -> None:
        self.promote = loop.promote


class Loop:
    """Reads some connections.  ``add`` starts it, ``close`` ends it."""

    def __init__(
        self,
        watchdog: Watchdog,
        pool: Runner,
        *,
        name: str = NAME,
        single: bool = False,
        spare: list[bytearray] | None = None,
    ) -> None:
        """*name* is the thread's; a *single* one ends with the connection it was made for.

        *spare*: receive buffers that no connection uses now; loops may share them.
        """
        self.watchdog = watchdog
        self.spare: list[bytearray] = [] if spare is None else spare
        self._name = name
        self._single = single
        self.works = 0  # run by readers themselves, so far
        self._pool = pool
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._readers: dict[int, Reader] = {}  # by descriptor; each operation is one step
        self._due: deque[Reader] = deque()  # to be looked at although the kernel does not say so
        self._now: Reader | None = None  # whose turn it is
        self._lock = threading.Lock()
        self._started = False  # by self._lock
        self._closed = False  # only ever becomes true
        self._disposed = False  # by self._lock

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, reader: Reader, fd: int) -> None:
        """Read a connection from now on.  Raises RuntimeError if the system gives no thread."""
        self._readers[fd] = reader
        try:
            self.start()
            self._epoll.register(fd, select.EPOLLIN)
        except BaseException:
            self._readers.pop(fd, None)
            if self._single:
                self.close()
            raise

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

    def remove(self, fd: int) -> None:
        """Read the connection no more."""
        if self._readers.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)
            self._closed = self._closed or self._single

    def promote(self) -> None:
        """Have another thread go on; for whoever took our entry out of ``armed``."""
        reader = self._now
        if reader is not None:
            reader.cool_down()
            self._due.append(reader)  # with the frames behind the one that is held up
        try:
            self._start_thread()
        except RuntimeError:
            log.warning("no thread for the reader: a kworker reads on")
            self._pool.run(self.run)

    def run(self) -> None:
        """Until the end, or until the role was taken over."""
        role = Role(self)
        poll, readers, due = self._epoll.poll, self._readers, self._due
        while not self._closed:
            for fd, events in poll(0 if due else -1, AT_A_TIME):
                self._now = reader = readers.get(fd)
                if reader is not None:
                    if not reader.turn(role, hung_up=events & _HUNG_UP != 0):
                        return
                elif fd == self._wake:
                    os.eventfd_read(self._wake)
            for _ in range(len(due)):
                self._now = reader = due.popleft()
                if not reader.turn(role):
                    return
            self._now = None
        with self._lock:
            self._dispose()

    def _start_thread(self) -> None:
        threading.Thread(target=self.run, name=self._name, daemon=True).start()

    def _dispose(self) -> None:
        """Caller holds the lock."""
        if not self._disposed:
            self._disposed = True
            self._epoll.close()
            os.close(self._wake)
