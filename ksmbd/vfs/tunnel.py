"""What files that lost their name a moment ago were called, and when they were made.

NTFS's tunnel cache, [MS-FSA] 2.1.1.2, for shares whose listings tell 8.3 names: a program that
saves a file by removing it and making it again, under the short name if it knows no other, gets
its long name and its creation time back.  Directories are not tunnelled.

    name removed --(15 s, or too many others)--> forgotten
        |
    made or renamed to again: given back, and forgotten
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.vfs.entry import Entry
from ksmbd.vfs.shortnames import short_name
from ksmbd.vfs.stamps import Clock
from ksmbd.wire.text import upcase

if TYPE_CHECKING:
    from ksmbd.vfs.handle import Handle

KEPT_NS: Final = 15_000_000_000  # as Windows' MaximumTunnelEntryAgeInSeconds
MOST: Final = 1024  # entries, as Windows' MaximumTunnelEntries

_Key = tuple[int, int, str]  # of the directory: device, inode number; the folded name


class _Gone(NamedTuple):
    name: str  # the long one
    birth: int  # ns since 1970
    removed: int  # likewise


class Tunnel:
    """The tunnel cache of one share."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._gone: OrderedDict[_Key, _Gone] = OrderedDict()  # by self._lock; the oldest first

    def opened(self, handle: Handle, entry: Entry) -> None:
        """Note by which name a file was opened."""
        asked = entry.asked.rpartition("/")[2]
        if upcase(asked) != upcase(entry.name):
            handle.short_name = asked

    def removed(self, parent: int, name: str, handle: Handle) -> None:
        """As ``lost``, of what is gone for good: another directory may get its inode number."""
        self.lost(parent, name, handle)
        if handle.is_directory:
            self._forget((handle.dev, handle.ino))

    def lost(self, parent: int, name: str, handle: Handle) -> None:
        """Note that the file of *handle* has lost its *name* in an open directory.

        It is found again by the name that it was opened by, and by no other.
        """
        if handle.is_directory:
            return
        shown = handle.short_name
        known_by = shown if shown and upcase(shown) == short_name(name) else name
        key, gone = _key(parent, known_by), _Gone(name, handle.stat().birth, self._clock())
        with self._lock:
            self._gone.pop(key, None)
            self._gone[key] = gone
            if len(self._gone) > MOST:
                self._gone.popitem(last=False)

    def give_back(self, entry: Entry) -> int | None:
        """Give a missing *entry*, about to be a file, the name that its file had.

        The creation time to give to it, ns since 1970; None if nothing is known of the name.
        """
        key = _key(entry.parent, entry.name)
        with self._lock:
            gone = self._gone.pop(key, None)
        if gone is None or self._clock() - gone.removed > KEPT_NS:
            return None
        if upcase(gone.name) != upcase(entry.name):
            above = entry.path[: len(entry.path) - len(entry.name)]
            entry.path = entry.asked = above + gone.name
        return gone.birth

    @staticmethod
    def bear(handle: Handle, birth: int) -> None:
        """Give a file its creation time back; without it, it still is a good file."""
        with contextlib.suppress(OSError):
            handle.set_times(birth=birth)

    def _forget(self, directory: tuple[int, int]) -> None:
        with self._lock:
            for key in [key for key in self._gone if key[:2] == directory]:
                del self._gone[key]


def _key(parent: int, name: str) -> _Key:
    st = os.fstat(parent)
    return st.st_dev, st.st_ino, upcase(name)
