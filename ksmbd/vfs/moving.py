"""Renaming, linking and removing open files by their names.

POSIX changes names, SMB changes open files. So each operation first makes sure that the name
it is about to change still belongs to the open inode, and looks for a moved one through
/proc. Between that look and the change another local process may still slip in; Linux offers
no call without that gap.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.vfs import credentials
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.syscalls import renameat2
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.text import is_utf8, upcase

if TYPE_CHECKING:
    from ksmbd.vfs.root import ShareRoot

TEMPORARY: Final = ".ksmbd-"  # how a link is called until it replaces another file


def rename(root: ShareRoot, handle: Handle, target: Entry, *, replace: bool) -> None:
    """Move the file; see ShareRoot.rename()."""
    _refuse_stream(handle)
    wanted = target.asked.rpartition("/")[2]
    root.refuse_vetoed(wanted, target.asked)
    with located(root, handle) as source, _parent(root, target) as parent:
        if target.exists:
            with _last_name(root, target.fd):
                _rename_over(root, source, parent, target, wanted, replace=replace)
        else:
            move(root, source.parent, source.name, parent, wanted, replace=False)
        if root.tunnel is not None:
            root.tunnel.lost(source.parent, source.name, handle)
        handle.path = target.asked


def _rename_over(
    root: ShareRoot, source: Name, parent: int, target: Entry, wanted: str, *, replace: bool
) -> None:
    """Move to a name that exists, perhaps in another spelling, perhaps as the same file."""
    there = os.stat(target.name, dir_fd=parent, follow_symlinks=False)
    if os.path.samestat(source.stat, there):
        together = os.path.samestat(os.fstat(source.parent), os.fstat(parent))
        if together and upcase(source.name) == upcase(target.name):  # a change of case alone
            if source.name != wanted:
                move(root, source.parent, source.name, parent, wanted, replace=True)
            return
        if not replace:
            raise _exists(target.asked)
        # Another link of the file: rename(2) would leave both names
        _remove(root, source)
    elif not replace:
        raise _exists(target.asked)
    else:
        move(root, source.parent, source.name, parent, target.name, replace=True)
    if target.name != wanted:
        move(root, parent, target.name, parent, wanted, replace=False)


def link(root: ShareRoot, handle: Handle, target: Entry, *, replace: bool) -> None:
    """Make another name; see ShareRoot.link()."""
    _refuse_stream(handle)
    wanted = target.asked.rpartition("/")[2]
    root.refuse_vetoed(wanted, target.asked)
    with _parent(root, target) as parent:
        if not target.exists:
            _link(root, handle, parent, wanted)
            return
        if not replace:
            raise _exists(target.asked)
        if target.stat is not None and _is(target.stat.dev, target.stat.ino, handle):
            return
        temporary = f"{TEMPORARY}{handle.ino:x}-{handle.fd:x}"
        _link(root, handle, parent, temporary)
        try:
            with _last_name(root, target.fd):
                move(root, parent, temporary, parent, target.name, replace=True)
        except OSError:
            os.unlink(temporary, dir_fd=parent)
            raise


def unlink(root: ShareRoot, handle: Handle) -> None:
    """Remove the name; see ShareRoot.unlink()."""
    if handle.stream:
        samba = root.options.samba_streams
        root.depot.remove_stream(handle.fd, handle.stream, samba=samba)
        return
    with located(root, handle) as name, _last_name(root, handle.fd):
        _remove(root, name)
        if root.tunnel is not None:
            root.tunnel.removed(name.parent, name.name, handle)


def sync_name(root: ShareRoot, handle: Handle) -> None:
    """Bring the file's entry in its directory to stable storage, if it still has one.

    Done as the server: the user may write the file and not list its directory.
    """
    if not handle.path:
        return
    try:
        with credentials.privileged(), located(root, handle) as name:
            fd = os.open(proc_path(name.parent), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Name(NamedTuple):
    """Where a file's name is now."""

    parent: int  # descriptor of the directory
    name: str
    stat: os.stat_result  # of the name itself: a symlink's own if the file was reached by one


