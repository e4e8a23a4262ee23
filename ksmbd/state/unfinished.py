"""Files that CREATE is making: nobody gets at one before it is whole.

POSIX has no call that makes a directory with its descriptor.  Between mkdir(2) and the writing of
what it inherits it is there for everybody, with the rights of its mode: whoever comes in between
might put into it what the inherited entries forbid, or find a file that is shared with nobody
before its share mode is known.  So a CREATE, a rename or a link that comes upon such a name, or
into such a directory, waits until it is finished, and then runs again.

    free --begin--> unfinished --whole, or gone again--> free
                         |
                  others wait for it

Names go in before the file is made, and others look here after they have found it: who finds
nothing here has found a file that is whole.  They are absolute and as on disk, because the same
directory may be reached through two shares.  Local programs are held by nothing but the mode.

Waiting holds no thread and has no end of its own: making one is some system calls.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ksmbd.state.wait import Event, Wait

if TYPE_CHECKING:
    from ksmbd.vfs.entry import Entry
    from ksmbd.vfs.root import ShareRoot


class Unfinished:
    """The files under way of a server."""

    __slots__ = ("_lock", "_under_way")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Event] = {}  # by self._lock; where -> fired when it is whole

    def __bool__(self) -> bool:
        return bool(self._under_way)

    @contextmanager
    def making(self, root: ShareRoot, entry: Entry) -> Iterator[None]:
        """Around the making of *entry*, from before it exists until it is whole or gone again.

        Raises Wait if somebody else makes it.
        """
        where = f"{root.location}/{entry.path}"
        done = Event()
        with self._lock:
            others = self._under_way.setdefault(where, done)
        if others is not done:
            raise Wait(others, interim=False)
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[where]
            done.fire()

    def wait_for(self, root: ShareRoot, entry: Entry) -> None:
        """Raises Wait while *entry*, which resolve() has just found, or its directory is made.

        Ask only if this is true: hardly ever is anything under way.
        """
        where = f"{root.location}/{entry.path}"
        with self._lock:
            event = self._under_way.get(where) or self._under_way.get(where.rpartition("/")[0])
        if event is not None:
            raise Wait(event, interim=False)
