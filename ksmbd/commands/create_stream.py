"""CREATE of a named stream: what differs from a file, [MS-FSA] 2.1.5.1.

A stream belongs to a file that exists, or is made with it.  The file's descriptor and READONLY
attribute are the stream's; share modes, deletion and byte-range locks are its own.
"""

from __future__ import annotations

from ksmbd.commands.create_request import Wanted
from ksmbd.state.open import Open
from ksmbd.state.tree import TreeConnect
from ksmbd.state.work import Work
from ksmbd.vfs import afp_info
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.streams import StreamHandle, find_stream, first_stream, list_streams, size_of
from ksmbd.wire.access import (
    ATTR_READONLY,
    ATTR_REPARSE_POINT,
    FILE_OPEN,
    FILE_OVERWRITE,
)
from ksmbd.wire.status import NtStatus, NtStatusError


def exists(tree: TreeConnect, want: Wanted, entry: Entry) -> bool:
    """Whether the file has the stream that is wanted; what says nothing to Macs may be made."""
    root = tree.root
    found = find_stream(root, entry.fd, want.stream)
    if found is None or not root.options.apple or want.disposition != FILE_OPEN:
        return found is not None
    return not afp_info.is_blank(found, size_of(root, entry.fd, found), tree.session.aapl)


def check_new(work: Work, want: Wanted, st: Stat) -> None:
    """Whether the file may get the stream.

    OBJECT_NAME_NOT_FOUND   it is not to be made
    ACCESS_DENIED           a symlink or a special file, or a read-only one
    DELETE_PENDING          the file is going to be removed
    """
    if want.disposition in (FILE_OPEN, FILE_OVERWRITE):
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, f"{want.path}:{want.stream}")
    if st.attributes & ATTR_REPARSE_POINT:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "a stream of a reparse point")
    if st.attributes & ATTR_READONLY and not st.is_directory:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "a stream of a read-only file")
    inode = work.server.inodes.find((st.dev, st.ino))
    if inode is not None and inode.doomed:
        raise NtStatusError(NtStatus.DELETE_PENDING, want.path)


def of_new_file(work: Work, base: Handle, stream: str) -> StreamHandle:
    """The first stream of a file that was just made; no file stays if that fails."""
    try:
        handle = first_stream(base, stream, afp_info.kind(base.root, stream))
    except BaseException:
        try:
            base.root.unlink(base)
        finally:
            base.close()
        raise
    work.server.notify.created(base)
    return handle


def delete_file_too(open: Open) -> None:
    """The file was made for the sake of its stream, which has failed."""
    if open.inode is not None and open.inode.base is not None:
        open.inode.base.set_delete_pending(open.path)


def remove_one(tree: TreeConnect, want: Wanted) -> None:
    """Take back the stream that was just made, and is not opened after all."""
    root = tree.root
    with root.resolve(want.path) as entry:
        if entry.exists and (stored := find_stream(root, entry.fd, want.stream)) is not None:
            root.depot.remove_stream(entry.fd, stored, samba=root.options.samba_streams)


def remove_all(work: Work, open: Open) -> None:
    """The file is overwritten: its streams go, those that are open when they are closed."""
    handle = open.file
    root = handle.root
    for stream in list_streams(root, handle.fd):
        inode = work.server.inodes.find((handle.dev, handle.ino), stream.name)
        if inode is not None and inode.opens:
            inode.set_delete_pending(open.path)
            inode.overwritten = True
        else:
            root.depot.remove_stream(handle.fd, stream.name, samba=root.options.samba_streams)