@contextmanager
def located(root: ShareRoot, handle: Handle) -> Iterator[Name]:
    """The name by which the file was opened, if it still is the file's, or its new one."""
    if not handle.path:
        raise PermissionError(errno.EACCES, "the root of a share")
    for where in (_known_path, _moved_path):
        path = where(root, handle)
        directory, _, name = path.rpartition("/")
        try:
            parent = root.open_directory(directory)
        except PermissionError:
            raise
        except OSError:
            continue
        try:
            st = _named(root, parent, path, handle)
            if st is not None:
                yield Name(parent, name, st)
                return
        finally:
            os.close(parent)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), handle.path)


def _named(root: ShareRoot, parent: int, path: str, handle: Handle) -> os.stat_result | None:
    """The stat of *path*'s final component in *parent*, if that names the file of *handle*."""
    try:
        st = os.stat(path.rpartition("/")[2], dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if _is(st.st_dev, st.st_ino, handle):
        return st
    if stat.S_ISLNK(st.st_mode) and root.options.follow_symlinks:
        behind = root.stat_behind(path)
        if behind is not None and _is(behind.dev, behind.ino, handle):
            return st
    return None


def _known_path(_root: ShareRoot, handle: Handle) -> str:
    """Where it was when it was opened, or renamed by us."""
    return handle.path


def _moved_path(root: ShareRoot, handle: Handle) -> str:
    """Where the kernel says the file is now, if that is beneath the root; else ""."""
    top = os.readlink(proc_path(root.fd)).rstrip("/") + "/"
    now = os.readlink(proc_path(handle.fd))
    return now[len(top) :] if now.startswith(top) and is_utf8(now) else ""


@contextmanager
def _parent(root: ShareRoot, target: Entry) -> Iterator[int]:
    if target.parent >= 0:
        yield target.parent
        return
    fd = root.open_directory(target.path.rpartition("/")[0])
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _last_name(root: ShareRoot, fd: int) -> Iterator[None]:
    """The stored streams of an open file go with its last name, which it may lose meanwhile."""
    tickets = root.depot.tickets(fd) if root.depot.used else []
    yield
    if tickets and not os.fstat(fd).st_nlink:
        root.depot.discard(tickets, fd)


@contextmanager
def replaced(root: ShareRoot, directory: int, name: str) -> Iterator[None]:
    """The stored streams of whatever has *name* in an open directory go if it is replaced."""
    if not root.depot.used:
        yield
        return
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        yield
        return
    try:
        with _last_name(root, fd):
            yield
    finally:
        os.close(fd)


def move(
    root: ShareRoot, source: int, name: str, parent: int, wanted: str, *, replace: bool
) -> None:
    """Rename a name of the open directory *source* into the open directory *parent*."""
    from_token = root.names.before_change(source)
    to_token = root.names.before_change(parent)
    try:
        renameat2(source, name.encode(), parent, wanted.encode(), replace=replace)
    except OSError as failed:
        if failed.errno != errno.EINVAL or replace:
            raise
        # Some file systems know no RENAME_NOREPLACE. (EINVAL for any other reason comes again.)
        with contextlib.suppress(FileNotFoundError):
            os.stat(wanted, dir_fd=parent, follow_symlinks=False)
            raise _exists(wanted) from None
        renameat2(source, name.encode(), parent, wanted.encode(), replace=True)
    root.names.changed(from_token, source, removed=name)
    root.names.changed(to_token, parent, added=wanted)


def _link(root: ShareRoot, handle: Handle, parent: int, name: str) -> None:
    token = root.names.before_change(parent)
    os.link(proc_path(handle.fd), name, dst_dir_fd=parent, follow_symlinks=True)
    root.names.changed(token, parent, added=name)


def _remove(root: ShareRoot, name: Name) -> None:
    token = root.names.before_change(name.parent)
    if stat.S_ISDIR(name.stat.st_mode):
        os.rmdir(name.name, dir_fd=name.parent)
    else:
        os.unlink(name.name, dir_fd=name.parent)
    root.names.changed(token, name.parent, removed=name.name)


def _refuse_stream(handle: Handle) -> None:
    """A stream lives in its file: what is done to a file's name cannot be done to it."""
    if handle.stream:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), handle.stream)


def _is(dev: int, ino: int, handle: Handle) -> bool:
    return dev == handle.dev and ino == handle.ino


def _exists(path: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
