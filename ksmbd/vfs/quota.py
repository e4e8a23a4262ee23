"""User quotas of a file system, by quotactl_fd(2), which Python's ``os`` lacks.

Where the kernel is older (Linux 5.14 has the call), or the file system keeps no quotas, there are
none.  All numbers are bytes; what the kernel keeps of limits is units of 1 KiB.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ksmbd.vfs import credentials
from ksmbd.vfs.stat import FsStat

UNIT: Final = 1024  # bytes, of a limit
# The uid in whose record the default limits are: XFS gives them to all who have none, Samba's
# default_quota keeps them there, too, and root itself is not limited.
DEFAULTS: Final = 0

GET: Final = 0x800007  # Q_GETQUOTA
SET: Final = 0x800008  # Q_SETQUOTA
GET_NEXT: Final = 0x800009  # Q_GETNEXTQUOTA: of an id, or the next that has any
GET_STATE: Final = 0x5805  # Q_XGETQSTAT, which all file systems with quotas answer
ON: Final = 0x5801  # Q_XQUOTAON
OFF: Final = 0x5802  # Q_XQUOTAOFF
_QUOTACTL_FD: Final = 443
_USERS: Final = 0
_LIMITS: Final = 1  # QIF_BLIMITS: these are valid, and nothing else
_CAP_SYS_ADMIN: Final = 21
_TRACKED, _ENFORCED = 1, 2  # FS_QUOTA_UDQ_ACCT, FS_QUOTA_UDQ_ENFD

BLOCK: Final = struct.Struct("=8QII")  # struct if_nextdqblk; if_dqblk lacks the id at its end
STATE: Final = struct.Struct("=bxH")  # the begin of struct fs_quota_stat: version, flags
FLAGS: Final = struct.Struct("=I")  # of ON and OFF
_ROOM: Final = 256  # bytes, more than any of them

_syscall: Final = ctypes.CDLL(None, use_errno=True)["syscall"]
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p)


class State(NamedTuple):
    """What a file system does about users' quotas."""

    tracked: bool  # it counts what everybody has
    enforced: bool  # and refuses more than the limits


class Quota(NamedTuple):
    """One user's; None is no limit."""

    uid: int
    used: int
    threshold: int | None  # more is allowed for a while
    limit: int | None  # more is refused


def state(fd: int) -> State:
    """Of the file system that holds an open file, an O_PATH descriptor too."""
    room = ctypes.create_string_buffer(_ROOM)
    try:
        quotactl(fd, GET_STATE, 0, room)
    except OSError:  # none here, or nobody can say
        return State(tracked=False, enforced=False)
    _version, flags = STATE.unpack_from(room)
    return State(bool(flags & _TRACKED), bool(flags & _ENFORCED))


def quota_of(fd: int, uid: int) -> Quota:
    """A user's; nothing used and no limits where the file system knows nothing of the user.

    OSError ESRCH or ENOSYS where there are no quotas, EPERM if the server may not ask.
    """
    room = ctypes.create_string_buffer(_ROOM)
    try:
        with credentials.holding(_CAP_SYS_ADMIN):
            quotactl(fd, GET, uid, room)
    except OSError as failed:
        if failed.errno != errno.ENOENT:
            raise
    return _quota(uid, room)


def quotas_from(fd: int, uid: int) -> Iterator[Quota]:
    """All that the file system has, in the order of the uids; errors as in quota_of().

    Some file systems cannot tell whom they know of: there are none then.
    """
    room = ctypes.create_string_buffer(_ROOM)
    while uid < 0xFFFF_FFFF:
        try:
            with credentials.holding(_CAP_SYS_ADMIN):
                quotactl(fd, GET_NEXT, uid, room)
        except OSError as failed:
            if failed.errno not in (errno.ENOENT, errno.ENOSYS):
                raise
            return
        found: int = BLOCK.unpack_from(room)[9]
        yield _quota(found, room)
        uid = found + 1


def set_limits(fd: int, uid: int, threshold: int | None, limit: int | None) -> None:
    """Limit a user, to full units. OSError as in quota_of(), EROFS, ERANGE if it is too much."""
    limits = _units(limit), _units(threshold)
    room = ctypes.create_string_buffer(BLOCK.pack(*limits, *(0,) * 6, _LIMITS, 0), _ROOM)
    with credentials.holding(_CAP_SYS_ADMIN):
        quotactl(fd, SET, uid, room)


def defaults(fd: int) -> Quota:
    """The limits of users who are new; nothing used."""
    try:
        return quota_of(fd, DEFAULTS)._replace(used=0)
    except OSError:  # none here, or a server that may not ask
        return Quota(DEFAULTS, 0, None, None)


def enforce(fd: int, wanted: bool) -> None:
    """Refuse more than the limits, or only count. OSError as in quota_of(), or if it cannot."""
    room = ctypes.create_string_buffer(FLAGS.pack(_ENFORCED), _ROOM)
    with credentials.holding(_CAP_SYS_ADMIN):
        quotactl(fd, ON if wanted else OFF, 0, room)


def applied(fs: FsStat, fd: int, uid: int) -> FsStat:
    """The file system as large as a user may fill it.

    Its size is the threshold, or else the limit; beyond either nothing is available.
    """
    if uid == DEFAULTS or not state(fd).enforced:
        return fs
    try:
        own = quota_of(fd, uid)
    except OSError:  # a server that may not ask: what the file system says is true, too
        return fs
    bounds = [bound for bound in (own.threshold, own.limit) if bound is not None]
    if not bounds:
        return fs
    if own.used >= min(bounds):
        size, free = own.used, 0
    else:
        size, free = bounds[0], bounds[0] - own.used
    return fs._replace(
        blocks=min(fs.blocks, size // fs.block_size),
        available=min(fs.available, free // fs.block_size),
    )


def quotactl(fd: int, command: int, uid: int, room: ctypes.Array[ctypes.c_char]) -> None:
    """quotactl_fd(2) of users; OSError as it says."""
    if _syscall(_QUOTACTL_FD, fd, command << 8 | _USERS, uid, room) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _quota(uid: int, room: ctypes.Array[ctypes.c_char]) -> Quota:
    hard, soft, used, *_ = BLOCK.unpack_from(room)
    return Quota(uid, used, soft * UNIT or None, hard * UNIT or None)


def _units(limit: int | None) -> int:
    return 0 if limit is None else -(-limit // UNIT)
