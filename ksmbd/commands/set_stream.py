"""Renaming a stream within its file, [MS-FSA] 2.1.5.15.11.1."""

from __future__ import annotations

from typing import Final

from ksmbd.state.open import Open
from ksmbd.state.oplock import Cause
from ksmbd.state.work import Work
from ksmbd.vfs.streams import (
    StreamHandle,
    find_stream,
    list_streams,
    rename_stream,
    rename_to_file,
)
from ksmbd.wire import file_info
from ksmbd.wire.access import DELETE
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import upcase

_REPLACE: Final = file_info.REPLACE_IF_EXISTS


def rename(work: Work, open: Open, name: str, flags: int) -> None:
    """Give the open's stream the name *name*; "" makes it the file's own data.

    OBJECT_NAME_COLLISION   the file has a stream of that name, not to be replaced
    INVALID_PARAMETER       that stream holds data or is open; a directory has no data of its own
    NOT_SUPPORTED           the file's own data cannot become a stream
    SHARING_VIOLATION       another open of the stream shares no deletion
    """
    handle = open.file
    if not isinstance(handle, StreamHandle) or not handle.stream:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "the file's own data are no stream")
    _check_source(work, open)
    if not name:
        _check_file(work, handle, flags)
        rename_to_file(handle)
        return
    _check_target(work, open, handle, name, flags)
    rename_stream(handle, name, replace=bool(flags & _REPLACE))
    _tell_opens(work, open, handle, name)


def _check_source(work: Work, open: Open) -> None:
    work.server.caching.demand(open.inode, Cause.HANDLE, open.holder)
    if open.inode is not None:
        with open.inode.lock:
            open.inode.check_share(DELETE, open.share_access, skip=open)


def _check_file(work: Work, handle: StreamHandle, flags: int) -> None:
    """The file's own data are there always; they may be replaced while there are none."""
    st = handle.of_file().stat()
    if not flags & _REPLACE:
        raise NtStatusError(NtStatus.OBJECT_NAME_COLLISION, "the file's own data")
    inode = work.server.inodes.find((handle.dev, handle.ino))
    if st.is_directory or st.size or (inode is not None and inode.opens):
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "data of a file that are used")


def _check_target(work: Work, open: Open, handle: StreamHandle, name: str, flags: int) -> None:
    if upcase(name) == upcase(handle.stream):
        return
    stored = find_stream(handle.root, handle.fd, name)
    if stored is None:
        return
    if not flags & _REPLACE:
        raise NtStatusError(NtStatus.OBJECT_NAME_COLLISION, name)
    inode = work.server.inodes.find((handle.dev, handle.ino), name)
    sizes = {each.name: each.size for each in list_streams(handle.root, handle.fd)}
    if sizes.get(stored) or (inode is not None and inode.opens):
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{name} is used")


def _tell_opens(work: Work, open: Open, handle: StreamHandle, name: str) -> None:
    """The other opens of the stream have its new name too."""
    inode = open.inode
    if inode is None:
        return
    work.server.inodes.rename(inode, name)
    with inode.lock:
        for other in inode.opens:
            if other.handle is not None:
                other.handle.stream = handle.stream
