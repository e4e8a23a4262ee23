"""What all opens of one file share (ksmbd_inode): share modes, deletion, byte-range locks.

Lock order: see connection.  ``Inode.lock`` guards everything here; under it only memory is
touched.  The table's own lock is a leaf taken for look-ups only, never together with it.

Deletion ([MS-FSA] 2.1.5.5): a delete-on-close open, or SET_INFO with a disposition, makes
the file *delete pending*; nobody can open it any more, and it is removed when the last open
is closed.  With POSIX semantics the name goes at once and the other opens live on.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from ksmbd.vfs.locks import LockTable
from ksmbd.wire.access import (
    DELETE,
    FILE_APPEND_DATA,
    FILE_EXECUTE,
    FILE_READ_DATA,
    FILE_SHARE_DELETE,
    FILE_SHARE_READ,
    FILE_SHARE_WRITE,
    FILE_WRITE_DATA,
)
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.wait import Event
    from ksmbd.state.watch import Watch

# Access that takes part in sharing, and the permission the others must have given for it.
_SHARING: Final = (
    (FILE_READ_DATA | FILE_EXECUTE, FILE_SHARE_READ),
    (FILE_WRITE_DATA | FILE_APPEND_DATA, FILE_SHARE_WRITE),
    (DELETE, FILE_SHARE_DELETE),
)
_SHARED_ACCESS: Final = FILE_READ_DATA | FILE_EXECUTE | FILE_WRITE_DATA | FILE_APPEND_DATA | DELETE


def sharing_conflict(access: int, share: int, other_access: int, other_share: int) -> bool:
    """Whether two opens exclude each other; opens for attributes only never do."""
    for rights, permission in _SHARING:
        if access & rights and not other_share & permission:
            return True
        if other_access & rights and not share & permission:
            return True
    return False


class Inode:
    """One file or directory that is open."""

    __slots__ = (
        "delete_path",
        "delete_pending",
        "deleted",
        "key",
        "lock",
        "lock_waiters",
        "locks",
        "opens",
    )

    def __init__(self, key: tuple[int, int]) -> None:
        self.key = key  # (device, inode number)
        self.lock = threading.Lock()
        self.opens: list[Open] = []  # by self.lock
        self.delete_pending = False  # by self.lock
        self.delete_path = ""  # by self.lock; the name that will be removed
        self.deleted = False  # by self.lock; the name is gone already
        self.locks = LockTable()  # by self.lock
        self.lock_waiters: list[Event] = []  # by self.lock; fired whenever a lock is released

    def check_share(self, access: int, share: int, *, skip: Open | None = None) -> None:
        """Compare with every other open.  The caller holds ``lock``.

        SHARING_VIOLATION   one of them did not share what is asked for, or the other way round
        """
        if not access & _SHARED_ACCESS:
            return
        for other in self.opens:
            if other is skip or not other.granted_access & _SHARED_ACCESS:
                continue
            if sharing_conflict(access, share, other.granted_access, other.share_access):
                raise NtStatusError(NtStatus.SHARING_VIOLATION, f"open {other.volatile_id:#x}")

    def attach(self, open: Open) -> None:
        """Add an open after checking deletion and share modes in one step.

        DELETE_PENDING      the file is going to be removed
        SHARING_VIOLATION   see :meth:`check_share`
        """
        with self.lock:
            if self.delete_pending and not self.deleted:
                raise NtStatusError(NtStatus.DELETE_PENDING, open.path)
            self.check_share(open.granted_access, open.share_access)
            self.opens.append(open)

    def set_delete_pending(self, path: str) -> None:
        with self.lock:
            self.delete_pending = True
            self.delete_path = path

    def watches(self) -> list[Watch]:
        """Those of a directory's opens.  The caller holds ``lock``."""
        return [open.watch for open in self.opens if open.watch is not None]

    def clear_delete_pending(self) -> None:
        with self.lock:
            if not self.deleted:
                self.delete_pending = False

    def release_locks(self, open: Open) -> None:
        """Drop the byte-range locks of an open and wake those who wait for one."""
        with self.lock:
            self.locks.release_all(open)
            waiters, self.lock_waiters = self.lock_waiters, []
        for waiter in waiters:
            waiter.fire()


class Inodes:
    """All open files by (device, inode number)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inodes: dict[tuple[int, int], tuple[Inode, int]] = {}  # by self._lock; with users

    def hold(self, key: tuple[int, int]) -> Inode:
        """The inode of that key, made if need be; each call needs its :meth:`drop`."""
        with self._lock:
            inode, users = self._inodes.get(key) or (Inode(key), 0)
            self._inodes[key] = inode, users + 1
            return inode

    def drop(self, inode: Inode) -> None:
        with self._lock:
            found = self._inodes.get(inode.key)
            if found is None or found[0] is not inode:
                return
            if found[1] == 1:
                del self._inodes[inode.key]
            else:
                self._inodes[inode.key] = inode, found[1] - 1

    def find(self, key: tuple[int, int]) -> Inode | None:
        """The inode of that key if somebody has it open."""
        with self._lock:
            found = self._inodes.get(key)
            return found[0] if found else None

    def opens_below(self, device: int, prefix: str, root: object) -> bool:
        """Whether any file whose path in the same share root starts with *prefix* is open."""
        with self._lock:
            inodes = [inode for inode, _ in self._inodes.values()]
        for inode in inodes:
            for open in list(inode.opens):
                handle = open.handle
                if handle is not None and handle.root is root and handle.path.startswith(prefix):
                    return True
        return False
