"""A tree connect and opens of a previous version: everything may be asked for, nothing changed.

An open of the past is granted what its user could have of the file, as Windows and Samba do it,
and every use of it that changes something is refused.  It has an inode of its own even where the
snapshot and the share have hard links of one file: what is deleted, locked or shared in the
present is not so in the past.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ksmbd.state.open import Open
from ksmbd.state.tree import TreeConnect
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.snapshots import SnapshotRoot
from ksmbd.wire.access import (
    DELETE,
    FILE_APPEND_DATA,
    FILE_DELETE_CHILD,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
    WRITE_DAC,
    WRITE_OWNER,
)
from ksmbd.wire.status import NtStatus, NtStatusError

_PAST: Final = 1 << 64  # beside every device number of the present
_CHANGES: Final = (
    FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_EA | FILE_WRITE_ATTRIBUTES
    | FILE_DELETE_CHILD | DELETE | WRITE_DAC | WRITE_OWNER
)  # fmt: skip


class SnapshotTree(TreeConnect):
    """A tree connect while a file of one snapshot is looked for and opened."""

    __slots__ = ("live",)

    def __init__(self, live: TreeConnect, root: SnapshotRoot) -> None:
        super().__init__(
            live.tree_id,
            live.session,
            replace(
                live.share,
                root=root,
                oplocks=False,
                kernel_oplocks=False,
                posix_locking=False,
                strict_locking=False,
            ),
            writable=live.writable,
            maximal_access=live.maximal_access,
            credentials=live.credentials,
            token=live.token,
            now=live.creation_time,
            identity=live.identity,
            encrypt_data=live.encrypt_data,
        )
        self.live = live  # whose the opens are

    def require_writable(self) -> None:
        """MEDIA_WRITE_PROTECTED   the past stays as it was"""
        super().require_writable()
        raise NtStatusError(NtStatus.MEDIA_WRITE_PROTECTED, "a previous version")


class SnapshotOpen(Open):
    """An open of a previous version."""

    __slots__ = ()

    def require(self, access: int) -> None:
        """ACCESS_DENIED as any open; MEDIA_WRITE_PROTECTED if *access* is to change something."""
        super().require(access)
        if access and not access & ~_CHANGES:
            raise NtStatusError(NtStatus.MEDIA_WRITE_PROTECTED, "a previous version")

    def require_writable(self, *, moves: bool = False) -> None:
        """The share's own refusal goes first.

        NOT_SAME_DEVICE         it *moves* into the present
        MEDIA_WRITE_PROTECTED   anything else
        """
        super().require_writable(moves=moves)
        status = NtStatus.NOT_SAME_DEVICE if moves else NtStatus.MEDIA_WRITE_PROTECTED
        raise NtStatusError(status, "a previous version")


def inode_key(handle: Handle) -> tuple[int, int]:
    """The inode table's key of a file of the past."""
    return handle.dev | _PAST, handle.ino
