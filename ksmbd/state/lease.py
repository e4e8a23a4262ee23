"""Lease and LeaseTable, [MS-SMB2] 3.3.1.12 and 3.3.1.11.

A lease belongs to a client (its ClientGuid) and a file; all opens with its key share it, over
whatever connection and session.  The lock of its inode guards it; the table's lock is a leaf,
taken for look-ups only.

    none --CREATE with a new key--> in the table --last open closed--> gone
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ksmbd.state.holder import Holder
from ksmbd.state.oplock import Kind, Notice, held
from ksmbd.wire.create_context import (
    LEASE_BREAK_IN_PROGRESS,
    LEASE_PARENT_KEY_SET,
    RequestLease,
    RequestLeaseV2,
)
from ksmbd.wire.oplock_break import ACK_REQUIRED, LeaseBreakNotification
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.inode import Inode

_NO_KEY = bytes(16)
_EPOCHS = 0x10000


class LeaseWish(NamedTuple):
    """What an RqLs context asks for."""

    key: bytes  # 16 bytes
    level: int
    version: int  # 1 or 2
    epoch: int = 0  # of version 2: what the client counts from
    parent: bytes | None = None  # of version 2: the key of the directory's lease


class Lease(Holder):
    """One lease.  Version and epoch are those of the CREATE that made it: smb2.lease.v2_epoch2."""

    __slots__ = ("client_guid", "epoch", "key", "parent", "version")

    kind = Kind.LEASE

    def __init__(self, inode: Inode, client_guid: bytes, wish: LeaseWish) -> None:
        super().__init__(inode, 0)
        self.client_guid = client_guid
        self.key = wish.key
        self.version = wish.version
        self.epoch = wish.epoch
        self.parent = wish.parent

    def __str__(self) -> str:
        return f"lease {self.key.hex()} at {self.level}, epoch {self.epoch}"

    def change(self, level: int) -> None:
        """Hold another level from now on; nothing happens if it is the same."""
        if level != self.state.level:
            self.state = held(level)
            self.next_epoch()

    def next_epoch(self) -> None:
        self.epoch = (self.epoch + 1) % _EPOCHS

    def message(self, notice: Notice) -> LeaseBreakNotification:
        """The notification, [MS-SMB2] 2.2.23.2 and 3.3.4.7."""
        return LeaseBreakNotification(
            new_epoch=self.epoch if self.version == 2 else 0,
            flags=ACK_REQUIRED if notice.ack else 0,
            lease_key=self.key,
            current_lease_state=notice.level,
            new_lease_state=notice.to,
        )

    def context(self) -> RequestLease | RequestLeaseV2:
        """What a CREATE response says of it, [MS-SMB2] 2.2.14.2.10 and .11."""
        flags = LEASE_BREAK_IN_PROGRESS if self.state.breaking else 0
        if self.version == 1:
            return RequestLease(lease_key=self.key, lease_state=self.state.level, lease_flags=flags)
        if self.parent is not None:
            flags |= LEASE_PARENT_KEY_SET
        return RequestLeaseV2(
            lease_key=self.key,
            lease_state=self.state.level,
            lease_flags=flags,
            parent_lease_key=self.parent or _NO_KEY,
            epoch=self.epoch,
        )


class LeaseTable:
    """The leases of all clients by ClientGuid and LeaseKey (GlobalLeaseTableList)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[tuple[bytes, bytes], Lease] = {}  # by self._lock
        self.directories: dict[Lease, None] = {}  # by self._lock; those of them, oldest first

    def __len__(self) -> int:
        return len(self._leases)

    def find(self, client_guid: bytes, key: bytes) -> Lease | None:
        return self._leases.get((client_guid, key))

    def oldest_directories(self, count: int) -> list[Lease]:
        """So many of the leases of directories, at most."""
        with self._lock:
            return list(islice(self.directories, count))

    def hold(self, inode: Inode, client_guid: bytes, wish: LeaseWish, directory: bool) -> Lease:
        """The lease of that key, made if need be.  The caller holds ``inode.lock``.

        INVALID_PARAMETER   the client has used the key for another file
        """
        with self._lock:
            lease = self._leases.get((client_guid, wish.key))
            if lease is None:
                lease = Lease(inode, client_guid, wish)
                self._leases[client_guid, wish.key] = lease
                if directory:
                    self.directories[lease] = None
        self._require(lease, inode)
        return lease

    def check(self, inode: Inode | None, client_guid: bytes, key: bytes) -> None:
        """Refuse a key as :meth:`hold` would; *inode* is None for a file that is to be made."""
        lease = self.find(client_guid, key)
        if lease is not None:
            self._require(lease, inode)

    def forget(self, lease: Lease) -> None:
        """Its last open is closed.  The caller holds ``inode.lock``."""
        with self._lock:
            self._leases.pop((lease.client_guid, lease.key), None)
            self.directories.pop(lease, None)

    @staticmethod
    def _require(lease: Lease, inode: Inode | None) -> None:
        if lease.inode is not inode:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"lease {lease.key.hex()}: other file")
