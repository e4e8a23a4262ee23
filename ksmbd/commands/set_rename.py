"""SET_INFO that changes names: rename and hard link, [MS-FSA] 2.1.5.15.6 and 2.1.5.15.12."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ksmbd.commands import set_stream
from ksmbd.state import audit, rights
from ksmbd.state.durable import is_away
from ksmbd.state.inode import Inode
from ksmbd.state.open import Open
from ksmbd.state.oplock import Cause
from ksmbd.state.work import Work
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.root import PathNotFound
from ksmbd.vfs.streams import DATA, split_stream
from ksmbd.vfs.tunnel import Tunnel
from ksmbd.wire import file_info
from ksmbd.wire.access import (
    ATTR_READONLY,
    DELETE,
    FILE_ADD_FILE,
    FILE_ADD_SUBDIRECTORY,
    FILE_SHARE_DELETE,
    FILE_SHARE_READ,
    FILE_SHARE_WRITE,
)
from ksmbd.wire.change_notify import ACTION_ADDED, ACTION_REMOVED, CHANGE_FILE_NAME
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import upcase

_REPLACE: Final = file_info.REPLACE_IF_EXISTS
_POSIX: Final = file_info.POSIX_SEMANTICS


def rename(work: Work, open: Open, data: memoryview) -> None:
    """FileRenameInformation; statuses as of :func:`_rename`."""
    head, name = file_info.unpack_named(file_info.FileRenameInformation, data)
    _rename(work, open, name, head.root_directory, _REPLACE if head.replace_if_exists else 0)


def rename_ex(work: Work, open: Open, data: memoryview) -> None:
    """FileRenameInformationEx; statuses as of :func:`_rename`."""
    head, name = file_info.unpack_named(file_info.FileRenameInformationEx, data)
    _rename(work, open, name, head.root_directory, head.flags)


def link(work: Work, open: Open, data: memoryview) -> None:
    """FileLinkInformation; statuses as of :func:`_link`."""
    head, name = file_info.unpack_named(file_info.FileLinkInformation, data)
    _link(work, open, name, head.root_directory, _REPLACE if head.replace_if_exists else 0)


def link_ex(work: Work, open: Open, data: memoryview) -> None:
    """FileLinkInformationEx; statuses as of :func:`_link`."""
    head, name = file_info.unpack_named(file_info.FileLinkInformationEx, data)
    _link(work, open, name, head.root_directory, head.flags)


# -- rename ------------------------------------------------------------------------------


def _rename(work: Work, open: Open, name: str, root_directory: int, flags: int) -> None:
    """Give the open's file another name, in this or another directory of the share.

    INVALID_PARAMETER       a RootDirectory, no name, a directory into itself; a stream out of
                            its file
    OBJECT_NAME_INVALID     a name no file can have
    OBJECT_PATH_NOT_FOUND   the new parent is missing or no directory
    OBJECT_NAME_COLLISION   the new name exists and is not to be replaced
    ACCESS_DENIED           the root of the share; a directory somebody uses a file in; a target
                            that is open, read-only, a directory; the descriptor of the parent
    SHARING_VIOLATION       another open shares no deletion, or one of the parent may delete
                            it or shares no writing
    DELETE_PENDING          the new parent is going to be removed
    NOT_SAME_DEVICE         the new parent is on another file system
    """
    path = _target_path(name, root_directory)
    handle = open.file
    if open.posix:
        flags |= _POSIX
    elif handle.stream or (path.startswith(":") and open.tree.share.streams):
        set_stream.rename(work, open, _stream_name(work, open, path), flags)
        return
    if not handle.path:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "the root of the share")
    below = _check_source(work, open)
    with _resolved(work, open, path) as target:
        case_alone = _is_own_name(open, target)
        _check_parent(work, open, target)
        if target.exists and not case_alone:
            _check_replace(work, open, target, flags)
        if not case_alone:
            right = FILE_ADD_SUBDIRECTORY if open.is_directory else FILE_ADD_FILE
            rights.require_in_parent(open.tree, target, right)
        replaced = _losing_its_name(work, open, target)
        before = handle.path
        replacing = target.exists and not case_alone
        _move(open, target, replace=bool(flags & _REPLACE))
        work.server.notify.renamed(handle, before, replaced=replacing)
    _tell_opens(open, before)
    for other in below:
        _tell_below(other, before, handle.path)
    for each in (open, *below):
        work.server.persistence.file_changed(each)
    if replaced is not None:
        _name_is_gone(replaced)
    work.server.caching.listing_changed(open, before, work.after)
    if handle.path.rpartition("/")[0] != before.rpartition("/")[0]:
        work.server.caching.listing_changed(open, handle.path, work.after)


def _move(open: Open, target: Entry, *, replace: bool) -> None:
    """Move it; to a name that a file had until a moment ago, with that one's creation time."""
    handle, birth = open.file, None
    tunnel = handle.root.tunnel
    if tunnel is not None and not (target.exists or open.is_directory or open.posix):
        birth = tunnel.give_back(target)
    handle.root.rename(handle, target, replace=replace)
    if birth is not None:
        Tunnel.bear(handle, birth)


