"""Share, [MS-SMB2] 3.3.1.6: what mountd said about it and the directory it serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ksmbd.vfs.acl import Keep
from ksmbd.wire.policy import Encryption

if TYPE_CHECKING:
    from ksmbd.vfs.backups import BackupLimit
    from ksmbd.vfs.recycle import RecycleBin
    from ksmbd.vfs.root import ShareRoot
    from ksmbd.vfs.snapshots import Snapshots
    from ksmbd.wire.security import SecurityDescriptor


class AuditPolicy(NamedTuple):
    """What an audit log has of a share, as bits of ``ksmbd.wire.auditing.Operation``."""

    success: int
    failure: int
    prefix: str = ""


@dataclass(slots=True, weakref_slot=True)
class Share:
    """One share.  Never changed after it was made: a reload makes a new one."""

    name: str
    variant: str = ""  # which of this name: some are another directory for each client
    path: str = ""
    comment: str = ""
    volume: str = ""  # label
    is_pipe: bool = False  # IPC$
    read_only: bool = False
    guest_ok: bool = False
    browseable: bool = True
    oplocks: bool = True
    kernel_oplocks: bool = False
    posix_locking: bool = False
    strict_locking: bool = False
    streams: bool = False
    acl_xattr: Keep = Keep.POSIX
    hide_unreadable: bool = False
    change_notify: bool = True
    inherit_owner: bool = False
    aapl: bool = False  # Apple's extensions are offered
    time_machine: bool = False
    continuous_availability: bool = False
    durable_handles: bool = True
    encryption: Encryption = Encryption.AUTO
    create_mask: int = 0o744
    directory_mask: int = 0o755
    force_create_mode: int = 0
    force_directory_mode: int = 0
    force_uid: int | None = None
    force_gid: int | None = None
    force_groups: tuple[int, ...] = ()
    volume_serial: int = 0
    volume_guid: bytes = bytes(16)
    security: SecurityDescriptor | None = None  # who may use it at all; None: everyone, for all
    flags: int = 0  # mountd's flag word, for those who need a bit that has no name here
    root: ShareRoot | None = field(default=None, compare=False)  # None for a pipe share
    snapshots: Snapshots | None = field(default=None, compare=False)  # its previous versions
    recycle: RecycleBin | None = field(default=None, compare=False)  # what takes deleted files
    audit: AuditPolicy | None = None  # what of it is recorded
    backup_limit: BackupLimit | None = field(default=None, compare=False)  # of Time Machine

    def is_same(self, other: Share) -> bool:
        """Whether both are one share, maybe before and after a reload."""
        mine, theirs = self.name.casefold(), other.name.casefold()
        return (mine, self.variant) == (theirs, other.variant)
