"""What all opens of one file share (ksmbd_inode): share modes, deletion, byte-range locks.

Lock order: see connection.  ``Inode.lock`` guards everything here; under it only memory is
touched.  The table's own lock is a leaf taken for look-ups only, never together with it.

Deletion ([MS-FSA] 2.1.5.5): a delete-on-close open, or SET_INFO with a disposition, makes
the file *delete pending*; nobody can open it any more, and it is removed when the last open
is closed.  With POSIX semantics the name goes at once and the other opens live on.

A named stream has an inode of its own, with its own share modes, locks and deletion.  It hangs
on the file's, whose lock it shares; what is done to the file as a whole is done to it too:
a file that is going to be deleted opens none of its streams and stays until they are closed, and
to ask for DELETE of a file is to ask everybody who has one of its streams open.
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
from ksmbd.wire.text import upcase

if TYPE_CHECKING:
    from ksmbd.state.holder import Holder
    from ksmbd.state.open import Open
    from ksmbd.state.transport import AuditedOpen
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
    """One file or directory that is open, or one named stream of it."""

    __slots__ = (
        "base",
        "changing",
        "delete_key",
        "delete_path",
        "delete_pending",
        "deleted",
        "deleter",
        "holders",
        "key",
        "lock",
        "lock_waiters",
        "locks",
        "opens",
        "overwritten",
        "stream",
        "streams",
        "users",
        "write_time_set",
    )

    def __init__(self, key: tuple[int, int], base: Inode | None = None, stream: str = "") -> None:
        self.key = key  # (device, inode number)
        self.stream = stream  # in upper case; "" is the file itself
        self.base = base  # of a stream: the file's
        self.streams: list[Inode] = []  # of a file; by the table's lock, read as a whole
        self.users = 0  # by the table's lock
        self.lock: threading.Lock = threading.Lock() if base is None else base.lock
        self.opens: list[Open] = []  # by self.lock
        self.delete_pending = False  # by self.lock
        self.delete_path = ""  # by self.lock; the name that will be removed
        self.delete_key: bytes | None = None  # by self.lock; ParentLeaseKey of who said so
        self.deleter: AuditedOpen | None = None  # by self.lock; who said so, if that is recorded
        self.overwritten = False  # a stream whose file was: it goes whatever its name
        self.deleted = False  # by self.lock; the name is gone already
        self.locks = LockTable()  # by self.lock
        self.lock_waiters: list[Event] = []  # by self.lock; fired whenever a lock is released
        self.holders: list[Holder] = []  # by self.lock; its oplocks and leases
        self.changing = 0  # by self.lock; changes of the data under way: state/caching.py
        self.write_time_set = False  # by self.lock; an open has set it, and may keep it

    @property
    def doomed(self) -> bool:
        """Whether it, or the file it is a stream of, waits to be removed; nobody may open it."""
        if self.delete_pending and not self.deleted:
            return True
        return self.base is not None and self.base.doomed

    def stream_opens(self) -> list[Open]:
        """The opens of all named streams.  The caller holds ``lock``."""
        return [open for stream in list(self.streams) for open in stream.opens]

    def due(self) -> bool:
        """Whether it is to be removed and nobody has it open.  The caller holds ``lock``."""
        if not self.delete_pending or self.deleted:
            return False
        return not self.opens and not self.stream_opens()

    def conflicting(self, access: int, share: int, *, skip: Open | None = None) -> list[Open]:
        """The opens whose share modes exclude such an open.  The caller holds ``lock``."""
        if not access & _SHARED_ACCESS:
            return []
        found = [
            other
            for other in self.opens
            if other is not skip
            and other.granted_access & _SHARED_ACCESS
            and sharing_conflict(access, share, other.granted_access, other.share_access)
        ]
        if self.base is None:
            if access & DELETE:
                found += [o for o in self.stream_opens() if _keeps_file(o)]
        elif not share & FILE_SHARE_DELETE:
            found += [other for other in self.base.opens if other.granted_access & DELETE]
        return found

    def join(self, open: Open) -> bool:
        """Let an open in that wants to cache nothing; False if ``Caching.enter`` is to decide.

        It does where somebody caches the file, excludes the open, or has deleted the file.
        """
        with self.lock:
            if (
                self.holders
                or self.doomed
                or self.conflicting(open.granted_access, open.share_access)
            ):
                return False
            self.opens.append(open)
            return True

    def leave(self, open: Open) -> bool:
        """Let one go that caches nothing; False if there is more to it: the file may have to go."""
        with self.lock:
            base = self.base
            if (
                open.holder is not None
                or open.delete_on_close
                or self.delete_pending
                or (base is not None and base.delete_pending)
            ):
                return False
            if open in self.opens:
                self.opens.remove(open)
            return True

    def check_share(self, access: int, share: int, *, skip: Open | None = None) -> None:
        """Compare with every other open.  The caller holds ``lock``.

        SHARING_VIOLATION   one of them did not share what is asked for, or the other way round
        """
        found = self.conflicting(access, share, skip=skip)
        if found:
            raise NtStatusError(NtStatus.SHARING_VIOLATION, f"open {found[0].volatile_id:#x}")

    def set_delete_pending(
        self, path: str, key: bytes | None = None, by: AuditedOpen | None = None
    ) -> None:
        with self.lock:
            self.deleter = by
            self.delete_pending = True
            self.delete_path = path
            self.delete_key = key

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


def _keeps_file(open: Open) -> bool:
    """Whether an open of a stream keeps the file from being deleted."""
    return bool(open.granted_access & _SHARED_ACCESS) and not open.share_access & FILE_SHARE_DELETE


class Inodes:
    """All open files by (device, inode number), and their streams by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inodes: dict[tuple[tuple[int, int], str], Inode] = {}  # by self._lock

    def hold(self, key: tuple[int, int], stream: str = "") -> Inode:
        """The inode of that key, made if need be; each call needs its :meth:`drop`."""
        with self._lock:
            return self._hold(key, upcase(stream) if stream else "")

    def _hold(self, key: tuple[int, int], stream: str) -> Inode:
        inode = self._inodes.get((key, stream))
        if inode is None:
            inode = Inode(key, self._hold(key, "") if stream else None, stream)
            if inode.base is not None:
                inode.base.streams.append(inode)
            self._inodes[key, stream] = inode
        inode.users += 1
        return inode

    def drop(self, inode: Inode) -> None:
        with self._lock:
            self._drop(inode)

    def _drop(self, inode: Inode) -> None:
        inode.users -= 1
        if inode.users:
            return
        if self._inodes.get((inode.key, inode.stream)) is inode:
            del self._inodes[inode.key, inode.stream]
        if inode.base is not None:
            inode.base.streams.remove(inode)
            self._drop(inode.base)

    def rename(self, inode: Inode, stream: str) -> None:
        """A stream has another name now."""
        with self._lock:
            if self._inodes.get((inode.key, inode.stream)) is inode:
                del self._inodes[inode.key, inode.stream]
            inode.stream = upcase(stream)
            self._inodes[inode.key, inode.stream] = inode

    def find(self, key: tuple[int, int], stream: str = "") -> Inode | None:
        """The inode of that key if somebody has it, or a stream of it, open."""
        with self._lock:
            return self._inodes.get((key, upcase(stream) if stream else ""))

    def opens_below(self, prefix: str, root: object) -> list[Open]:
        """The opens of all files whose path in the same share root starts with *prefix*."""
        with self._lock:
            inodes = list(self._inodes.values())
        return [
            open
            for inode in inodes
            for open in list(inode.opens)
            if open.handle is not None
            and open.handle.root is root
            and open.handle.path.startswith(prefix)
        ]
