"""Users' quotas: whose an open asks for, and whether there are any."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ksmbd.vfs import quota
from ksmbd.vfs.sid import Domain
from ksmbd.vfs.stat import FsStat
from ksmbd.wire.quota import NO_ENTRY, NO_LIMIT
from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.tree import TreeConnect

log = logging.getLogger("ksmbd.vfs")

_MOST: Final = 1 << 60  # bytes, of a limit
_ABSENT: Final = frozenset({errno.ESRCH, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV})


def tracked(open: Open) -> int:
    """The descriptor of an open file; NOT_SUPPORTED if its file system keeps no quotas."""
    fd = open.file.fd
    if not quota.state(fd).tracked:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "no quotas here")
    return fd


def own_uid(tree: TreeConnect) -> int:
    """The uid that owns what this user makes."""
    return os.geteuid() if tree.credentials is None or os.geteuid() else tree.credentials.uid


def uid_of(domain: Domain, sid: Sid) -> int:
    """NO_SUCH_USER   the SID is no user's of this server"""
    uid = domain.sid_to_uid(sid)
    if uid is None:
        raise NtStatusError(NtStatus.NO_SUCH_USER, f"{sid}")
    return uid


def available(tree: TreeConnect, fd: int, fs: FsStat) -> FsStat:
    """The file system as large as the user of *tree* may fill it."""
    return quota.applied(fs, fd, own_uid(tree))


def bound(value: int) -> int | None:
    """A limit in the kernel's terms. 0 is none to Linux, and so to Samba, whose clients say so.

    INVALID_PARAMETER   more than any disk has
    """
    if value in (0, NO_LIMIT, NO_ENTRY):
        return None
    if value > _MOST:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"a limit of {value} bytes")
    return value


def give_defaults(tree: TreeConnect) -> None:
    """Limit a user who is new to the file system as its defaults say, as NTFS does.

    Whoever has anything there, or limits already, is not new.
    """
    root, uid = tree.share.root, own_uid(tree)
    if root is None or uid == quota.DEFAULTS or not quota.state(root.fd).tracked:
        return
    given = quota.defaults(root.fd)
    if given.threshold is None and given.limit is None:
        return
    try:
        own = quota.quota_of(root.fd, uid)
        if own == quota.Quota(uid, 0, None, None):
            quota.set_limits(root.fd, uid, given.threshold, given.limit)
    except OSError as failed:  # the user goes without, as on a server that may not set any
        log.warning("uid %d gets no default quota: %s", uid, failed)


@contextmanager
def kernel_errors() -> Iterator[None]:
    """NOT_SUPPORTED   quotas were just switched off"""
    try:
        yield
    except OSError as failed:
        if failed.errno in _ABSENT:
            raise NtStatusError(NtStatus.NOT_SUPPORTED, str(failed)) from None
        raise
