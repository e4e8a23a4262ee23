"""Reparse points: the buffers of FSCTL_GET/SET/DELETE_REPARSE_POINT, [MS-FSCC] 2.1.2."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, Self

from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.text import from_utf16, utf16

# Tags
IO_REPARSE_TAG_MOUNT_POINT: Final = 0xA0000003
IO_REPARSE_TAG_SYMLINK: Final = 0xA000000C
IO_REPARSE_TAG_NFS: Final = 0x80000014
IO_REPARSE_TAG_LX_SYMLINK: Final = 0xA000001D
IO_REPARSE_TAG_AF_UNIX: Final = 0x80000023
IO_REPARSE_TAG_LX_FIFO: Final = 0x80000024
IO_REPARSE_TAG_LX_CHR: Final = 0x80000025
IO_REPARSE_TAG_LX_BLK: Final = 0x80000026

TAG_MICROSOFT: Final = 0x80000000  # without it a GUID follows the header
MAX_REPARSE_DATA: Final = 16 * 1024  # bytes of the whole buffer

SYMLINK_FLAG_RELATIVE: Final = 0x00000001

# InodeType of an NFS reparse point, [MS-FSCC] 2.1.2.6
NFS_LNK: Final = 0x00000000014B4E4C
NFS_CHR: Final = 0x0000000000524843
NFS_BLK: Final = 0x00000000004B4C42
NFS_FIFO: Final = 0x000000004F464946
NFS_SOCK: Final = 0x000000004B434F53

_HEAD: Final = struct.Struct("<IHH")  # ReparseTag, ReparseDataLength, Reserved
_NAMES: Final = struct.Struct("<HHHH")  # SubstituteName and PrintName, offset and length


class ReparsePoint(NamedTuple):
    """REPARSE_DATA_BUFFER, or with a *guid* REPARSE_GUID_DATA_BUFFER, [MS-FSCC] 2.1.2.2, .3."""

    tag: int
    data: bytes = b""
    guid: bytes = b""

    @classmethod
    def unpack(cls, buf: Buffer) -> Self:
        """WireError if the tag is reserved, or ReparseDataLength is not exactly what follows."""
        try:
            tag, length, _reserved = _HEAD.unpack_from(buf)
        except struct.error:
            raise WireError(f"reparse buffer of {len(buf)} bytes") from None
        start = _HEAD.size if tag & TAG_MICROSOFT else _HEAD.size + 16
        if tag in (0, 1, 2) or start + length != len(buf) or len(buf) > MAX_REPARSE_DATA:
            raise WireError(f"reparse tag {tag:#010x}, {length} bytes of {len(buf)}")
        return cls(tag, bytes(buf[start:]), bytes(buf[_HEAD.size : start]))

    def pack(self) -> bytes:
        return _HEAD.pack(self.tag, len(self.data), 0) + self.guid + self.data


class SymlinkData(NamedTuple):
    """The data of IO_REPARSE_TAG_SYMLINK, [MS-FSCC] 2.1.2.4; paths with ``\\``."""

    substitute_name: str
    print_name: str
    relative: bool

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if a name leaves the path buffer."""
        substitute, printed = _unpack_names(data, _NAMES.size + 4)
        (flags,) = struct.unpack_from("<I", data, _NAMES.size)
        return cls(substitute, printed, bool(flags & SYMLINK_FLAG_RELATIVE))

    def pack(self) -> bytes:
        flags = struct.pack("<I", SYMLINK_FLAG_RELATIVE if self.relative else 0)
        return _pack_names(self.substitute_name, self.print_name, flags, b"")


class MountPointData(NamedTuple):
    """The data of IO_REPARSE_TAG_MOUNT_POINT, [MS-FSCC] 2.1.2.5."""

    substitute_name: str
    print_name: str

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if a name leaves the path buffer."""
        return cls(*_unpack_names(data, _NAMES.size))

    def pack(self) -> bytes:
        return _pack_names(self.substitute_name, self.print_name, b"", b"\0\0")


class NfsData(NamedTuple):
    """The data of IO_REPARSE_TAG_NFS, [MS-FSCC] 2.1.2.6."""

    inode_type: int
    target: str = ""  # of NFS_LNK
    major: int = 0  # of NFS_CHR and NFS_BLK
    minor: int = 0

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """WireError if the type is unknown or its data has another length."""
        view = memoryview(data)
        kind = int.from_bytes(view[:8], "little") if len(view) >= 8 else 0
        rest = view[8:]
        if kind == NFS_LNK and len(rest):
            return cls(kind, target=from_utf16(rest))
        if kind in (NFS_CHR, NFS_BLK) and len(rest) == 8:
            major, minor = struct.unpack("<II", rest)
            return cls(kind, major=major, minor=minor)
        if kind in (NFS_FIFO, NFS_SOCK) and not len(rest):
            return cls(kind)
        raise WireError(f"NFS reparse point {kind:#x} with {len(rest)} bytes")

    def pack(self) -> bytes:
        head = struct.pack("<Q", self.inode_type)
        if self.inode_type == NFS_LNK:
            return head + utf16(self.target)
        if self.inode_type in (NFS_CHR, NFS_BLK):
            return head + struct.pack("<II", self.major, self.minor)
        return head


_LX_SYMLINK_VERSION: Final = 2


def unpack_lx_symlink(data: Buffer) -> str:
    """The target of IO_REPARSE_TAG_LX_SYMLINK: a version, then UTF-8."""
    if len(data) < 5 or int.from_bytes(data[:4], "little") != _LX_SYMLINK_VERSION:
        raise WireError(f"LX symlink of {len(data)} bytes")
    try:
        return str(data[4:], "utf-8")
    except UnicodeDecodeError:
        raise WireError("LX symlink is no UTF-8") from None


def pack_lx_symlink(target: str) -> bytes:
    """The data of IO_REPARSE_TAG_LX_SYMLINK."""
    return struct.pack("<I", _LX_SYMLINK_VERSION) + target.encode()


def _unpack_names(data: Buffer, start: int) -> tuple[str, str]:
    if len(data) < start:
        raise WireError(f"reparse data of {len(data)} bytes")
    path = memoryview(data)[start:]
    substitute_at, substitute, print_at, printed = _NAMES.unpack_from(data)
    if substitute_at + substitute > len(path) or print_at + printed > len(path):
        raise WireError(f"reparse names outside their {len(path)} bytes")
    return (
        from_utf16(path[substitute_at : substitute_at + substitute]),
        from_utf16(path[print_at : print_at + printed]),
    )


def _pack_names(substitute_name: str, print_name: str, flags: bytes, end: bytes) -> bytes:
    """*end* terminates each name, outside its length: mount points have it, symlinks not."""
    substitute, printed = utf16(substitute_name), utf16(print_name)
    at = len(substitute) + len(end)
    head = _NAMES.pack(0, len(substitute), at, len(printed))
    return head + flags + substitute + end + printed + end
