"""Notices a reader that is held up in work it runs itself, and has another take its place.

A reader that runs a work item (direct dispatch) enters itself in ``armed`` before and takes
itself out after: two dictionary operations, no clock, no lock.  Whoever takes the entry out
has the reader role: the reader itself when it is done in time, or the watchdog, which has
seen the same work item at two ticks; then a new thread goes on reading, and the old one ends
when its work item is done.

    armed --reader pops--> reads on
          --watchdog pops--> another thread reads on, the old one leaves

A thread that has a processor, or merely waits for one, is given longer: another would only be one
more that wants it.  On a busy machine that feeds on itself: each thread that is not scheduled in
time calls for others, and the requests behind it are handed from one to the next.

The thread sleeps while no reader runs anything itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger("ksmbd.conn")

TICK_S: Final = 0.005  # a reader is held up if one work item takes one to two ticks,
RUNNING_TICKS: Final = 10  # or so many, as long as its thread runs or could run
QUIET_TICKS: Final = 20  # without direct work: sleep


class Held(Protocol):
    """The reader role in the hands of one thread."""

    thread: int  # its id in the kernel

    def promote(self) -> None:
        """Have another thread go on; called by whoever took the entry out of ``armed``."""


class Role:
    """The reader role in the hands of one thread, the calling one; the key of ``Watchdog.armed``.

    Each holder has its own: a thread that lost the role can never take out the entry of the
    thread that has it now.
    """

    __slots__ = ("promote", "thread", "works")

    def __init__(self, promote: Callable[[], None]) -> None:
        self.promote = promote
        self.thread = threading.get_native_id()
        self.works = 0  # run by the holder itself, so far


def can_run(thread: int) -> bool:
    """Whether a thread of ours has a processor, or waits for nothing else; see proc(5)."""
    try:
        with open(f"/proc/self/task/{thread}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].startswith(b"R")
    except OSError:  # it has ended
        return False


class Watchdog:
    """One for all connections.  ``threaded=False`` leaves it to the owner to call ``tick``."""

    def __init__(
        self,
        *,
        tick_s: float = TICK_S,
        threaded: bool = True,
        can_run: Callable[[int], bool] = can_run,
    ) -> None:
        """*can_run*: whether a thread has a processor, or waits for nothing else."""
        # reader -> number of its work item; every operation on it is atomic by itself
        self.armed: dict[Held, int] = {}
        self.asleep = threaded  # set by the thread, cleared by ``wake``
        self._tick_s = tick_s
        self._can_run = can_run
        # The thread's own: what was armed at the last tick, and at how many in a row.
        self._seen: dict[Held, tuple[int, int]] = {}
        self._awake = threading.Event()
        self._lock = threading.Lock()
        self._looker: threading.Thread | None = None  # by self._lock
        self._closed = False

    def arm(self, role: Role) -> None:
        """*role* begins its next work item; ``Reader`` has this, and ``disarm``, in line."""
        role.works = number = role.works + 1
        self.armed[role] = number
        if self.asleep:
            self.wake()

    def disarm(self, role: Role) -> bool:
        """It has done it; False if another thread goes on meanwhile."""
        return self.armed.pop(role, None) is not None

    def wake(self) -> None:
        """Begin to look; for a reader that has just armed and sees ``asleep``."""
        self.asleep = False
        with self._lock:
            if self._looker is None and not self._closed:
                self._looker = threading.Thread(
                    target=self._loop, name="ksmbd/watchdog", daemon=True
                )
                self._looker.start()
        self._awake.set()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._closed = True
            thread = self._looker
        self._awake.set()
        if thread is not None:
            thread.join()

    def tick(self) -> bool:
        """Replace every reader that is held up at its work item; any at work?"""
        seen: dict[Held, tuple[int, int]] = {}
        for reader, item in self.armed.copy().items():
            before, ticks = self._seen.get(reader, (item, 0))
            ticks = ticks + 1 if before == item else 1
            seen[reader] = item, ticks
            if ticks < 2 or (ticks < RUNNING_TICKS and self._can_run(reader.thread)):
                continue
            # It may have gone on meanwhile, and be at its next one.
            if self.armed.get(reader) == item and self.armed.pop(reader, None) is not None:
                log.debug("a reader is held up: another goes on")
                reader.promote()
        self._seen = seen
        return bool(seen)

    def _loop(self) -> None:
        quiet = 0
        stop = threading.Event()  # never set: a sleep that is exact to the tick
        while not self._closed:
            quiet = 0 if self.tick() else quiet + 1
            if quiet <= QUIET_TICKS:
                stop.wait(self._tick_s)
                continue
            self._awake.clear()
            self.asleep = True
            if self.armed or self._closed:  # armed before it could see that we sleep
                self.asleep = False
                continue
            self._awake.wait()
            quiet = 0
