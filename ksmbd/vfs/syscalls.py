"""The system calls that Python 3.11's ``os`` lacks, each a prebuilt ctypes function.

All raise OSError with the path that was asked for, are restarted on EINTR (PEP 475), and let
other threads run while the kernel works.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Any, Final, NamedTuple

RENAME_NOREPLACE: Final = 1

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08

AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_EMPTY_PATH: Final = 0x1000
FALLOC_KEEP_SIZE: Final = 1
FALLOC_PUNCH_HOLE: Final = 2
FALLOC_ZERO_RANGE: Final = 16

_GENERIC: Final = {"renameat2": 276, "setgroups": 159}  # aarch64, riscv64, loongarch64
_X86_64: Final = {"renameat2": 316, "setgroups": 116}
_NUMBERS: Final = _X86_64 if platform.machine() == "x86_64" else _GENERIC
_OPENAT2: Final = 437  # newer calls have one number everywhere
_GETXATTRAT: Final = 464
_LISTXATTRAT: Final = 465
_RENAMEAT2: Final = _NUMBERS["renameat2"]
_SETGROUPS: Final = _NUMBERS["setgroups"]

STATX_SIZE: Final = 256
_STATX_BTIME: Final = 0x800
_StatxBuffer: Final = ctypes.c_char * STATX_SIZE  # a class, which ctypes would make for each anew
_BTIME: Final = struct.Struct("=I76xqI")  # stx_mask, then stx_btime at offset 80
XATTR_ARGS: Final = struct.Struct("=QII")  # struct xattr_args: value, size, flags
_MOST_TRIES: Final = 128  # of an open that renames disturb
_CAPABILITIES: Final = struct.Struct("=6I")  # struct __user_cap_data_struct, twice
_CAPABILITY_VERSION: Final = struct.pack("=Ii", 0x2008_0522, 0)  # version 3, the calling thread

_libc: Final = ctypes.CDLL(None, use_errno=True)
_int, _long, _uint = ctypes.c_int, ctypes.c_long, ctypes.c_uint
_text, _pointer, _size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = _libc[name]  # a fresh object at each look-up, so that prototypes do not clash
    function.restype = result
    function.argtypes = arguments
    return function


_openat2: Final = _function("syscall", _long, _long, _int, _text, _pointer, _size)
_renameat2: Final = _function("syscall", _long, _long, _int, _text, _int, _text, _uint)
_getxattrat: Final = _function("syscall", _long, _long, _int, _text, _uint, _text, _pointer, _size)
_listxattrat: Final = _function("syscall", _long, _long, _int, _text, _uint, _pointer, _size)
_setgroups: Final = _function("syscall", _long, _long, _size, _pointer)
_setfsuid: Final = _function("setfsuid", _uint, _uint)
_setfsgid: Final = _function("setfsgid", _uint, _uint)
_capget: Final = _function("capget", _int, _pointer, _pointer)
_capset: Final = _function("capset", _int, _pointer, _pointer)
_statx: Final = _function("statx", _int, _int, _text, _int, _uint, _pointer)
_inotify_init: Final = _function("inotify_init1", _int, _int)
_inotify_add: Final = _function("inotify_add_watch", _int, _int, _text, ctypes.c_uint32)
_inotify_rm: Final = _function("inotify_rm_watch", _int, _int, _int)
_signalfd: Final = _function("signalfd", _int, _int, _pointer, _int)
_fstatfs: Final = _function("fstatfs", _int, _int, _pointer)
_fallocate: Final = _function("fallocate", _int, _int, _int, ctypes.c_int64, ctypes.c_int64)


def _failure(name: object = None) -> OSError:
    """What to raise; at once, for a variable with it would be a circle.

    By its traceback an exception keeps the frame of whoever raises it, and all frames above: what
    is in one of their variables keeps the request with its buffers, until garbage is collected.
    """
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), name)


def _was_interrupted() -> bool:
    return ctypes.get_errno() == errno.EINTR


_DESCRIPTORS: Final = "/proc/self/fd"


class OpenHow(ctypes.Structure):
    """``struct open_how``: build once, pass to any number of openat2 calls."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )
    SIZE: Final = 24


