"""Time-outs: one thread, one heap.

Callbacks run on the timer thread and must be short: fire an event, close a socket, queue
work (``timers.call_later(35, pool.run, fn, arg)``).  The thread is started by the first
timer.  Cancelling is O(1): the entry stays in the heap until its time or until half of the
heap is dead.

Locks: ``Timers._lock`` is a leaf; no callback runs under it.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger("ksmbd.conn")

COMPACT_ABOVE: Final = 64  # dead entries before the heap is cleaned

Call = tuple[Callable[..., Any], tuple[Any, ...]]


class Timer:
    """One call in the future."""

    __slots__ = ("_call", "_timers", "when")

    def __init__(self, timers: Timers, when: float, call: Call) -> None:
        self.when = when
        self._timers = timers
        self._call: Call | None = call  # by timers._lock

    def cancel(self) -> bool:
        """Do not call.  Returns False if it was called, is being called, or is cancelled."""
        return self._timers._cancel(self)


class Timers:
    """A clockwork.  ``threaded=False`` leaves it to the owner to call ``run_due``."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, threaded: bool = True
    ) -> None:
        self._clock = clock
        self._threaded = threaded
        self._sequence = itertools.count()
        self._lock = threading.Lock()
        self._sooner = threading.Condition(self._lock)  # the thread must look again
        self._heap: list[tuple[float, int, Timer]] = []  # by self._lock
        self._dead = 0  # by self._lock; cancelled entries in the heap
        self._thread: threading.Thread | None = None  # by self._lock
        self._closed = False  # by self._lock

    def call_later(self, seconds: float, fn: Callable[..., Any], *args: Any) -> Timer:
        """Call ``fn(*args)`` once, *seconds* from now.  After ``close`` it never runs."""
        timer = Timer(self, self._clock() + seconds, (fn, args))
        start = None
        with self._lock:
            if self._closed:
                timer._call = None
                return timer
            heapq.heappush(self._heap, (timer.when, next(self._sequence), timer))
            if self._threaded and self._thread is None:
                start = threading.Thread(target=self._loop, name="ksmbd/timers", daemon=True)
                self._thread = start
            elif self._heap[0][2] is timer:
                self._sooner.notify()
        if start is not None:
            start.start()
        return timer

    def pending(self) -> int:
        """How many timers have neither fired nor been cancelled."""
        with self._lock:
            return len(self._heap) - self._dead

    def run_due(self) -> float | None:
        """Call what is due; returns the seconds until the next timer, None if there is none."""
        while True:
            with self._lock:
                call, wait = self._next(self._clock())
            if call is None:
                return wait
            _run(call)

    def close(self) -> None:
        """Forget all timers and end the thread; waits for a callback that is running."""
        with self._lock:
            self._closed = True
            for _, _, timer in self._heap:
                timer._call = None
            self._heap.clear()
            self._dead = 0
            thread = self._thread
            self._sooner.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _next(self, now: float) -> tuple[Call | None, float | None]:
        """The first call that is due, else how long to wait.  Caller holds the lock."""
        while self._heap:
            when, _, timer = self._heap[0]
            if timer._call is not None and when > now:
                return None, when - now
            heapq.heappop(self._heap)
            if timer._call is None:
                self._dead -= 1
                continue
            call, timer._call = timer._call, None
            return call, None
        return None, None

    def _cancel(self, timer: Timer) -> bool:
        with self._lock:
            if timer._call is None:
                return False
            timer._call = None
            self._dead += 1
            if self._dead > COMPACT_ABOVE and self._dead * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if entry[2]._call is not None]
                heapq.heapify(self._heap)
                self._dead = 0
            return True

    def _loop(self) -> None:
        while True:
            with self._sooner:
                call, wait = self._next(self._clock())
                if self._closed:
                    return
                if call is None:
                    self._sooner.wait(wait)
                    continue
            _run(call)


def _run(call: Call) -> None:
    fn, args = call
    try:
        fn(*args)
    except Exception:
        log.exception("a timer failed: a bug in the server")