def _target_path(name: str, root_directory: int) -> str:
    """The new name as a share-relative path.  Samba's client begins it with a backslash."""
    path = name.replace("\\", "/").removeprefix("/")
    if root_directory or not path:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, path or "no name")
    return path


def _stream_name(work: Work, open: Open, path: str) -> str:
    """The stream that ``:stream`` or ``file:stream`` means; "" is the file's own data.

    Who names the file changes its directory, in a way: smbtorture's smb2.streams.rename2.
    """
    try:
        target = split_stream(path)
    except NameInvalid as invalid:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, str(invalid)) from None
    if target.kind != DATA:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{path}: a stream stays one")
    if target.path:
        with _resolved(work, open, target.path) as entry:
            _check_parent(work, open, entry)
            st = entry.stat
            if st is None or (st.dev, st.ino) != (open.file.dev, open.file.ino):
                raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{path}: another file")
    return target.stream


@contextmanager
def _resolved(work: Work, open: Open, path: str) -> Iterator[Entry]:
    """The new name's entry; raises Wait while it, or its directory, is only being made."""
    open.tree.require_user()
    try:
        entry = open.file.root.resolve(path, posix=open.posix)
    except PathNotFound as missing:
        raise NtStatusError(NtStatus.OBJECT_PATH_NOT_FOUND, str(missing)) from None
    except NameInvalid as invalid:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, str(invalid)) from None
    except FileNotFoundError as vetoed:
        raise NtStatusError(NtStatus.ACCESS_DENIED, str(vetoed)) from None
    with entry:
        if work.server.unfinished:
            work.server.unfinished.wait_for(open.file.root, entry)
        yield entry


def _check_source(work: Work, open: Open) -> Sequence[Open]:
    """The opens of what is in the directory, which will have other paths; of a file none."""
    handle = open.file
    work.server.caching.demand(open.inode, Cause.HANDLE, open.holder)
    if open.inode is not None:
        with open.inode.lock:
            open.inode.check_share(DELETE, open.share_access, skip=open)
        _check_streams(work, open, open.inode)
    if not handle.is_directory:
        return ()
    below = work.server.inodes.opens_below(handle.path + "/", handle.root)
    if below:
        work.server.caching.demand_below(work, below)
        if not (open.tree.share.aapl and all(_moves_along(each) for each in (open, *below))):
            raise NtStatusError(NtStatus.ACCESS_DENIED, "a file in the directory is open")
    return below


def _moves_along(open: Open) -> bool:
    """Whether its client takes it that a directory above has another name, as Macs do.

    Not while it is away: it will ask for the file by the name that it knows.
    """
    return bool(open.session.aapl) and not is_away(open)


def _check_streams(work: Work, open: Open, inode: Inode) -> None:
    """A file whose streams are open keeps its name."""
    with inode.lock:
        opens = inode.stream_opens()
    if opens:
        work.server.caching.demand_among(inode, opens, open.holder)
        raise NtStatusError(NtStatus.ACCESS_DENIED, "a stream of the file is open")


def _is_own_name(open: Open, target: Entry) -> bool:
    """Whether *target* is the open's own name, perhaps in other letter case."""
    st = target.stat
    if st is None or (st.dev, st.ino) != (open.file.dev, open.file.ino):
        return False
    if open.posix:
        return target.path == open.path
    return upcase(target.path) == upcase(open.path)


def _check_parent(work: Work, open: Open, target: Entry) -> None:
    """The new parent must be there to be changed, and must stay.

    The operation opens it for that, and shares everything but deletion.
    """
    if target.parent >= 0:
        key = rights.identity_of(target.parent)
    else:
        fd = open.file.root.open_directory(target.path.rpartition("/")[0])
        try:
            key = rights.identity_of(fd)
        finally:
            os.close(fd)
    inode = work.server.inodes.find(key)
    if inode is None:
        return
    share = FILE_SHARE_READ | FILE_SHARE_WRITE
    with inode.lock:
        if inode.delete_pending:
            raise NtStatusError(NtStatus.DELETE_PENDING, "the new parent is deleted")
        excluding = inode.conflicting(FILE_ADD_FILE, share)
    work.server.caching.demand_among(inode, excluding, open.holder)
    with inode.lock:
        inode.check_share(FILE_ADD_FILE, share)


