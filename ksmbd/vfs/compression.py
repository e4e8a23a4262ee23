"""Compression by the file system: a flag of each file, where the file system compresses at all."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ksmbd.vfs import credentials
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.stat import is_special
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.access import ATTR_COMPRESSED

_FS_COMPR_FL: Final = 0x00000004
_FS_NOCOMP_FL: Final = 0x00000400
_FS_IOC_GETFLAGS: Final = 0x80086601  # the same on every 64-bit architecture
_FS_IOC_SETFLAGS: Final = 0x40086602
_FLAGS: Final = struct.Struct("=I4x")  # the kernel takes an int where the number says long
_UNABLE: Final = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL})


def is_compressed(handle: Handle) -> bool:
    """Whether the file's flag is set: what is written to it, or made in it, is compressed."""
    with _inode_of(handle) as fd:
        try:
            return bool(_flags(fd) & _FS_COMPR_FL)
        except OSError as failed:
            if failed.errno not in _UNABLE:
                raise
            return False


def set_compressed(handle: Handle, compressed: bool) -> None:
    """Let the file system compress what is written from now on, or not.

    OSError EOPNOTSUPP where it cannot.  Asked as the server itself, for POSIX keeps the flag to
    the owner; PermissionError if AttributeStore.may_override() says no.
    """
    if not handle.root.attributes.may_override(handle.item):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with _inode_of(handle) as fd, credentials.privileged():
        try:
            change_compression(fd, compressed)
        except OSError as failed:
            if failed.errno not in _UNABLE:
                raise
            if compressed:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP)) from None


def settle_new(handle: Handle, *, plain: bool) -> None:
    """After a file was made where files are compressed: tell what it inherited, or undo it.

    *plain* files are not to be compressed.
    """
    if plain:
        set_compressed(handle, False)
    elif is_compressed(handle):
        handle.mark(ATTR_COMPRESSED, True)


def change_compression(fd: int, compressed: bool) -> None:
    """Set or clear the flag.  OSError ENOTTY, EOPNOTSUPP or EINVAL where there is none."""
    flags = _flags(fd)
    wanted = flags & ~(_FS_COMPR_FL | _FS_NOCOMP_FL)
    if compressed:
        wanted |= _FS_COMPR_FL
    if wanted != flags:
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, _FLAGS.pack(wanted))


def _flags(fd: int) -> int:
    flags: int = _FLAGS.unpack(fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(_FLAGS.size)))[0]
    return flags


@contextmanager
def _inode_of(handle: Handle) -> Iterator[int]:
    """A descriptor that ioctl takes; of a handle for metadata only another one is made for it.

    OSError EOPNOTSUPP of a special file: to open one can have effects of its own.
    """
    if not handle.path_only:
        yield handle.fd
        return
    if is_special(os.fstat(handle.fd).st_mode):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    with credentials.privileged():
        fd = os.open(proc_path(handle.fd), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
