"""Open, [MS-SMB2] 3.3.1.10: what a FileId stands for.

A file or directory Open has a ``handle`` and an ``inode``; a named-pipe Open has a ``pipe``.

    attached --CLOSE, tree or session gone, connection lost--> closed --no user left--> gone
             --connection lost, and it is durable--> away, see durable
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ksmbd.state.holder import OPLOCK_OF, Grant
from ksmbd.state.lease import Lease
from ksmbd.state.oplock import Kind
from ksmbd.wire.create import OPLOCK_LEASE, OPLOCK_NONE
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.connection import Connection
    from ksmbd.state.durable import Durable
    from ksmbd.state.holder import Holder
    from ksmbd.state.inode import Inode
    from ksmbd.state.kernel_leases import KernelLease
    from ksmbd.state.pipe import Pipe
    from ksmbd.state.session import Session
    from ksmbd.state.transport import AuditedOpen
    from ksmbd.state.tree import TreeConnect
    from ksmbd.state.watch import Watch
    from ksmbd.vfs.directory import Enumeration
    from ksmbd.vfs.handle import Handle


class Open:
    """One successful CREATE."""

    __slots__ = (
        "audited",
        "channel_sequence",
        "closed",
        "connection",
        "create_options",
        "creation_time",
        "delete_on_close",
        "discarded",
        "durable",
        "enumeration",
        "frozen_change_time",
        "frozen_write_time",
        "grant",
        "granted_access",
        "handle",
        "holder",
        "inode",
        "kernel_lease",
        "lock",
        "lock_sequences",
        "maximal_access",
        "memo",
        "modified",
        "next_ea",
        "outstanding_pre_request_count",
        "parent_key",
        "parked",
        "persistent_id",
        "pipe",
        "position",
        "posix",
        "posix_delete",
        "posix_locking",
        "reserved",
        "resume_key",
        "scan_lock",
        "session",
        "share_access",
        "strict_locking",
        "tree",
        "users",
        "volatile_id",
        "waiters",
        "watch",
    )

    def __init__(
        self,
        *,
        connection: Connection,
        tree: TreeConnect,
        granted_access: int,
        share_access: int = 0,
        create_options: int = 0,
        handle: Handle | None = None,
        inode: Inode | None = None,
        pipe: Pipe | None = None,
        now: float = 0.0,
        channel_sequence: int = 0,
    ) -> None:
        self.persistent_id = self.volatile_id = 0  # given by Opens.add
        self.connection = connection
        self.session: Session = tree.session
        self.tree = tree
        self.handle = handle
        self.inode = inode
        self.posix_locking = handle is not None and _shows_locks(handle, tree)
        self.strict_locking = tree.share.strict_locking  # READ and WRITE heed local locks
        self.pipe = pipe
        self.granted_access = self.maximal_access = granted_access
        self.share_access = share_access
        self.create_options = create_options
        self.creation_time = now
        self.lock = threading.Lock()
        self.closed = False  # by self.lock
        self.users = 0  # by self.lock; commands at work on it: its descriptor must stay
        self.reserved = 0  # by self.lock; those of them that are on their way to a thread
        # By self.lock; see state/channel_sequence.py.
        self.channel_sequence = channel_sequence
        self.outstanding_pre_request_count = 0
        self.parked = 0  # commands that wait and will work on it again
        self.delete_on_close = False  # by inode.lock
        self.discarded = False  # its file was made in vain: see discard()
        self.posix = False  # opened with the POSIX extensions: case counts in names
        self.posix_delete = False  # by inode.lock: the name goes when this open is closed
        # state/caching.py: what the CREATE response says, who caches (by inode.lock), the key of
        # the directory's lease that the opener has, and whether data were written.
        self.grant = Grant()
        self.holder: Holder | None = None
        self.kernel_lease: KernelLease | None = None  # behind it: state/kernel_leases.py
        self.parent_key: bytes | None = None
        self.modified = False
        self.durable: Durable | None = None  # what it takes to be found again by its client
        # state/lock_sequence.py: number by bucket.  One LOCK at a time in each, or the client errs.
        self.lock_sequences: dict[int, int] | None = None
        self.position = 0  # FilePositionInformation; kept for the client, never used
        self.next_ea = 0  # index of the extended attribute a scan goes on with
        self.scan_lock = threading.Lock()  # held over the I/O of a directory scan
        self.enumeration: Enumeration | None = None  # by self.scan_lock
        self.resume_key = b""  # 24 bytes once asked for
        self.frozen_write_time: int | None = None  # ns; set by this open, which moves it no more
        self.frozen_change_time: int | None = None  # likewise
        self.waiters: list[Any] = []  # by self.lock; called with a status when the open goes away
        self.watch: Watch | None = None  # by self.lock; a directory's, from its first CHANGE_NOTIFY
        self.audited: AuditedOpen | None = None  # who is told of its end, and of deletions by it
        self.memo: dict[str, Any] = {}  # what create contexts leave for others

    @property
    def path(self) -> str:
        """Share-relative, '/' between components; '' is the share's root."""
        return self.handle.path if self.handle is not None else ""

    @property
    def full_name(self) -> str:
        """``path``, with the name of a stream."""
        stream = self.handle.stream if self.handle is not None else ""
        return f"{self.path}:{stream}" if stream else self.path

    def regrant(self) -> None:
        """Let ``grant`` say what is held now, for another CREATE response about this open."""
        holder = self.holder
        context = holder.context().pack() if isinstance(holder, Lease) else b""
        self.grant = Grant(self.oplock_level, context)

    @property
    def oplock_level(self) -> int:
        """As [MS-SMB2] 2.2.14 has it, now."""
        holder = self.holder
        if holder is None:
            return OPLOCK_NONE
        return OPLOCK_LEASE if holder.kind is Kind.LEASE else OPLOCK_OF[holder.level]

    @property
    def is_directory(self) -> bool:
        return self.handle is not None and self.handle.is_directory

    @property
    def file(self) -> Handle:
        """The file; INVALID_DEVICE_REQUEST on a pipe."""
        if self.handle is None:
            raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a pipe, not a file")
        return self.handle

    def require_writable(self, *, moves: bool = False) -> None:
        """ACCESS_DENIED   the share, or this user's use of it, is read-only

        *moves* says that it is the file's name that is to change.
        """
        self.tree.require_writable()

    def discard(self) -> None:
        """Have the file go for good when this open, which has made it and failed, is closed."""
        self.delete_on_close = self.discarded = True

    def freeze_write_time(self, when: int | None) -> None:
        """What this open changes leaves the write time at *when*, ns; None: moves it again."""
        self.frozen_write_time = when
        if self.inode is not None:
            with self.inode.lock:
                self.inode.write_time_set = True
        self.write_time_moved(when)

    def freeze_change_time(self, when: int | None) -> None:
        """What this open changes leaves the change time at *when*, ns; None: moves it again."""
        self.frozen_change_time = when
        if self.inode is not None:
            with self.inode.lock:
                self.inode.write_time_set = True

    def data_changed(self) -> None:
        """After each change: keep the times that the client has set, [MS-FSA] 2.1.4.17."""
        if self.inode is None or not self.inode.write_time_set:
            return
        if self.frozen_write_time is not None:
            self.file.set_times(write=self.frozen_write_time)
        else:
            self.write_time_moved(self.file.stat().write)
        self.keep_change_time()

    def keep_change_time(self) -> None:
        """After any change; other opens that keep the change time keep the new one."""
        if self.frozen_change_time is not None:
            self.file.set_times(change=self.frozen_change_time)
            return
        if self.inode is None or not self.inode.write_time_set:
            return
        with self.inode.lock:
            keeping = [o for o in self.inode.opens if o.frozen_change_time is not None]
        for other in keeping:
            other.frozen_change_time = self.file.stat().change

    def write_time_moved(self, when: int | None) -> None:
        """This open has changed it: other opens that keep it keep the new one."""
        if self.inode is None or when is None:
            return
        with self.inode.lock:
            for other in self.inode.opens:
                if other is not self and other.frozen_write_time is not None:
                    other.frozen_write_time = when

    def hold(self, sequence: int, reserved: bool = False) -> bool:
        """Keep the descriptor open until :meth:`let_go`; False if the open is closed already.

        *sequence* is the ChannelSequence of the request, for both.  *reserved*: it was here before
        the CLOSE, which does not matter then.
        """
        with self.lock:
            if self.closed and not reserved:
                return False
            self.users += 1
            if sequence != self.channel_sequence:
                self.outstanding_pre_request_count += 1
            return True

    def let_go(self, sequence: int) -> bool:
        """End a :meth:`hold`; True if it was the last of a closed open, which ends now."""
        with self.lock:
            self.users -= 1
            if sequence != self.channel_sequence:
                self.outstanding_pre_request_count -= 1
            return self.closed and self.users == 0

    def reserve(self) -> bool:
        """Keep the descriptor for a command that is on its way; False if there may be none."""
        with self.lock:
            if self.closed and not self.users:
                return False
            self.users += 1
            self.reserved += 1
            return True

    def unreserve(self) -> bool:
        """End a :meth:`reserve`; True as :meth:`let_go`."""
        with self.lock:
            self.users -= 1
            self.reserved -= 1
            return self.closed and self.users == 0

    def require(self, access: int) -> None:
        """ACCESS_DENIED unless any bit of *access* was granted when it was opened."""
        if access and not self.granted_access & access:
            raise NtStatusError(
                NtStatus.ACCESS_DENIED, f"need {access:#x}, have {self.granted_access:#x}"
            )


def _shows_locks(handle: Handle, tree: TreeConnect) -> bool:
    """Whether local programs are to see its locks; a stream is in no file of theirs."""
    return tree.share.posix_locking and not handle.stream and not handle.path_only