def _check_replace(work: Work, open: Open, target: Entry, flags: int) -> None:
    """Whether what exists at the new name may make room."""
    st = target.stat
    assert st is not None
    if not flags & _REPLACE:
        raise NtStatusError(NtStatus.OBJECT_NAME_COLLISION, target.path)
    directories = st.is_directory and open.is_directory and flags & _POSIX
    if (st.is_directory or open.is_directory) and not directories:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "a directory replaces nothing")
    if st.attributes & ATTR_READONLY and not flags & file_info.IGNORE_READONLY_ATTRIBUTE:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "the target is read-only")
    decided: list[audit.Decision] = []
    rights.granted(open.tree, target, DELETE, 0, decided.append)
    inode = _inode_of(work, target)
    if inode is not None and inode is not open.inode:
        work.server.caching.demand(inode, Cause.HANDLE, None)
    for decision in decided:  # what waits is decided again
        audit.record(decision)
    if inode is None or inode is open.inode:
        return
    with inode.lock:
        others = [] if inode.deleted else inode.opens + inode.stream_opens()
        unshared = any(not other.share_access & FILE_SHARE_DELETE for other in others)
    if others and (st.is_directory or not flags & _POSIX):
        raise NtStatusError(NtStatus.ACCESS_DENIED, "the target is open")
    if unshared:
        raise NtStatusError(NtStatus.SHARING_VIOLATION, "the target shares no deletion")


def _inode_of(work: Work, target: Entry) -> Inode | None:
    """What the opens of the target share, if there are any."""
    st = target.stat
    return None if st is None else work.server.inodes.find((st.dev, st.ino))


def _losing_its_name(work: Work, open: Open, target: Entry) -> Inode | None:
    """The open file, not *open*'s, whose only name is the one that is replaced."""
    inode = _inode_of(work, target)
    if (
        inode is open.inode
        or target.stat is None
        or (target.stat.nlink > 1 and not open.is_directory)
    ):
        return None
    return inode


def _tell_opens(open: Open, before: str) -> None:
    """The other opens by the same name have the new one too."""
    inode = open.inode
    if inode is None:
        return
    handle = open.file
    with inode.lock:
        for other in inode.opens:
            its = other.handle
            if its is not None and its.root is handle.root and its.path == before:
                its.path = handle.path
        if inode.delete_pending and inode.delete_path == before:
            inode.delete_path = handle.path


def _tell_below(open: Open, before: str, after: str) -> None:
    """A directory above has moved."""
    handle, inode = open.file, open.inode
    assert inode is not None
    inside = before + "/"
    with inode.lock:
        if handle.path.startswith(inside):
            handle.path = after + handle.path[len(before) :]
        if inode.delete_path.startswith(inside):
            inode.delete_path = after + inode.delete_path[len(before) :]


def _name_is_gone(inode: Inode) -> None:
    """A replaced file lives on for those who have it open; nothing is left to delete."""
    with inode.lock:
        inode.delete_pending = True
        inode.deleted = True


# -- hard link ---------------------------------------------------------------------------


def _link(work: Work, open: Open, name: str, root_directory: int, flags: int) -> None:
    """Give the open's file a second name.

    FILE_IS_A_DIRECTORY     directories have one name
    ACCESS_DENIED           the file is going to be deleted; a target that is open, read-only,
                            a directory; the descriptor of the parent
    TOO_MANY_LINKS          the file system allows no more
    (others)                as of _rename
    """
    path = _target_path(name, root_directory)
    handle = open.file
    if open.posix:
        flags |= _POSIX
    if handle.is_directory:
        raise NtStatusError(NtStatus.FILE_IS_A_DIRECTORY, handle.path)
    inode = open.inode
    if inode is not None and inode.delete_pending:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "the file is deleted")
    work.server.caching.demand(inode, Cause.HANDLE, open.holder)
    with _resolved(work, open, path) as target:
        _check_parent(work, open, target)
        if target.exists:
            _check_replace(work, open, target, flags)
        rights.require_in_parent(open.tree, target, FILE_ADD_FILE)
        replaced = _losing_its_name(work, open, target)
        handle.root.link(handle, target, replace=bool(flags & _REPLACE))
        if target.exists:
            work.server.notify.report(handle.root, target.path, ACTION_REMOVED, CHANGE_FILE_NAME)
        work.server.notify.report(handle.root, target.path, ACTION_ADDED, CHANGE_FILE_NAME)
    if replaced is not None:
        _name_is_gone(replaced)
    work.server.caching.listing_changed(open, target.path, work.after)
