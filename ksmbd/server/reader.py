"""One connection's reader: frames in, works out, to the kworkers or run on the spot.

The thread ``ksmbd/<n>-<peer>`` holds the *reader role* of its connection: it alone receives.
For each frame it makes the Work (CANCEL is done in that step, so that it cannot wait behind
what it cancels) and queues it for the kworkers, or, when nothing else of the connection is
queued and the command table says that it is short, runs it itself: handing a small command
to another thread costs as much as the command.

    reading --short, nothing queued--> running --in time--> reading
                                               \\--held up--> another thread is reading;
                                                            this one ends with its work
    reading --end of stream, Disconnect--> ended: ``lost`` is told, once

The role changes hands by an entry in ``Watchdog.armed``; see there.  What was received but
not parsed belongs to the transport, which only the holder of the role touches.

Locks: ``_room`` guards the count of queued works; a leaf.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from ksmbd.server.tcp import TcpTransport
from ksmbd.server.watchdog import Watchdog
from ksmbd.state.connection import Connection
from ksmbd.state.work import Work
from ksmbd.wire.base import Buffer
from ksmbd.wire.status import Disconnect

log = logging.getLogger("ksmbd.conn")

MAX_QUEUED: Final = 512  # works of one connection; the reader waits when so many are queued
COOL_FRAMES: Final = 32  # after a hold-up so many frames are queued, whatever they are

_NOTHING: Final = memoryview(b"")


class Dispatch(Protocol):
    """``ksmbd.server.dispatch``, or a test."""

    def is_direct(self, frame: Buffer, /) -> bool:
        """Whether the reader may run the frame itself."""

    def receive(self, connection: Connection, frame: memoryview, /) -> Work | None:
        """Make the frame a Work; None if it is done.  Raises Disconnect."""

    def run(self, work: Work, /) -> None:
        """Do all of it.  Never raises."""


class Runner(Protocol):
    """The kworkers."""

    def run(self, fn: Callable[..., object], /, *args: object) -> None: ...


class Role:
    """The reader role in the hands of one thread; the key of ``Watchdog.armed``.

    Each holder has its own: a thread that lost the role can never take out the entry of the
    thread that has it now.
    """

    __slots__ = ("_reader", "thread")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.thread = threading.get_ident()

    def promote(self) -> None:
        self._reader.promote()


class Reader:
    """Reads one connection until it ends."""

    def __init__(
        self,
        connection: Connection,
        transport: TcpTransport,
        *,
        dispatch: Dispatch,
        pool: Runner,
        watchdog: Watchdog,
        lost: Callable[[Connection], None],
        direct: bool = True,
    ) -> None:
        """*lost* is called once, by the thread that found the end; then the socket is closed."""
        self.connection = connection
        self.frames = 0  # received so far; written by the holder of the role
        self._transport = transport
        self._dispatch = dispatch
        self._pool = pool
        self._watchdog = watchdog
        self._lost = lost
        self._direct = direct
        self._cool = 0  # frames still to be queued after a hold-up
        self._role: Role | None = None  # written by the holder of the role
        self._room = threading.Condition(threading.Lock())
        self._queued = 0  # by self._room; works given to the pool and not run to their end
        self._name = f"ksmbd/{connection.number}-{transport.peer}"

    def start(self) -> None:
        """Begin to read.  Raises RuntimeError if the system gives no thread."""
        threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def promote(self) -> None:
        """Have another thread go on reading; for whoever took our entry out of ``armed``."""
        self._cool = COOL_FRAMES
        try:
            self.start()
        except RuntimeError:
            log.warning("%s: dropped: the system gives no more threads", self._transport.peer)
            self._finish()

    def about_to_block(self) -> None:
        """A work item run on the spot finds that it must block: hand the role over first.

        Does nothing on a kworker.
        """
        role = self._role
        if role is None or role.thread != threading.get_ident():
            return
        if self._watchdog.armed.pop(role, None) is not None:
            self.promote()

    def _serve(self) -> None:
        """The life of a reader thread: until the end, or until the role was taken over."""
        self._role = role = Role(self)
        try:
            while (frame := self._transport.next_frame()) is not None:
                self.frames += 1
                work = self._make(frame)
                frame = None  # a large one may be reused as soon as the work is done
                if work is None:
                    continue
                if not self._is_direct(work.frame):
                    self._queue(work)
                elif not self._run_here(work, role):
                    return
                work = None
        except Disconnect as why:
            log.info("%s: dropped: %s", self._transport.peer, why)
        except Exception:
            log.exception("%s: a bug in the server", self._transport.peer)
        self._finish()

    def _is_direct(self, frame: Buffer) -> bool:
        if not self._direct or self._queued:
            return False
        if self._cool:
            self._cool -= 1
            return False
        return self._dispatch.is_direct(frame)

    def _make(self, frame: Buffer) -> Work | None:
        if type(frame) is not memoryview:
            return self._dispatch.receive(self.connection, memoryview(frame))
        buffer = frame.obj
        work = self._dispatch.receive(self.connection, frame)
        if work is not None and isinstance(buffer, bytearray):
            work.release = partial(self._release, work, buffer)
        return work

    def _release(self, work: Work, buffer: bytearray) -> None:
        """The work is done: let go of its frame and give the buffer back."""
        work.frame = work.message = _NOTHING
        self._transport.give_back(buffer)

    def _run_here(self, work: Work, role: Role) -> bool:
        """Run *work* as a kworker on loan; False if the role went to another thread meanwhile."""
        watchdog = self._watchdog
        watchdog.armed[role] = self.frames
        if watchdog.asleep:
            watchdog.wake()
        self._dispatch.run(work)
        return watchdog.armed.pop(role, None) is not None

    def _queue(self, work: Work) -> None:
        if self._transport.slow:  # take no more work for a client that does not fetch its replies
            self._transport.wait_written()
        with self._room:
            while self._queued >= MAX_QUEUED and not self._transport.closed:
                self._room.wait()
            self._queued += 1
        try:
            self._pool.run(self._run_queued, work)
        except RuntimeError:
            raise Disconnect("the server is shutting down") from None

    def _run_queued(self, work: Work) -> None:
        """On a kworker."""
        try:
            self._dispatch.run(work)
        finally:
            with self._room:
                self._queued -= 1
                if self._queued == MAX_QUEUED - 1:
                    self._room.notify()

    def _finish(self) -> None:
        """The end of the connection, once."""
        self._transport.close()
        try:
            self._lost(self.connection)
        except Exception:
            log.exception("%s: a bug in the server", self._transport.peer)
        self._transport.dispose()
