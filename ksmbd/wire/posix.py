"""The SMB 3.1.1 POSIX extensions: create context, file level 100, wire modes.

The extensions' specification is Samba's and Linux' smb3_posix_extensions document; level
100 of the file system is in ``fs_info``, of directories in ``dir_info``.
"""

from __future__ import annotations

import stat
import struct
from typing import Final

from ksmbd.wire.base import Wire, filetime, u32, u64, wire

# File types in the mode, shifted left by TYPE_SHIFT
TYPE_SHIFT: Final = 12
TYPE_FILE: Final = 0
TYPE_DIR: Final = 1
TYPE_SYMLINK: Final = 2
TYPE_CHARDEV: Final = 3
TYPE_BLKDEV: Final = 4
TYPE_FIFO: Final = 5
TYPE_SOCKET: Final = 6

_WIRE_TYPE: Final = {
    stat.S_IFREG: TYPE_FILE,
    stat.S_IFDIR: TYPE_DIR,
    stat.S_IFLNK: TYPE_SYMLINK,
    stat.S_IFCHR: TYPE_CHARDEV,
    stat.S_IFBLK: TYPE_BLKDEV,
    stat.S_IFIFO: TYPE_FIFO,
    stat.S_IFSOCK: TYPE_SOCKET,
}
PERMISSIONS: Final = 0o7777
NO_MODE: Final = 0xFFFF  # in a CREATE, or 32 bits of it: as the server likes

_SID: Final = struct.Struct("<BB6sII")  # Revision, count, authority, two sub-authorities
_UNIX_AUTHORITY: Final = (22).to_bytes(6, "big")


@wire()
class FilePosixInformation(Wire):
    """Level 100 of a file; the owner's and the group's SID follow."""

    creation_time: filetime
    last_access_time: filetime
    last_write_time: filetime
    change_time: filetime
    end_of_file: u64
    allocation_size: u64
    dos_attributes: u32
    inode: u64
    device_id: u32  # st_rdev
    zero: u32 = 0
    number_of_links: u32
    reparse_tag: u32 = 0
    mode: u32


@wire()
class PosixCreateResponse(Wire):
    """The create context's answer; the owner's and the group's SID follow."""

    number_of_links: u32
    reparse_tag: u32 = 0
    mode: u32


def mode_of_new(mode: int, *, directory: bool) -> int | None:
    """The permissions that a CREATE's *mode* asks for; None if it leaves them to the server.

    No client makes setuid programs, nor setgid ones.
    """
    if mode & NO_MODE == NO_MODE:
        return None
    return mode & (0o3777 if directory else 0o1777)


def wire_mode(mode: int) -> int:
    """st_mode as the extensions write it: permissions, and the type in the bits above."""
    return mode & PERMISSIONS | _WIRE_TYPE.get(stat.S_IFMT(mode), TYPE_FILE) << TYPE_SHIFT


def unix_user_sid(uid: int) -> bytes:
    """S-1-22-1-uid, 16 bytes."""
    return _SID.pack(1, 2, _UNIX_AUTHORITY, 1, uid)


def unix_group_sid(gid: int) -> bytes:
    """S-1-22-2-gid, 16 bytes."""
    return _SID.pack(1, 2, _UNIX_AUTHORITY, 2, gid)
