"""What is counted of every request, while somebody wants to know.

Each thread that answers requests counts for itself, in lists that were made beforehand: no lock,
nothing that two threads write.  Whoever asks gets the sum; what a thread counted that has ended is
kept.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from typing import Final, NamedTuple

from ksmbd.wire.header import Command

COMMANDS: Final = len(Command)  # rows; one more is for commands that do not exist
# Upper bounds of the latency histogram's buckets, in ns; the last bucket has none.
BOUNDS: Final = tuple(
    int(seconds * 1e9)
    for seconds in (
        *(50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3),
        *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    )
)
WIDTH: Final = len(BOUNDS) + 1
OPERATIONS, READ, WRITTEN = range(3)  # of a share


class Counters:
    """One thread's, which alone writes them."""

    __slots__ = ("buckets", "ns", "shares", "statuses")

    def __init__(self) -> None:
        self.buckets = [0] * (WIDTH * (COMMANDS + 1))
        self.ns = [0] * (COMMANDS + 1)  # by command, together
        self.statuses: dict[int, int] = {}
        self.shares: dict[str, list[int]] = {}  # OPERATIONS, READ, WRITTEN

    def request(self, command: int, ns: int, status: int) -> None:
        """A command was answered after so many nanoseconds."""
        row = command if command < COMMANDS else COMMANDS
        self.buckets[row * WIDTH + bisect_left(BOUNDS, ns)] += 1
        self.ns[row] += ns
        if status:
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def share(self, name: str) -> list[int]:
        """The numbers of a share, to be added to."""
        found = self.shares.get(name)
        if found is None:
            found = self.shares[name] = [0, 0, 0]
        return found

    def add(self, other: Counters) -> None:
        """Add another's, whose thread may go on counting meanwhile."""
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.ns = [a + b for a, b in zip(self.ns, other.ns, strict=True)]
        self.statuses = dict(Counter(self.statuses) + Counter(other.statuses.copy()))
        for name, numbers in other.shares.copy().items():
            self.shares[name] = [a + b for a, b in zip(self.share(name), numbers, strict=True)]


class _Thread(NamedTuple):
    thread: threading.Thread
    counters: Counters


class _Mine(threading.local):
    """The counters of whoever looks; ``threading.local`` calls this once for each thread."""

    def __init__(self, counts: Counts) -> None:
        self.counters = counts._join()


class Counts:
    """The counters of all threads; ``mine`` are the calling thread's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[_Thread] = []  # by self._lock
        self._ended = Counters()  # by self._lock; of threads that have ended, together
        self._mine = _Mine(self)

    @property
    def mine(self) -> Counters:
        return self._mine.counters

    def total(self) -> Counters:
        """The sum of all threads until now."""
        total = Counters()
        with self._lock:
            self._fold()
            total.add(self._ended)
            counting = list(self._threads)
        for each in counting:
            total.add(each.counters)
        return total

    def _join(self) -> Counters:
        made = Counters()
        with self._lock:
            self._fold()
            self._threads.append(_Thread(threading.current_thread(), made))
        return made

    def _fold(self) -> None:
        """Keep no more lists than there are threads.  Caller holds the lock."""
        counting, self._threads = self._threads, []
        for each in counting:
            if each.thread.is_alive():
                self._threads.append(each)
            else:
                self._ended.add(each.counters)
