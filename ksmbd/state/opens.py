"""The global table of opens ([MS-SMB2] 3.3.1.5 GlobalOpenTable) and how an open ends."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ksmbd.state import local_locks
from ksmbd.state.holder import After
from ksmbd.vfs import afp_info, credentials
from ksmbd.vfs.syscalls import descriptors_in_use
from ksmbd.wire.change_notify import ACTION_ADDED, CHANGE_FILE_NAME
from ksmbd.wire.status import NtStatus, NtStatusError, from_oserror

if TYPE_CHECKING:
    from ksmbd.state.inode import Inode, Inodes
    from ksmbd.state.notify import Notify
    from ksmbd.state.open import Open
    from ksmbd.vfs.handle import Handle

log = logging.getLogger("ksmbd.vfs")

NO_ID = 0xFFFF_FFFF_FFFF_FFFF
_SOON: Final = 64  # descriptors, before there are none for files: of opens under way
_ID_SIZE: Final = 16  # bytes, of both halves of a FileId
_DRAWN: Final = 64  # FileIds whose random numbers are asked for at a time


class Opens:
    """FileIds: both halves are random, so that none can be guessed from another.

    A look-up is by the volatile half, as in the specification; the persistent half must agree.
    """

    def __init__(
        self,
        inodes: Inodes,
        random: Callable[[int], bytes],
        limit: int,
        notify: Notify,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self.inodes = inodes
        self.notify = notify
        self.limit = limit
        self.descriptors = sys.maxsize  # the first of those that are kept for all else
        self._short = False  # of descriptors, nearly; a guess
        self._told = False  # that they have run out; a guess
        self._random = random
        self._make_room = make_room  # closes one whose client is away; False if there is none
        self._lock = threading.Lock()
        self._opens: dict[int, Open] = {}  # by self._lock; volatile id -> Open
        self._drawn: list[bytes] = []  # by self._lock; for the FileIds of the next ones

    def __len__(self) -> int:
        return len(self._opens)

    def all(self) -> list[Open]:
        with self._lock:
            return list(self._opens.values())

    def require_room(self) -> None:
        """TOO_MANY_OPENED_FILES   ``max open files`` is reached, or few descriptors are left"""
        while len(self._opens) >= self.limit:
            if not self._make_room():
                raise NtStatusError(NtStatus.TOO_MANY_OPENED_FILES, f"limit {self.limit}")
        while self._short and not self._has_descriptors():
            if not self._make_room():
                raise NtStatusError(NtStatus.TOO_MANY_OPENED_FILES, "descriptors")

    def _has_descriptors(self) -> bool:
        """Whether files may have another."""
        used = descriptors_in_use()
        self._short = used >= self.descriptors - _SOON
        if used < self.descriptors:
            self._told = self._told and self._short
            return True
        if not self._told:
            self._told = True
            log.warning(
                "%d descriptors are in use, and no more files are opened, for the sake of clients "
                "that come and of the server itself: raise LimitNOFILE (ulimit -n)",
                used,
            )
        return False

    def add(self, open: Open) -> None:
        """Give it a FileId and make it known, here and in its session.

        TOO_MANY_OPENED_FILES   ``max open files`` is reached
        USER_SESSION_DELETED    the session ended meanwhile
        NETWORK_NAME_DELETED    the tree was disconnected meanwhile
        """
        with self._lock:
            if len(self._opens) >= self.limit:
                raise NtStatusError(NtStatus.TOO_MANY_OPENED_FILES, f"limit {self.limit}")
            while True:
                raw = self._draw()
                volatile_id = int.from_bytes(raw[:8], "little")
                if volatile_id not in (0, NO_ID) and volatile_id not in self._opens:
                    break
            open.volatile_id = volatile_id
            open.persistent_id = int.from_bytes(raw[8:], "little") & (NO_ID >> 1) | 1
            self._opens[volatile_id] = open
        if open.handle is not None and open.handle.fd >= self.descriptors - _SOON:
            self._short = True
        session = open.session
        with session.lock:
            if open.tree.connected:
                session.opens[volatile_id] = open
                return
        with self._lock:
            self._opens.pop(volatile_id, None)
        raise NtStatusError(NtStatus.NETWORK_NAME_DELETED, "disconnected during the open")

    def _draw(self) -> bytes:
        """What nobody can guess, for one FileId.  The caller holds ``_lock``."""
        if not self._drawn:
            drawn = self._random(_DRAWN * _ID_SIZE)
            self._drawn = [drawn[at : at + _ID_SIZE] for at in range(0, len(drawn), _ID_SIZE)]
        return self._drawn.pop()

    def put_back(self, open: Open, persistent_id: int, volatile_id: int) -> None:
        """Make one known that has had its FileId from another process."""
        open.persistent_id, open.volatile_id = persistent_id, volatile_id
        with self._lock:
            self._opens[volatile_id] = open

    def find(self, volatile_id: int) -> Open | None:
        try:  # no ``get``, for which all threads would contend: docs/locking.md, "Without a lock"
            return self._opens[volatile_id]
        except KeyError:
            return None

    def close(
        self,
        open: Open,
        status: NtStatus = NtStatus.FILE_CLOSED,
        later: list[Callable[[], None]] | None = None,
    ) -> None:
        """End an open: wake who waits on it, drop its locks, delete if it is time, close.

        What needs the descriptor waits until no command uses it.

        Acts as the open's user.  *status* is what requests that wait on it are answered with.
        Safe to call twice; an I/O error while deleting is logged, for nobody waits for it.
        *later* is the ``work.after`` of a CLOSE, whose reply goes before what others are told.
        """
        with open.lock:
            if open.closed:
                return
            open.closed = True
            waiters, open.waiters = open.waiters, []
            unused = open.users == 0
        with self._lock:
            self._opens.pop(open.volatile_id, None)
        with open.session.lock:
            open.session.opens.pop(open.volatile_id, None)
        if open.durable is not None:
            open.connection.server.durables.forget(open)
        for waiter in waiters:
            waiter(status)
        if unused:
            self.finish(open, later)

    def unreserve(self, open: Open) -> None:
        """A command that was on its way to *open* has come there, or never will."""
        if open.unreserve():
            self.finish(open)

    def finish(self, open: Open, later: list[Callable[[], None]] | None = None) -> None:
        """Nobody uses a closed open any more: its place in the inode, its descriptors.

        Whoever the caller acts as it goes on as: another's open may end in its midst.
        """
        if open.audited is not None:
            open.audited.ended(open)
        if open.enumeration is not None:
            open.enumeration.close()
        if open.pipe is not None:
            open.pipe.close()
        if open.inode is None:
            return
        before = credentials.current()
        credentials.become(open.tree.credentials)
        try:
            self._leave(open, open.inode, later)
        finally:
            if before is not None:
                credentials.become(before)

    def _leave(self, open: Open, inode: Inode, later: list[Callable[[], None]] | None) -> None:
        local_locks.release(open, inode)
        if not inode.leave(open):
            self._leave_with_care(open, inode, later)
            return
        caching = open.connection.server.caching
        handle = open.handle
        try:
            if open.modified and handle is not None:
                caching.listing_changed(open, open.path, later)
        finally:
            self.inodes.drop(inode)
            if handle is not None:
                caching.local.leases.forget(open)
                handle.close()

    def _leave_with_care(
        self, open: Open, inode: Inode, later: list[Callable[[], None]] | None
    ) -> None:
        """The same where somebody caches the file by this open, or it may be the time to delete."""
        caching = open.connection.server.caching
        after = After()
        base = inode.base
        with inode.lock:
            if open in inode.opens:
                inode.opens.remove(open)
            if open.delete_on_close and not inode.deleted:
                inode.delete_pending = True
                inode.delete_path = open.path
                inode.delete_key = open.parent_key
                inode.deleter = open.audited
                caching.begin_deletion(inode, after, own=open.holder)
            caching.leave(open, after)
            posix = open.posix_delete and inode.delete_pending and not inode.deleted
            removed = [inode] if posix or inode.due() else []
            if base is not None and base.due():  # it was only this stream that kept the file
                removed.append(base)
            for each in removed:
                each.deleted = True
            watches = inode.watches() if inode.delete_pending else []
        try:
            self.notify.end(watches, NtStatus.DELETE_PENDING)
            kept = [self._delete(open, each) for each in removed]
            if open.handle is not None and (removed or open.modified):
                # Who deletes by two opens with different keys for the directory breaks all its
                # leases: smbtorture's smb2.dirlease.unlink_different_set_and_close.
                same = all(each.delete_key == open.parent_key for each in removed)
                caching.listing_changed(open, open.path, later, spare=same)
            for path in filter(None, kept):
                caching.listing_changed(open, path, later, spare=False)
        finally:
            self.inodes.drop(inode)
            if open.handle is not None:
                caching.local.leases.forget(open)
                open.handle.close()
            caching.finish(after)  # those who wait find the open gone

    def _delete(self, open: Open, inode: Inode) -> str | None:
        """Remove the name; where the recycle bin keeps the file, if it does."""
        handle = open.file if inode.base is not None else open.file.of_file()
        if afp_info.outlives_deletion(handle) and not inode.overwritten:
            return None
        if inode.delete_path:
            handle.path = inode.delete_path  # another open's name of it, if a hard link's
        kept = None if open.discarded else _recycled(open, handle)
        if kept is not None:
            _record(open, inode, handle, NtStatus.SUCCESS, kept)
            self.notify.removed(handle)
            self.notify.report(handle.root, kept, ACTION_ADDED, CHANGE_FILE_NAME)
            return kept
        try:
            handle.root.unlink(handle)
        except OSError as failed:
            log.warning(
                "%s/%s was to be deleted: %s", open.tree.share.name, inode.delete_path, failed
            )
            _record(open, inode, handle, from_oserror(failed))
            return None
        _record(open, inode, handle, NtStatus.SUCCESS)
        self.notify.removed(handle)
        return None

    def close_all(self, opens: Iterable[Open], status: NtStatus = NtStatus.FILE_CLOSED) -> None:
        """End many, as TREE_DISCONNECT, LOGOFF and a lost connection do."""
        for open in list(opens):
            try:
                self.close(open, status)
            except Exception:
                log.exception("closing open %#x: a bug in the server", open.volatile_id)


def _record(
    open: Open, inode: Inode, handle: Handle, status: NtStatus, kept: str | None = None
) -> None:
    """Have the deletion, or its failure, written down if it is to be: who asked for it counts."""
    audited = inode.deleter or open.audited
    if audited is not None and not open.discarded:
        name = handle.path
        if inode.base is not None and handle.stream:
            name = f"{name}:{handle.stream}"
        audited.deleted(name, status, directory=handle.is_directory, kept=kept)


def _recycled(open: Open, handle: Handle) -> str | None:
    """Where the share's recycle bin has put the file; None if it does not keep it."""
    recycle = open.tree.share.recycle
    if recycle is None:
        return None
    try:
        return recycle.keep(handle)
    except OSError as failed:
        name = f"{open.tree.share.name}/{handle.path}"
        log.warning("%s is deleted for good, for the recycle bin cannot have it: %s", name, failed)
        return None
