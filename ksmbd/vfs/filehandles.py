"""File handles: what names an inode of a file system for good, whatever its names do.

name_to_handle_at(2) and open_by_handle_at(2), which Python's ``os`` lacks.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

_MAX: Final = 128  # bytes, MAX_HANDLE_SZ
_HEAD: Final = struct.Struct("=Ii")  # struct file_handle: how many bytes follow, and their type
_AT_EMPTY_PATH: Final = 0x1000

_libc: Final = ctypes.CDLL(None, use_errno=True)
_int, _text, _pointer = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
_name_to_handle_at: Final = _libc["name_to_handle_at"]
_name_to_handle_at.argtypes = (_int, _text, _pointer, _pointer, _int)
_open_by_handle_at: Final = _libc["open_by_handle_at"]
_open_by_handle_at.argtypes = (_int, _pointer, _int)


def handle_of(fd: int) -> bytes:
    """The handle of an open file, an O_PATH one too; b"" where its file system has none."""
    room = ctypes.create_string_buffer(_HEAD.pack(_MAX, 0), _HEAD.size + _MAX)
    mount = _int()
    if _name_to_handle_at(fd, b"", room, ctypes.byref(mount), _AT_EMPTY_PATH) < 0:
        return b""
    length, _ = _HEAD.unpack_from(room)
    return room.raw[: _HEAD.size + length]


def open_handle(mount: int, handle: bytes) -> int:
    """An O_PATH descriptor of what *handle* names on the file system of the open file *mount*.

    OSError ESTALE   it is gone
    OSError EPERM    the process may open nothing by its handle
    OSError EINVAL   no handle of this file system
    """
    room = ctypes.create_string_buffer(handle, _HEAD.size + _MAX)
    fd: int = _open_by_handle_at(mount, room, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
