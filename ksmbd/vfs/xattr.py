"""Extended attributes: their names, the layout of user.DOSATTRIB, SMB's extended attributes.

An *item* is a descriptor, or the ``/proc/self/fd/N`` form of one that was opened with O_PATH (on
which the kernel refuses the f...xattr calls).
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from ksmbd.vfs.pattern import NameInvalid
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_COMPRESSED,
    ATTR_HIDDEN,
    ATTR_NOT_CONTENT_INDEXED,
    ATTR_OFFLINE,
    ATTR_READONLY,
    ATTR_REPARSE_POINT,
    ATTR_SPARSE,
    ATTR_SYSTEM,
    ATTR_TEMPORARY,
)
from ksmbd.wire.text import filetime_from_ns, ns_from_filetime, upcase

Item = int | str

CHANGE_TIME: Final = "user.ksmbd.ctime"  # hidden from clients, as all of user.ksmbd.*
DOSATTRIB: Final = "user.DOSATTRIB"
STREAM_PREFIX: Final = "user.DosStream."
STREAM_SUFFIX: Final = ":$DATA"
STREAM_EXTENT_PREFIX: Final = "user.DosStreamExt."
REPARSE: Final = "user.SmbReparse"  # Samba's: a REPARSE_DATA_BUFFER as it came
USER: Final = "user."
EA_NAME_MAX: Final = 250  # bytes: the kernel's 255 less "user."
EAS_MAX: Final = 65536 - 5  # bytes, all of a file's, [MS-FSA] 2.1.5.15.5
EA_VALUE_MAX: Final = 65535  # bytes: a 16-bit length on the wire
_ILLEGAL_EA: Final = frozenset('"*+,/:;<=>?[\\]|') | {chr(code) for code in range(0x20)}

_SERVERS_OWN: Final = (
    "USER.DOSATTRIB",
    "USER.DOSSTREAM.",
    "USER.DOSSTREAMEXT.",
    "USER.KSMBD.",
    "USER.SMBREPARSE",
    "USER.SAMBA_PAI",
    "USER.ORG.NETATALK.",
)

STORED_ATTRIBUTES: Final = (
    ATTR_READONLY
    | ATTR_HIDDEN
    | ATTR_SYSTEM
    | ATTR_ARCHIVE
    | ATTR_TEMPORARY
    | ATTR_SPARSE
    | ATTR_COMPRESSED
    | ATTR_REPARSE_POINT
    | ATTR_OFFLINE
    | ATTR_NOT_CONTENT_INDEXED
)

# valid_flags of user.DOSATTRIB
_ATTRIB: Final = 0x01
_CREATE_TIME: Final = 0x10
_CHANGE_TIME: Final = 0x20  # in our version 4, which has no room for it: see CHANGE_TIME
_ITIME: Final = 0x40
_BOTH: Final = _ATTRIB | _CREATE_TIME
_V4: Final = struct.Struct("<2xHHxxIIQQ")  # version twice, flags, attributes, itime, create time
_V4_START: Final = b"\0\0\4\0\4\0"
_V3_AFTER_FLAGS: Final = struct.Struct("<IIQQQ")  # attributes, EA size, sizes, create time
_HEX_ONLY: Final = 0xFFFF
_HEX_MAX: Final = 16

# What says "no such attribute here": none set, none possible on this file, none readable
ABSENT: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES})


class DosAttrib(NamedTuple):
    """The content of user.DOSATTRIB; None where it does not say."""

    attributes: int | None
    birth: int | None  # ns since 1970
    change_is_set: bool = False  # the attribute CHANGE_TIME says what a client set


_NOTHING: Final = DosAttrib(None, None)
_CHANGE: Final = struct.Struct("<QQ")  # FILETIME as set, ns since 1970 of the setting


def proc_path(fd: int) -> str:
    """The path by which the kernel finds the file of *fd*, even of an O_PATH one."""
    return f"/proc/self/fd/{fd}"


def get_value(item: Item, name: str) -> bytes:
    """The value of one attribute; OSError if there is none."""
    return os.getxattr(item, name)


def value_in(directory: int, name: str, attribute: str) -> bytes:
    """The value of an attribute of a name in an open directory; nothing if there is none.

    No symlink is followed.
    """
    try:
        return os.getxattr(f"{proc_path(directory)}/{name}", attribute, follow_symlinks=False)
    except OSError as failed:
        if failed.errno not in ABSENT and failed.errno != errno.ENOENT:
            raise
        return b""


def set_value(item: Item, name: str, value: bytes) -> None:
    """Create or replace one attribute."""
    os.setxattr(item, name, value)


def remove_value(item: Item, name: str) -> None:
    """Remove one attribute; one that is not there is removed already."""
    try:
        os.removexattr(item, name)
    except OSError as failed:
        if failed.errno != errno.ENODATA:
            raise


def names(item: Item) -> list[str]:
    """The names of all attributes that are valid UTF-8; none where the file system has none."""
    try:
        listed = os.listxattr(item)
    except OSError as failed:
        if failed.errno in (errno.EOPNOTSUPP, errno.EPERM):
            return []
        raise
    decoded = []
    for name in listed:
        try:
            decoded.append(os.fsencode(name).decode())
        except UnicodeDecodeError:
            continue
    return decoded


def may_have_user_xattrs(item: Item) -> bool:
    """Whether the file system knows user.* attributes at all; asked without writing one."""
    try:
        get_value(item, DOSATTRIB)
    except OSError as failed:
        return failed.errno != errno.EOPNOTSUPP
    return True


def pack_change(change: int, set_at: int) -> bytes:
    """The value of CHANGE_TIME; both in ns since 1970."""
    return _CHANGE.pack(filetime_from_ns(change), set_at)


def unpack_change(blob: bytes) -> tuple[int, int] | None:
    """The change time a client set and when it did so; None if *blob* is junk."""
    if len(blob) != _CHANGE.size:
        return None
    change, set_at = _CHANGE.unpack(blob)
    return ns_from_filetime(change), set_at


def pack_dosattrib(attributes: int, birth: int, *, change_is_set: bool = False) -> bytes:
    """user.DOSATTRIB version 4, which Samba and ksmbd both read. *birth*: ns since 1970."""
    created = filetime_from_ns(birth)
    flags = _ATTRIB | _CREATE_TIME | _ITIME
    if change_is_set:
        flags |= _CHANGE_TIME
    return _V4.pack(4, 4, flags, attributes & STORED_ATTRIBUTES, created, created)


def unpack_dosattrib(blob: bytes) -> DosAttrib:
    """Read versions 3, 4 and 5 and the old hexadecimal string; junk says nothing."""
    if len(blob) == _V4.size and blob.startswith(_V4_START):  # what we write ourselves
        _, _, flags, attributes, _, created = _V4.unpack(blob)
        if flags & _BOTH == _BOTH and created:
            return DosAttrib(
                attributes & STORED_ATTRIBUTES,
                ns_from_filetime(created),
                bool(flags & _CHANGE_TIME),
            )
    try:
        text, position = _hex_prefix(blob)
        if text and len(blob) < position + 4:
            return DosAttrib(int(text, 16) & STORED_ATTRIBUTES, None)
        version = int.from_bytes(blob[position : position + 2], "little")
        if version == _HEX_ONLY:
            return DosAttrib(int(text, 16) & STORED_ATTRIBUTES, None)
        return _unpack_version(version, blob, position)
    except (ValueError, struct.error):
        return _NOTHING


def _hex_prefix(blob: bytes) -> tuple[str, int]:
    """The NUL-terminated string at the start and the 2-aligned offset after it."""
    end = blob.find(0, 0, _HEX_MAX)
    if end < 0:
        raise ValueError("no string")
    return blob[:end].decode("ascii"), (end + 2) & ~1


def _unpack_version(version: int, blob: bytes, position: int) -> DosAttrib:
    start = (position + 4 + 3) & ~3  # behind the version and the union's tag, 4-aligned
    (flags,) = struct.unpack_from("<I", blob, start)
    if version == 5:
        attributes, created = struct.unpack_from("<IQ", blob, start + 4)
    elif version == 4:
        attributes, _itime, created = struct.unpack_from("<IQQ", blob, start + 4)
    elif version == 3:
        attributes, _, _, _, created = _V3_AFTER_FLAGS.unpack_from(blob, start + 4)
    else:
        return _NOTHING
    return DosAttrib(
        attributes & STORED_ATTRIBUTES if flags & _ATTRIB else None,
        ns_from_filetime(created) if flags & _CREATE_TIME and created else None,
    )


def stream_xattr(stream: str) -> str:
    """The attribute that holds an alternate data stream, for ksmbd and Samba alike."""
    return f"{STREAM_PREFIX}{stream}{STREAM_SUFFIX}"


def stream_extent_xattr(stream: str, number: int) -> str:
    """Where Samba keeps what of a stream the first attribute does not hold, from 1."""
    return f"{STREAM_EXTENT_PREFIX}{number}.{stream}{STREAM_SUFFIX}"


def remove_stream(item: Item, stream: str) -> None:
    """Remove a stream in its stored spelling, and all that belongs to it."""
    remove_value(item, stream_xattr(stream))
    remove_extents(item, stream)


def remove_extents(item: Item, stream: str) -> None:
    """Remove what Samba keeps of a stream beside the first attribute."""
    number = 1
    present = names(item)
    while (extent := stream_extent_xattr(stream, number)) in present:
        remove_value(item, extent)
        number += 1


def is_ea(name: str) -> bool:
    """Whether the attribute *name* is one that clients see as an extended attribute.

    What servers keep in user.* is not, in any case: a client could grant itself rights there.
    """
    return name.startswith(USER) and name.isascii() and not name.upper().startswith(_SERVERS_OWN)


def has_eas(item: Item) -> bool:
    """Whether a file has any extended attribute, readable or not."""
    return any(map(is_ea, names(item)))


@lru_cache(maxsize=256)  # most files have the same few
def may_hold_eas(listed: bytes) -> bool:
    """Whether names of attributes, each ended by NUL, name any that clients see as such."""
    return any(is_ea(name) for name in listed.decode(errors="surrogateescape").split("\0"))


def read_eas(item: Item) -> list[tuple[str, bytes]]:
    """The extended attributes of a file: names without "user.", values not empty."""
    found = []
    for name in names(item):
        if not is_ea(name):
            continue
        try:
            value = get_value(item, name)
        except OSError as failed:
            if failed.errno not in ABSENT:
                raise
            continue
        if value and len(value) <= EA_VALUE_MAX:
            found.append((name[len(USER) :], value))
    return found


def write_eas(item: Item, eas: Iterable[tuple[str, bytes]]) -> None:
    """Set each attribute, remove it if its value is empty; names compare without case.

    All of them or none, [MS-FSA] 2.1.5.15.5.  NameInvalid for a name that no extended attribute
    may have, PermissionError for one of the server's own, OSError E2BIG for more than fits into
    64 KiB, or what the file system says.
    """
    wanted = list(eas)
    for name, _ in wanted:
        _check_ea_name(name)
    before = {USER + name: value for name, value in read_eas(item)}
    present = {upcase(name): name for name in names(item) if is_ea(name)}
    changes = [(present.setdefault(upcase(USER + n), USER + n), value) for n, value in wanted]
    after = before | dict(changes)
    if sum(_ea_size(name, value) for name, value in after.items() if value) > EAS_MAX:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
    done: list[str] = []
    try:
        for stored, value in changes:
            _put(item, stored, value)
            done.append(stored)
    except OSError:
        for stored in reversed(done):
            with contextlib.suppress(OSError):  # it had its room before
                _put(item, stored, before.get(stored, b""))
        raise


def _put(item: Item, stored: str, value: bytes) -> None:
    if value:
        set_value(item, stored, value)
    else:
        remove_value(item, stored)


def _ea_size(stored: str, value: bytes) -> int:
    """Bytes of FILE_FULL_EA_INFORMATION."""
    return -(-(9 + len(stored) - len(USER) + len(value)) // 4) * 4


def _check_ea_name(name: str) -> None:
    legal = name.isascii() and 0 < len(name) <= EA_NAME_MAX and not _ILLEGAL_EA & set(name)
    if not legal:
        raise NameInvalid(name, "no name for an extended attribute")
    if not is_ea(USER + name):
        raise PermissionError(errno.EACCES, "an attribute of the server's own", name)