def openat2(dir_fd: int, path: bytes, how: OpenHow) -> int:
    """Open *path* below *dir_fd* under the restrictions of ``how.resolve``; a descriptor.

    EBUSY   names in the way were renamed each time it was tried
    """
    address = ctypes.addressof(how)
    fd: int = _openat2(_OPENAT2, dir_fd, path, address, OpenHow.SIZE)
    tries = 1
    while fd < 0:
        code = ctypes.get_errno()
        if code == errno.EAGAIN:
            # a rename elsewhere kept the kernel from proving that we are still beneath
            if tries == _MOST_TRIES:
                raise OSError(errno.EBUSY, f"renames kept it from being opened {tries} times", path)
            tries += 1
        elif code != errno.EINTR:
            raise _failure(path)
        fd = _openat2(_OPENAT2, dir_fd, path, address, OpenHow.SIZE)
    return fd


def has_openat2() -> bool:
    """Whether the kernel (5.6 and later) and its seccomp filters let us call openat2."""
    try:
        os.close(openat2(-100, b"/", OpenHow(os.O_PATH | os.O_CLOEXEC, 0, 0)))
    except OSError as failed:
        if failed.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return False
    return True


def renameat2(from_fd: int, from_name: bytes, to_fd: int, to_name: bytes, *, replace: bool) -> None:
    """Rename; FileExistsError if the new name is taken and *replace* is false."""
    flags = 0 if replace else RENAME_NOREPLACE
    while _renameat2(_RENAMEAT2, from_fd, from_name, to_fd, to_name, flags) < 0:
        if not _was_interrupted():
            raise _failure(to_name)


def birth_ns(fd: int) -> int | None:
    """Birth time of an open file, ns since 1970; None where the file system keeps none."""
    buffer = _StatxBuffer()
    statx_into(fd, b"", ctypes.addressof(buffer))
    return birth_from(buffer)


def birth_from(buffer: ctypes.Array[ctypes.c_char] | bytearray) -> int | None:
    """The birth time in what statx_into() has filled."""
    mask, seconds, nanoseconds = _BTIME.unpack_from(buffer)
    return seconds * 1_000_000_000 + nanoseconds if mask & _STATX_BTIME else None


def statx_into(dir_fd: int, name: bytes, address: int) -> None:
    """struct statx of *name* (no symlink followed), birth time only, into STATX_SIZE bytes."""
    flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH
    while _statx(dir_fd, name, flags, _STATX_BTIME, address) < 0:
        if not _was_interrupted():
            raise _failure(name)


def getxattrat_into(dir_fd: int, name: bytes, attribute: bytes, arguments: int) -> int:
    """The value's length, the value where the struct xattr_args at *arguments* wants it.

    -1 if there is no such attribute; no symlink is followed. Linux 6.13 and later.
    """
    length: int = _getxattrat(
        _GETXATTRAT, dir_fd, name, AT_SYMLINK_NOFOLLOW, attribute, arguments, XATTR_ARGS.size
    )
    if length < 0 and ctypes.get_errno() != errno.ENODATA:
        raise _failure(name)
    return length


def listxattrat_into(dir_fd: int, name: bytes, address: int, size: int) -> int:
    """The length of the names of all attributes of *name*, the names, each ended by NUL, there.

    No symlink is followed. Linux 6.13 and later; OSError ERANGE if they take more than *size*.
    """
    length: int = _listxattrat(_LISTXATTRAT, dir_fd, name, AT_SYMLINK_NOFOLLOW, address, size)
    if length < 0:
        raise _failure(name)
    return length


