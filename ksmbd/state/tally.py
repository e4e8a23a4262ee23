"""Counts of what happens seldom: log-ons and their refusals, breaks.

Each is a step under a lock, which such an event does not notice.  What comes with every request
is counted elsewhere, and only while somebody wants to know: ``ksmbd/server/counters.py``.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import Enum, auto


class Event(Enum):
    """What is counted."""

    LOGGED_ON = auto()
    LOG_ON_FAILED = auto()  # by reason
    BREAK = auto()  # by kind: told to a client
    BREAK_UNANSWERED = auto()  # by kind: the client has not answered in time


class Tally:
    """How often each event happened, by its label."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[Event, str]] = Counter()  # by self._lock

    def count(self, event: Event, label: str = "") -> None:
        """*label* is one of a few words: each is a time series for whoever watches."""
        with self._lock:
            self._counts[event, label] += 1

    def of(self, event: Event) -> dict[str, int]:
        """The counts of *event* by label."""
        with self._lock:
            return {label: count for (each, label), count in self._counts.items() if each is event}
