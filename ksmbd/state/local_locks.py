"""Byte-range locks of clients and of local programs together: `posix locking`, `strict locking`.

``Inode.locks`` says what clients have and decides among them; what an open has there it also has
on its descriptor, where local programs and nfsd see it (``vfs.posix_locks``), and a lock that one
of those has is in the client's way.

    LOCK     take it in the table; place it on the descriptor; if that is refused, take it back
    UNLOCK   remove it from the table; the descriptor keeps what the open's other locks come to
    CLOSE    remove all

One LOCK or UNLOCK of a file at a time has its *turn*, a lock that is held over the system calls:
without it a client could meet, on a descriptor, what another has given back in the table already.
Of local locks nothing tells that they end: who waits for one tries again, ever less often.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from ksmbd.vfs import posix_locks
from ksmbd.vfs.locks import Part

if TYPE_CHECKING:
    from ksmbd.state.inode import Inode
    from ksmbd.state.open import Open

FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 1.0

Range = tuple[int, int, bool]  # offset, length, whether exclusive

_turns: Final = tuple(threading.Lock() for _ in range(64))
_NOTHING: Final[AbstractContextManager[object]] = nullcontext()


def turn(open: Open, inode: Inode) -> AbstractContextManager[object]:
    """To be had by whoever changes locks of the file."""
    return _turns[hash(inode.key) % len(_turns)] if open.posix_locking else _NOTHING


def in_the_way(open: Open, ranges: Iterable[Range]) -> bool:
    """Whether a lock that is no client's excludes one of these; or one that is a client's."""
    return open.posix_locking and any(
        posix_locks.in_the_way(open.file, offset, offset + length, exclusive)
        for offset, length, exclusive in ranges
    )


def parts(open: Open, inode: Inode, ranges: Iterable[Range]) -> list[Part]:
    """What the table has in these ranges, for :func:`place`.  Under ``inode.lock``."""
    if not open.posix_locking:
        return []
    found: list[Part] = []
    for offset, length, _ in ranges:
        found += inode.locks.coverage(open, offset, offset + length)
    return found


def place(open: Open, parts: Iterable[Part]) -> bool:
    """Give the descriptor what the table has; False if that is refused somewhere.

    The caller has its turn since it has found out the *parts*.
    """
    for start, end, exclusive in parts:
        if exclusive is None:
            posix_locks.remove(open.file, start, end)
        elif not posix_locks.place(open.file, start, end, exclusive):
            return False
    return True


def release(open: Open, inode: Inode) -> None:
    """The open is closed: it has no locks any more, and those who wait for one are woken."""
    if not inode.locks and not inode.lock_waiters:
        return  # nobody has any: no LOCK by this open is at work any more
    if not inode.locks or not open.posix_locking:
        inode.release_locks(open)
        return
    with turn(open, inode):
        with inode.lock:
            held = bool(inode.locks.of(open, 1))
        if held:
            posix_locks.remove(open.file)
        inode.release_locks(open)


def conflicts(open: Open, offset: int, length: int, *, write: bool) -> bool:
    """Whether a local lock excludes that the range is read or written; `strict locking` asks."""
    return open.posix_locking and posix_locks.in_the_way(open.file, offset, offset + length, write)


def next_pause(pause_s: float) -> float:
    """How long to wait after having waited so long, in vain."""
    return min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