def has_getxattrat() -> bool:
    """Whether the kernel knows getxattrat, and so listxattrat, and may be asked."""
    try:
        nothing = ctypes.create_string_buffer(XATTR_ARGS.size)
        getxattrat_into(-100, b"/", b"user.DOSATTRIB", ctypes.addressof(nothing))
    except OSError as failed:
        return failed.errno not in (errno.ENOSYS, errno.EPERM)
    return True


def fallocate(fd: int, offset: int, length: int, *, mode: int = FALLOC_KEEP_SIZE) -> None:
    """Reserve blocks for a range, or what else *mode* says, FALLOC_*."""
    while _fallocate(fd, mode, offset, length) < 0:
        if not _was_interrupted():
            raise _failure()


def fs_type(fd: int) -> int:
    """The magic number of the file system that holds *fd*, ``f_type`` of statfs(2)."""
    buffer = ctypes.create_string_buffer(256)
    while _fstatfs(fd, ctypes.addressof(buffer)) < 0:
        if not _was_interrupted():
            raise _failure()
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFF_FFFF


def inotify_init(flags: int) -> int:
    """A new inotify instance; its descriptor."""
    fd: int = _inotify_init(flags)
    if fd < 0:
        raise _failure()
    return fd


def inotify_add_watch(fd: int, path: bytes, mask: int) -> int:
    """The watch descriptor of *path* in the instance *fd*."""
    wd: int = _inotify_add(fd, path, mask)
    while wd < 0:
        if not _was_interrupted():
            raise _failure(path)
        wd = _inotify_add(fd, path, mask)
    return wd


def inotify_rm_watch(fd: int, wd: int) -> None:
    """End a watch; OSError EINVAL if it has ended by itself."""
    if _inotify_rm(fd, wd) < 0:
        raise _failure()


def set_thread_groups(gids: ctypes.Array[ctypes.c_uint]) -> None:
    """setgroups of this thread alone; the C library's function would change every thread."""
    if _setgroups(_SETGROUPS, len(gids), ctypes.addressof(gids)) < 0:
        raise _failure()


def set_thread_fsuid(uid: int) -> bool:
    """Whether this thread's file system uid now is *uid*; the call itself reports nothing."""
    _setfsuid(uid)
    return bool(_setfsuid(0xFFFF_FFFF) == uid)


def set_thread_fsgid(gid: int) -> bool:
    """Whether this thread's file system gid now is *gid*."""
    _setfsgid(gid)
    return bool(_setfsgid(0xFFFF_FFFF) == gid)


def signalfd(signals: tuple[int, ...], flags: int) -> int:
    """A new descriptor that reads the signals, which must be blocked."""
    mask = (ctypes.c_uint64 * 16)(sum(1 << number - 1 for number in signals))  # sigset_t
    fd: int = _signalfd(-1, ctypes.addressof(mask), flags)
    if fd < 0:
        raise _failure()
    return fd


class Capabilities(NamedTuple):
    """What a thread may do besides what its ids let it; bit n is capability n."""

    effective: int
    permitted: int
    inheritable: int


def thread_capabilities() -> Capabilities:
    """Those of this thread."""
    data = ctypes.create_string_buffer(_CAPABILITIES.size)
    if _capget(_CAPABILITY_VERSION, data) < 0:
        raise _failure()
    words = _CAPABILITIES.unpack(data.raw)
    effective, permitted, inheritable = (words[n] | words[n + 3] << 32 for n in range(3))
    return Capabilities(effective, permitted, inheritable)


def set_thread_capabilities(to: Capabilities) -> None:
    """Give this thread, and no other, the capabilities *to*."""
    low = [bits & 0xFFFF_FFFF for bits in to]
    data = _CAPABILITIES.pack(*low, *(bits >> 32 for bits in to))
    if _capset(_CAPABILITY_VERSION, data) < 0:
        raise _failure()


def descriptors_in_use() -> int:
    """How many the process has; the size of the folder tells since Linux 6.2."""
    return os.stat(_DESCRIPTORS).st_size or len(os.listdir(_DESCRIPTORS))
