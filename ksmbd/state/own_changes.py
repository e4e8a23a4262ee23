"""What this server itself has lately changed on disk, so that inotify's echo of it is known.

Our own operations are reported by those who do them: at once, with names and filters that
inotify cannot tell.  The kernel then says the same once more.  Each report leaves notes here;
an event that finds its note is an echo and is dropped.

A note is forgotten when every event that was queued before it has been looked at, so a note
without an echo (the kernel merges events) cannot swallow a later local change for long.  The
reader of events counts *turns* for that: it takes one whenever it has emptied the kernel's
queue.

Nothing here locks: ``Notify`` does.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

MAX_NOTES: Final = 16384  # as many as the kernel's queue holds by default


class Kind(IntEnum):
    """What an event says of a name."""

    APPEARED = 1
    VANISHED = 2
    TOUCHED = 3  # contents, attributes: everything that is not the name


class OwnChanges:
    """Notes by path and kind."""

    def __init__(self, limit: int = MAX_NOTES) -> None:
        self._limit = limit
        self._turn = 0
        self._notes: dict[tuple[str, Kind], list[int]] = {}  # turns, oldest first

    def __len__(self) -> int:
        return len(self._notes)

    def note(self, path: str, kind: Kind) -> None:
        """Remember that we did this; whatever we do to a name touches it too."""
        self._keep(path, Kind.TOUCHED, once=True)
        if kind != Kind.TOUCHED:
            self._keep(path, kind, once=False)

    def is_echo(self, path: str, kind: Kind) -> bool:
        """Whether an event is our own doing.

        A name appears or vanishes once for each note; touches are merged by the kernel, so
        one note stands for any number of them.
        """
        turns = self._notes.get((path, kind))
        if turns is None:
            return False
        if kind != Kind.TOUCHED:
            turns.pop(0)
            if not turns:
                del self._notes[path, kind]
        return True

    def next_turn(self) -> int:
        """Begin a turn; the number of the one that ended."""
        self._turn += 1
        return self._turn - 1

    def forget(self, turn: int) -> None:
        """Drop what was noted in *turn* or before."""
        for key, turns in list(self._notes.items()):
            kept = [when for when in turns if when > turn]
            if kept:
                self._notes[key] = kept
            else:
                del self._notes[key]

    def clear(self) -> None:
        self._notes.clear()

    def _keep(self, path: str, kind: Kind, *, once: bool) -> None:
        turns = self._notes.pop((path, kind), [])
        self._notes[path, kind] = [self._turn] if once else [*turns, self._turn]
        if len(self._notes) > self._limit:
            del self._notes[next(iter(self._notes))]  # the oldest
