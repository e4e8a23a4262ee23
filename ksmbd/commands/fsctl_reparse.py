"""FSCTLs on reparse points, [MS-FSA] 2.1.5.10.6, .16 and .37."""

from __future__ import annotations

import stat
from typing import Final

from ksmbd.state import ranges
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs import reparse
from ksmbd.vfs.stat import Stat
from ksmbd.wire.access import ATTR_REPARSE_POINT
from ksmbd.wire.base import WireError
from ksmbd.wire.change_notify import CHANGE_ATTRIBUTES
from ksmbd.wire.reparse import (
    IO_REPARSE_TAG_AF_UNIX,
    IO_REPARSE_TAG_LX_BLK,
    IO_REPARSE_TAG_LX_CHR,
    IO_REPARSE_TAG_LX_FIFO,
    IO_REPARSE_TAG_LX_SYMLINK,
    IO_REPARSE_TAG_MOUNT_POINT,
    IO_REPARSE_TAG_NFS,
    IO_REPARSE_TAG_SYMLINK,
    NfsData,
    ReparsePoint,
    SymlinkData,
    unpack_lx_symlink,
)
from ksmbd.wire.status import NtStatus, NtStatusError

_HEAD: Final = 8  # bytes: ReparseTag, ReparseDataLength, Reserved
_WITHOUT_DATA: Final = frozenset(
    (
        IO_REPARSE_TAG_AF_UNIX,
        IO_REPARSE_TAG_LX_FIFO,
        IO_REPARSE_TAG_LX_CHR,
        IO_REPARSE_TAG_LX_BLK,
    )
)


def get_reparse_point(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """What the reparse point says; no right is needed.

    NOT_A_REPARSE_POINT   it is none
    BUFFER_TOO_SMALL      not even its head fits
    BUFFER_OVERFLOW       it is cut
    """
    named = _named(open)
    handle = named.file
    point = reparse.read(handle.fd, handle.stat(), posix=named.posix)
    if point is None:
        raise NtStatusError(NtStatus.NOT_A_REPARSE_POINT, handle.path)
    packed = point.pack()
    if limit < min(len(packed), _HEAD + len(point.guid)):
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{limit} bytes")
    if limit < len(packed):
        return packed[:limit], NtStatus.BUFFER_OVERFLOW
    return packed, NtStatus.SUCCESS


def set_reparse_point(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Make the file or directory a reparse point, or another of the same tag.

    IO_REPARSE_DATA_INVALID   a malformed buffer, or data that are not its tag's
    IO_REPARSE_TAG_INVALID    a reserved tag
    IO_REPARSE_TAG_MISMATCH   it is a reparse point of another tag
    ACCESS_DENIED             a junction, which would lead through the server's own disk; a
                              symlink or special file of the disk
    DIRECTORY_NOT_EMPTY       a directory that holds something
    NOT_SUPPORTED             the share keeps no DOS attributes
    DISK_FULL                 too large for the disk
    """
    open = _named(open)
    point = _unpack(data)
    handle = open.file
    st = handle.stat()
    _refuse_disk_s(st)
    if st.tag and st.tag != point.tag:
        raise NtStatusError(NtStatus.IO_REPARSE_TAG_MISMATCH, f"{st.tag:#x}")
    if point.tag == IO_REPARSE_TAG_MOUNT_POINT:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "a junction")
    _check_data(point)
    if st.is_directory and not handle.is_empty():
        raise NtStatusError(NtStatus.DIRECTORY_NOT_EMPTY, handle.path)
    reparse.keep(handle, point)
    handle.mark(ATTR_REPARSE_POINT, True)
    if handle.stat().tag != point.tag:
        reparse.forget(handle)
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "no DOS attributes are kept")
    _tell(work, open)
    return b"", NtStatus.SUCCESS


def delete_reparse_point(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Make it what it was before.

    IO_REPARSE_DATA_INVALID   a malformed buffer, or one with data
    IO_REPARSE_TAG_INVALID    a reserved tag
    NOT_A_REPARSE_POINT       it is none
    IO_REPARSE_TAG_MISMATCH   it is one of another tag
    ACCESS_DENIED             a symlink or special file of the disk
    """
    open = _named(open)
    point = _unpack(data)
    if point.data:
        raise NtStatusError(NtStatus.IO_REPARSE_DATA_INVALID, "data to be deleted")
    handle = open.file
    st = handle.stat()
    if not st.reparse_tag:
        raise NtStatusError(NtStatus.NOT_A_REPARSE_POINT, handle.path)
    if st.reparse_tag != point.tag:
        raise NtStatusError(NtStatus.IO_REPARSE_TAG_MISMATCH, f"{st.reparse_tag:#x}")
    _refuse_disk_s(st)
    handle.mark(ATTR_REPARSE_POINT, False)
    reparse.forget(handle)
    _tell(work, open)
    return b"", NtStatus.SUCCESS


def _named(open: Open | None) -> Open:
    """INVALID_DEVICE_REQUEST for pipes; INVALID_PARAMETER for streams, which are no names."""
    found = ranges.the_open(open)
    if found.file.stream:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "a stream")
    return found


def _unpack(data: memoryview) -> ReparsePoint:
    if len(data) >= _HEAD and int.from_bytes(data[:4], "little") <= 2:
        raise NtStatusError(NtStatus.IO_REPARSE_TAG_INVALID, "a reserved tag")
    try:
        return ReparsePoint.unpack(data)
    except WireError as malformed:
        raise NtStatusError(NtStatus.IO_REPARSE_DATA_INVALID, str(malformed)) from None


def _check_data(point: ReparsePoint) -> None:
    """Of the tags whose data are known; those of others are their client's."""
    try:
        if point.tag == IO_REPARSE_TAG_SYMLINK:
            SymlinkData.unpack(point.data)
        elif point.tag == IO_REPARSE_TAG_NFS:
            NfsData.unpack(point.data)
        elif point.tag == IO_REPARSE_TAG_LX_SYMLINK:
            unpack_lx_symlink(point.data)
        elif point.tag in _WITHOUT_DATA and point.data:
            raise WireError(f"{len(point.data)} bytes for tag {point.tag:#x}")
    except WireError as malformed:
        raise NtStatusError(NtStatus.IO_REPARSE_DATA_INVALID, str(malformed)) from None


def _refuse_disk_s(st: Stat) -> None:
    if not (stat.S_ISREG(st.mode) or stat.S_ISDIR(st.mode)):
        raise NtStatusError(NtStatus.ACCESS_DENIED, "a symlink or special file of the disk")


def _tell(work: Work, open: Open) -> None:
    work.server.notify.modified(open.file, CHANGE_ATTRIBUTES)
    work.server.caching.listing_changed(open, open.path, work.after)
