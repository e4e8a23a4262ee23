"""Clients' caches and local programs: a lease of the kernel behind each, `kernel oplocks`.

What a client may cache on such a share is what the kernel has promised for its open, so that no
local program reads what is old or writes behind the client's back (``vfs.file_leases``):

    WRITE cached    behind it a WRITE lease: this open is the only one on the machine
    READ cached     a READ lease: nobody has the file open for writing, not even this open
    HANDLE          is not the kernel's business

    CREATE             claim, before anything is granted; what cannot be had is not granted
    a local open()     the kernel signals, ``broken``: the client is asked as by another client;
                       when it has answered, ``settle`` lets the local program go on
    another client     asks the same of the first before it opens the file at all: for the kernel
                       our own descriptors are as foreign as anybody's
    CLOSE              forget

``KernelLeases._lock`` is a leaf.  It is held over the calls, which never wait.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, Protocol

from ksmbd.state.oplock import Cause
from ksmbd.vfs import file_leases
from ksmbd.wire.create_context import LEASE_READ, LEASE_WRITE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ksmbd.state.open import Open

log = logging.getLogger("ksmbd.oplock")

_BEHIND: Final = (  # a right, and the lease behind it
    (LEASE_WRITE, file_leases.WRITE),
    (LEASE_READ, file_leases.READ),
)


class Listener(Protocol):
    """Who hears the kernel's signals and calls ``KernelLeases.broken``."""

    def claim(self, fd: int) -> bool:
        """Have the signals about a descriptor from now on; False if nobody hears them."""
        ...


class KernelLease:
    """What the kernel has promised for one open."""

    __slots__ = ("broken", "held")

    def __init__(self, held: int) -> None:
        self.held = held  # by KernelLeases._lock
        self.broken = False  # by inode.lock; before anything was granted


class KernelLeases:
    """The leases of all opens, by descriptor."""

    def __init__(self) -> None:
        self.listener: Listener | None = None  # without one nothing is granted
        self._lock = threading.Lock()
        self._opens: dict[int, Open] = {}  # by self._lock

    def __len__(self) -> int:
        return len(self._opens)

    def claim(self, open: Open, level: int, without_write: int) -> int:
        """The part of *level* that the kernel has promised: all, *without_write*, or nothing.

        Streams are the server's own: no local program opens one.
        """
        handle = open.file
        if handle.stream:
            assert open.inode is not None
            return level if level & LEASE_WRITE and not open.inode.opens else 0
        if self.listener is None or handle.path_only or not level & LEASE_READ:
            return 0
        if not self.listener.claim(handle.fd):
            return 0
        granted = level
        for right, kind in _BEHIND:
            if granted & right and self._take(open, kind):
                return granted
            granted &= without_write
        return 0

    def _take(self, open: Open, kind: int) -> bool:
        with self._lock:
            taken = file_leases.take(open.file, kind)
            if taken:
                open.kernel_lease = KernelLease(kind)
                self._opens[open.file.fd] = open
            return taken

    def settle(self, opens: Iterable[Open]) -> list[Open]:
        """Give back what is not needed any more; the opens whose READ must go with it."""
        return [open for open in opens if open.kernel_lease is not None and not self._settled(open)]

    def _settled(self, open: Open) -> bool:
        with self._lock:
            lease, holder = open.kernel_lease, open.holder
            level = holder.level if holder is not None else 0
            needed = next((kind for right, kind in _BEHIND if level & right), file_leases.NONE)
            if lease is None or needed >= lease.held:
                return True
            if needed and file_leases.take(open.file, needed):
                lease.held = needed
                return True
            self._give_back(open)
            return not needed

    def forget(self, open: Open) -> None:
        """The open is closed."""
        if open.kernel_lease is not None:
            with self._lock:
                self._give_back(open)

    def _give_back(self, open: Open) -> None:
        if self._opens.pop(open.file.fd, None) is not None:
            file_leases.take(open.file, file_leases.NONE)
        open.kernel_lease = None

    def broken(self, fd: int) -> tuple[Open, Cause] | None:
        """Whose cache is in a local program's way, and what that wants; None if nobody's is."""
        with self._lock:
            open = self._opens.get(fd)
            if open is None or open.kernel_lease is None:
                return None
            left = file_leases.left(open.file)
            if left >= open.kernel_lease.held:
                return None  # a signal about an earlier file of that descriptor
        log.debug("%s: a local program wants it", open.path)
        return open, cause_of(open, writes=left == file_leases.NONE)

    def descriptors(self) -> list[int]:
        """To be looked at when signals have been lost."""
        with self._lock:
            return list(self._opens)


def cause_of(open: Open, *, writes: bool) -> Cause:
    """What an open by somebody else means for what *open* caches.

    The kernel promises READ only to who does not write himself.
    """
    return Cause.CHANGE if writes or open.file.writable else Cause.OPEN
