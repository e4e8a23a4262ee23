"""Reparse points: symlinks and special files of the disk, and what clients keep beside a file.

What a client sets is kept as it came, in Samba's attribute ``user.SmbReparse``: no link that a
client makes is ever followed by this server, and no device of its making can be opened here.
"""

from __future__ import annotations

import errno
import os
import stat

from ksmbd.vfs.handle import Handle
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.xattr import ABSENT, REPARSE, get_value, proc_path, remove_value, set_value
from ksmbd.wire.base import WireError
from ksmbd.wire.reparse import IO_REPARSE_TAG_SYMLINK, ReparsePoint, SymlinkData


def read(fd: int, st: Stat, *, posix: bool = False) -> ReparsePoint | None:
    """The reparse point of an open file, an O_PATH descriptor too; None if it is none.

    With *posix* a symlink of the disk has slashes, as clients of the POSIX extensions want it.
    """
    if st.tag:
        try:
            return ReparsePoint.unpack(get_value(proc_path(fd), REPARSE))
        except OSError as failed:
            if failed.errno not in ABSENT:
                raise
            return None
        except WireError:
            return None
    if stat.S_ISLNK(st.mode):
        return ReparsePoint(IO_REPARSE_TAG_SYMLINK, _symlink_data(fd, posix).pack())
    return ReparsePoint(st.reparse_tag) if st.reparse_tag else None


def _symlink_data(fd: int, posix: bool) -> SymlinkData:
    target = os.readlink("", dir_fd=fd)
    name = target if posix else target.replace("/", "\\")
    return SymlinkData(name, name, relative=not target.startswith("/"))


def symlink_of(fd: int, st: Stat, *, posix: bool = False) -> SymlinkData | None:
    """Where a symlink leads, whether the disk's or a client's; None if it is none.

    With *posix* slashes separate, whoever made it, else backslashes.
    """
    if st.reparse_tag != IO_REPARSE_TAG_SYMLINK:
        return None
    point = read(fd, st)
    if point is None:
        return None
    try:
        data = SymlinkData.unpack(point.data)
    except WireError:
        return None
    other, separator = ("\\", "/") if posix else ("/", "\\")
    return SymlinkData(
        data.substitute_name.replace(other, separator),
        data.print_name.replace(other, separator),
        data.relative,
    )


def keep(handle: Handle, point: ReparsePoint) -> None:
    """Keep *point* beside a file or directory. OSError ENOSPC if it is too large for the disk."""
    set_value(handle.item, REPARSE, point.pack())


def forget(handle: Handle) -> None:
    """End what :func:`keep` began."""
    try:
        remove_value(handle.item, REPARSE)
    except OSError as failed:
        if failed.errno != errno.EOPNOTSUPP:
            raise
