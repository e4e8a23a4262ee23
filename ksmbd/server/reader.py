"""One connection's reader: frames in, works out, to the kworkers or run on the spot.

When its connection has something, its own thread (``ksmbd/server/own_thread.py``) or the loop
(``ksmbd/server/loop.py``) gives it a turn.  For each frame it makes the Work (CANCEL is done in
that step, so that it cannot wait behind what it cancels) and queues it for the kworkers, or, when
nothing else of the connection is queued and the command table says that it is short, runs it
itself: handing a small command to another thread costs as much as the command.

    reading --too much queued, or the client does not fetch its replies--> paused --> reading
    reading, paused --end of stream, Disconnect--> ended: ``lost`` is told, once, by a kworker

A turn is for FRAMES_A_TURN frames: then others have theirs.

Nothing overtakes what is queued until that has been done or, if it was short and queued after a
hold-up only, has begun: a client that keeps some requests in flight would else never get out of the
queue again.

Locks: ``_room`` guards the counts of queued works and whether it is paused; a leaf.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from ksmbd.server.lane import Lane, Runner
from ksmbd.server.loop import Loop
from ksmbd.server.own_thread import OwnThread
from ksmbd.server.tcp import TcpTransport
from ksmbd.server.watchdog import Role
from ksmbd.state.connection import Connection
from ksmbd.state.work import Work
from ksmbd.wire.base import Buffer
from ksmbd.wire.status import Disconnect

log = logging.getLogger("ksmbd.conn")

MAX_QUEUED: Final = 512  # works of one connection; it is paused when so many are queued, ...
RESUME_AT: Final = 384  # ... until there are so few
FRAMES_A_TURN: Final = 16
COOL_FRAMES: Final = 32  # after a hold-up so many frames are queued, whatever they are

_NOTHING: Final = memoryview(b"")


class Dispatch(Protocol):
    """``ksmbd.server.dispatch``, or a test."""

    def is_direct(self, work: Work, alone: bool, beside: bool, /) -> bool:
        """Whether the reader may run the work itself.

        *alone*: nobody else waits meanwhile; *beside*: others of its connection are queued.
        """

    def in_order(self, frame: Buffer, /) -> bool:
        """Whether it is to be run after others like it that came before."""

    def queued(self, work: Work, /) -> None:
        """A kworker will be given it; what comes after it may be done before."""

    def receive(self, connection: Connection, frame: memoryview, /) -> Work | None:
        """Make the frame a Work; None if it is done.  Raises Disconnect."""

    def run(self, work: Work, /) -> None:
        """Do all of it.  Never raises."""


class Reader:
    """Reads one connection until it ends."""

    def __init__(
        self,
        connection: Connection,
        transport: TcpTransport,
        *,
        dispatch: Dispatch,
        pool: Runner,
        loop: Loop,
        own_thread: OwnThread | None = None,
        lost: Callable[[Connection], None],
        direct: bool = True,
    ) -> None:
        """*loop* reads it, unless it has its *own_thread*, which may lend it to the loop.

        *lost* is called once, by a kworker, after the end; then the socket is closed.
        """
        self.connection = connection
        self.frames = 0  # received so far; written by the holder of the role
        self._transport = transport
        self.dispatch = dispatch  # replaced while somebody watches; one frame may see both
        self._pool = pool
        self._loop = loop
        self._watchdog = loop.watchdog
        self._armed = loop.watchdog.armed
        self._lane = Lane(pool, loop.watchdog, self._run_queued)
        self._lost = lost
        self._direct = direct
        self.fd = transport.fileno()
        self.own_thread = own_thread
        # These two are written by the holder of the role.
        self.brings_much = False  # a long frame has begun, since the last to ask looked
        self._has_thread = False  # who reads has nothing else to read, and may wait
        self._cool = 0  # frames still to be queued after a hold-up
        self.ended = False  # written by the holder of the role; only ever becomes true
        self._deaf = False  # written by the holder of the role: the kernel tells us of no frames
        self._room = threading.Lock()
        self._queued = 0  # by self._room; works given to the pool and not run to their end
        self._ahead = 0  # by self._room; those of them that nothing short may overtake
        self._paused = False  # by self._room
        transport.when_written(self._resume)

    def start(self) -> None:
        """Begin to read.  Raises RuntimeError if the system gives no thread."""
        if self.own_thread is not None:
            self.own_thread.start(self)
        else:
            self._loop.add(self)

    # -- for who has the reader role: the loop, or the own thread ------------------------

    def has_own_thread(self, has: bool) -> None:
        """Whether who reads from now on has nothing else to read, and may wait for us."""
        self._has_thread = self.connection.has_thread = has
        self._transport.be_patient(has)

    @property
    def must_pause(self) -> bool:
        """Whether the client does not fetch its replies, or has much queued."""
        return self._transport.slow or self._queued >= MAX_QUEUED

    @property
    def rests(self) -> bool:
        """Whether it is paused, or has not had a turn since; then only the loop can read it."""
        return self._deaf

    def cool_down(self) -> None:
        """A work item of ours is held up: the next ones are for the kworkers."""
        self._cool = COOL_FRAMES
        self._lane.held_up(self.dispatch.in_order)

    def turn(self, role: Role, *, hung_up: bool = False) -> bool:
        """Read what has come; False if the role went to another thread meanwhile.

        *hung_up*: the connection has ended in both directions.
        """
        if self.ended:
            return True
        try:
            if self._pause():
                if hung_up:
                    self._end()
                return True
            if not self._take(role):
                return False
            self._transport.flush()
        except Disconnect as why:
            log.info("%s: dropped: %s", self._transport.peer, why)
            self._end()
        except Exception:
            log.exception("%s: a bug in the server", self._transport.peer)
            self._end()
        return True

    def _take(self, role: Role) -> bool:
        """Some frames; False if the role is lost."""
        transport = self._transport
        received = False
        for _ in range(FRAMES_A_TURN):
            while (frame := transport.next_frame()) is None:
                if received and not transport.expecting:
                    return True
                received = True
                if transport.brings_much:
                    transport.brings_much = False
                    self.brings_much = self.own_thread is not None
                    if self.brings_much and not self._has_thread:
                        return True  # it gets its thread back
                if not transport.receive():
                    self._end()
                    return True
            self.frames += 1
            work = self._make(frame)
            frame = None  # a large one may be reused as soon as the work is done
            if work is None:
                continue
            if self._is_direct(work):
                if not self._run_here(work, role):
                    return False
                work = None
            else:
                self._queue(work)
                work = None
                if self._pause():
                    return True
        if not self._has_thread:
            self._loop.again(self)
        return True

    def _pause(self) -> bool:
        """Take no more work for a client that does not fetch its replies, or has much queued.

        The own thread would wait in ``recv``; it leaves this to the loop.
        """
        if self.must_pause:
            if self._has_thread:
                return True
            with self._room:
                self._paused = True
            self._listen(False)
            if not self._transport.slow and self._queued <= RESUME_AT:
                self._resume()  # that came to an end before it could see that we are paused
            return True
        if self._deaf and not self._paused:
            self._listen(True)
        return self._paused

    def _listen(self, wanted: bool) -> None:
        if self._deaf == wanted:
            self._deaf = not wanted
            self._loop.listen(self.fd, wanted)

    def _is_direct(self, work: Work) -> bool:
        if not self._direct:
            return False
        if self._cool:
            self._cool -= 1
            return False
        alone = self._has_thread or len(self._loop) == 1
        return self.dispatch.is_direct(work, alone, self._ahead > 0)

    def _make(self, frame: Buffer) -> Work | None:
        if type(frame) is not memoryview:
            return self.dispatch.receive(self.connection, memoryview(frame))
        work = self.dispatch.receive(self.connection, frame)
        if work is not None:
            work.release = partial(self._release, work, frame)
        return work

    def _release(self, work: Work, frame: memoryview) -> None:
        """The work is done: let go of its frame and give the buffer back.

        To drop the view is not enough: the work keeps it by this very call, and on a free-threaded
        Python what one thread has made and another drops last is there until the first looks.
        """
        work.frame = work.message = _NOTHING
        buffer = frame.obj
        with contextlib.suppress(BufferError):  # somebody still has it: no buffer comes back
            frame.release()
        if isinstance(buffer, bytearray):
            self._transport.give_back(buffer)

    def _run_here(self, work: Work, role: Role) -> bool:
        """Run *work* as a kworker on loan; False if the role went to another thread meanwhile."""
        work.direct = True
        self._lane.at = work
        role.works = number = role.works + 1
        self._armed[role] = number
        if self._watchdog.asleep:
            self._watchdog.wake()
        self.dispatch.run(work)
        if self._armed.pop(role, None) is not None:
            self._lane.at = None
            return True
        self._lane.over(work)
        return False

    def _queue(self, work: Work) -> None:
        with self._room:
            self._queued += 1
            self._ahead += 1
        self.dispatch.queued(work)
        try:
            if self.dispatch.in_order(work.frame):
                self._lane.put(work)
            else:
                short = self._direct and self.dispatch.is_direct(work, False, False)
                self._pool.run(self._run_short if short else self._run_queued, work)
        except RuntimeError:
            work.let_go()
            raise Disconnect("the server is shutting down") from None

    def _end(self) -> None:
        """The end of the connection; what follows from it may take its time, on a kworker."""
        if self.ended:
            return
        self.ended = True
        self._loop.remove(self)
        if self.own_thread is not None:
            self.own_thread.close()
        self._transport.close()
        try:
            self._pool.run(self._finish)
        except RuntimeError:  # the server is shutting down
            self._finish()

    # -- kworkers' -----------------------------------------------------------------------

    def _run_queued(self, work: Work) -> None:
        try:
            self.dispatch.run(work)
        finally:
            self._done(1)

    def _run_short(self, work: Work) -> None:
        """It was queued after a hold-up; once it has begun, others gain nothing by waiting."""
        with self._room:
            self._ahead -= 1
        try:
            self.dispatch.run(work)
        finally:
            self._done(0)

    def _done(self, ahead: int) -> None:
        with self._room:
            self._queued -= 1
            self._ahead -= ahead
            enough = self._paused and self._queued == RESUME_AT
        if enough:
            self._resume()

    def _resume(self) -> None:
        """What we were paused for has ended; the next turn looks whether anything else has not."""
        with self._room:
            paused, self._paused = self._paused, False
        if paused:
            self._loop.look_at(self)

    def _finish(self) -> None:
        """After the end of the connection, once."""
        try:
            self._lost(self.connection)
        except Exception:
            log.exception("%s: a bug in the server", self._transport.peer)
        self._transport.dispose()
