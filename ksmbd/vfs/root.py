"""The directory that a share exports: finding, creating and opening what is beneath it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.vfs import depot, moving
from ksmbd.vfs.attributes import AttributeStore
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.file_ids import Places
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.names import FoldedNames
from ksmbd.vfs.path import O_PATH, beneath
from ksmbd.vfs.pattern import compile_patterns, encode_path
from ksmbd.vfs.stamps import Clock
from ksmbd.vfs.stat import FsStat, Stat, fs_stat, is_special
from ksmbd.vfs.tunnel import Tunnel
from ksmbd.vfs.xattr import may_have_user_xattrs, proc_path
from ksmbd.wire.access import ATTR_ARCHIVE

_OPEN: Final = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | _OPEN
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class RootOptions(NamedTuple):
    """What a share's configuration says about its files."""

    case_sensitive: bool = False
    short_names: bool = False  # listings tell 8.3 names; not with case_sensitive
    follow_symlinks: bool = False  # only to targets beneath the root,
    wide_links: bool = False  # or to any
    crossmnt: bool = True
    hide_dot_files: bool = True
    store_dos_attributes: bool = True
    veto: tuple[str, ...] = ()  # patterns with * and ?
    hide: tuple[str, ...] = ()  # likewise; names that are shown as hidden
    apple: bool = False  # Macs' streams behave as on theirs
    samba_streams: bool = False  # streams lie on disk in Samba's layout, see vfs.streams
    stored_descriptors: bool = False  # they may give rights that mode and POSIX ACL cannot say


DEFAULTS: Final = RootOptions()


def set_group_id(fd: int) -> None:
    """Give a new directory the mode bit that mkdir(2) leaves out of what it is asked for."""
    os.chmod(proc_path(fd), stat.S_IMODE(os.fstat(fd).st_mode) | stat.S_ISGID)


class PathNotFound(NotADirectoryError):
    """A parent in the path is missing or no directory; OBJECT_PATH_NOT_FOUND on the wire."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


class ShareRoot:
    """One share's directory. Paths are share-relative with "/" between; "" is the root itself.

    Everything raises OSError. The kernel checks permissions for whoever the thread acts as
    (credentials.become); new files belong to that user. The process's umask should be 0.
    """

    def __init__(
        self,
        path: str,
        options: RootOptions = DEFAULTS,
        *,
        clock: Clock = time.time_ns,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.fd = -1
        self.options = options
        self.clock = clock  # ns since 1970
        self.names = FoldedNames(clock)
        self.tunnel = Tunnel(clock) if options.short_names else None
        self.places = Places()
        self.fd = os.open(path, O_PATH | os.O_DIRECTORY)
        self.location = os.readlink(proc_path(self.fd)).rstrip("/")  # absolute
        self.vetoed = compile_patterns(options.veto)
        self.attributes = AttributeStore(
            stored=options.store_dos_attributes,
            hide_dot_files=options.hide_dot_files,
            hide=compile_patterns(options.hide),
            stored_descriptors=options.stored_descriptors,
            clock=clock,
        )
        self.depot = depot.Depot(self.fd, clock, random)
        self._beneath = beneath(
            self.fd,
            follow_symlinks=options.follow_symlinks,
            crossmnt=options.crossmnt,
            wide_links=options.wide_links,
        )
        self._directory_flags = O_PATH | os.O_DIRECTORY
        if not options.follow_symlinks:
            self._directory_flags |= os.O_NOFOLLOW

    def close(self) -> None:
        """Give the root's descriptor back; a second call does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
            self.names.close()

    def __del__(self) -> None:
        self.close()  # after a reload, when the last tree connect to the old share is gone

    def resolve(self, path: str, *, posix: bool = False, new: bool = False) -> Entry:
        """Find *path*: in its exact spelling, else (unless the share or *posix* says so) in any.

        A final symlink is followed if the share follows symlinks and it leads somewhere
        beneath the root; otherwise the entry is the symlink itself.  *new* is for a name that is
        made if it is missing: it is not found in Unicode's other normal form.

        NameInvalid         a component that no file may have
        PathNotFound        a parent is missing, vetoed or no directory
        FileNotFoundError   the final name is vetoed (a missing one is an entry all the same)
        OSError ELOOP       a parent is a symlink that is not followed
        OSError EXDEV       a symlink leads out of the share, or a mount is not to be crossed
        """
        encoded = encode_path(path, posix=posix)
        if not encoded:
            return self._existing("", "", os.open(".", O_PATH | os.O_DIRECTORY, dir_fd=self.fd))
        if self.vetoed is not None:
            self._refuse_vetoed(path)
        if "-" in path and depot.DIRECTORY in path.casefold():
            _refuse_depot(path)
        try:
            fd = self._open(encoded)
        except FileNotFoundError:
            return self._search(path, posix or self.options.case_sensitive, new=new)
        except NotADirectoryError:
            raise PathNotFound(path) from None
        return self._existing(path, path, fd)

    def create_file(self, entry: Entry, mode: int, attributes: int = ATTR_ARCHIVE) -> Handle:
        """Create the missing *entry*, open for reading and writing; its parent gave the place.

        FileExistsError if it has come to exist, PermissionError if its name is vetoed. Nothing
        stays behind if it fails.
        """
        self._check_free(entry)
        name = entry.name
        token = self.names.before_change(entry.parent)
        fd = os.open(name, _CREATE, mode, dir_fd=entry.parent)
        try:
            self.names.changed(token, entry.parent, added=name)
            self.attributes.store_new(fd, attributes)
            st = self.attributes.stat_fd(fd, name, path_only=False)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=entry.parent)
            raise
        return Handle(self, fd, entry.path, st, readable=True, writable=True, path_only=False)

    def create_directory(self, entry: Entry, mode: int, attributes: int = 0) -> Handle:
        """Create the missing *entry* as a directory; errors as in create_file()."""
        self._check_free(entry)
        token = self.names.before_change(entry.parent)
        os.mkdir(entry.name, mode, dir_fd=entry.parent)
        fd = -1
        try:
            fd, path_only = _open_new(entry)
            self.names.changed(token, entry.parent, added=entry.name)
            if mode & stat.S_ISGID:
                set_group_id(fd)
            self.attributes.store_new(fd, attributes, path_only=path_only)
            self.names.created(fd)
            st = self.attributes.stat_fd(fd, entry.name, path_only=path_only)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            with contextlib.suppress(OSError):
                os.rmdir(entry.name, dir_fd=entry.parent)
            raise
        return Handle(
            self, fd, entry.path, st, readable=not path_only, writable=False, path_only=path_only
        )

    def open(self, entry: Entry, *, read: bool, write: bool) -> Handle:
        """Open what resolve() found, that very inode; takes over the entry's descriptor.

        Neither *read* nor *write* gives a handle for metadata only. Directories are never
        opened for writing. FileNotFoundError for a missing entry, PermissionError for FIFOs,
        sockets and devices, OSError ELOOP for a symlink, else what the kernel says.
        """
        st = entry.stat
        if st is None or entry.fd < 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), entry.path)
        if not (read or write) or (st.is_directory and not read):
            fd = entry.take()
            return Handle(self, fd, entry.path, st, readable=False, writable=False, path_only=True)
        if is_special(st.mode):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), entry.path)
        if st.is_directory:
            flags, write = os.O_RDONLY | os.O_DIRECTORY | _OPEN, False
        elif write:
            flags = (os.O_RDWR if read else os.O_WRONLY) | _OPEN
        else:
            flags = os.O_RDONLY | _OPEN
        fd = os.open(proc_path(entry.fd), flags)
        os.close(entry.take())
        return Handle(self, fd, entry.path, st, readable=read, writable=write, path_only=False)

    def rename(self, handle: Handle, target: Entry, *, replace: bool) -> None:
        """Move *handle*'s file to where *target* is; updates ``handle.path``.

        FileExistsError if the target exists and *replace* is false; a change of case alone
        always works. Otherwise what rename(2) says: EISDIR, ENOTDIR, ENOTEMPTY, EXDEV, EINVAL.
        """
        moving.rename(self, handle, target, replace=replace)

    def link(self, handle: Handle, target: Entry, *, replace: bool) -> None:
        """Give *handle*'s file a second name. FileExistsError as in rename()."""
        moving.link(self, handle, target, replace=replace)

    def unlink(self, handle: Handle) -> None:
        """Remove *handle*'s name, a file's or an empty directory's, wherever it has moved to.

        FileNotFoundError if it has no name any more, OSError ENOTEMPTY.
        """
        moving.unlink(self, handle)

    def statfs(self) -> FsStat:
        """The file system of the root itself."""
        return fs_stat(self.fd)

    def has_user_xattrs(self) -> bool:
        """Whether the root's file system keeps attributes and streams."""
        return may_have_user_xattrs(proc_path(self.fd))

    def open_directory(self, path: str) -> int:
        """An O_PATH descriptor of a directory in its exact spelling; PathNotFound."""
        if not path:
            return os.dup(self.fd)
        try:
            return self._found(self._beneath.open(path.encode(), self._directory_flags))
        except (FileNotFoundError, NotADirectoryError):
            raise PathNotFound(path) from None

    def stat_behind(self, path: str) -> Stat | None:
        """What a symlink leads to beneath the root; None if that is nothing."""
        try:
            fd = self._found(self._beneath.open(path.encode(), O_PATH))
        except OSError:
            return None
        try:
            name = path.rpartition("/")[2]
            return self.attributes.stat_fd(fd, name, path_only=True, listed=True)
        finally:
            os.close(fd)

    def refuse_vetoed(self, name: str, path: str) -> None:
        """PermissionError if files of that name must not come to exist."""
        if self.vetoed is not None and self.vetoed(name):
            raise PermissionError(errno.EACCES, "vetoed name", path)

    def _refuse_vetoed(self, path: str) -> None:
        *parents, name = path.split("/")
        if any(self.vetoed(parent) for parent in parents if self.vetoed is not None):
            raise PathNotFound(path)
        if self.vetoed is not None and self.vetoed(name):
            raise FileNotFoundError(errno.ENOENT, "vetoed name", path)

    def _open(self, encoded: bytes) -> int:
        if not self.options.follow_symlinks:
            return self._beneath.open(encoded, O_PATH | os.O_NOFOLLOW)
        try:
            return self._found(self._beneath.open(encoded, O_PATH))
        except OSError as failed:
            if failed.errno not in (errno.ENOENT, errno.ELOOP, errno.EXDEV):
                raise
            # A link to nowhere or to the outside: itself it can be listed, renamed, removed
            return self._found(self._beneath.open(encoded, O_PATH | os.O_NOFOLLOW))

    def _found(self, fd: int) -> int:
        """What was opened, unless a symlink led into the server's own directory.

        The kernel keeps users out of it, but not the owner of a server that is not root.
        """
        if self.depot.used and self.options.follow_symlinks and depot.holds(fd):
            os.close(fd)
            raise FileNotFoundError(errno.ENOENT, "the server's own")
        return fd

    def _existing(self, path: str, asked: str, fd: int) -> Entry:
        try:
            st = self.attributes.stat_fd(fd, path.rpartition("/")[2], path_only=True)
        except BaseException:
            os.close(fd)
            raise
        return Entry(path, asked, fd=fd, stat=st)

    def _search(self, path: str, sensitive: bool, *, new: bool) -> Entry:
        """The exact path is missing: is it another spelling, a free place, or nowhere at all?"""
        wanted_parent, _, name = path.rpartition("/")
        fd, parent = self._search_directory(wanted_parent, sensitive=sensitive)
        try:
            asked = _join(parent, name)
            spellings = [] if parent == wanted_parent else [name]
            if not sensitive and (spelling := self.names.find(fd, name, same_form=new)) is not None:
                spellings.append(spelling)
            for spelling in spellings:
                try:
                    found = self._open(_join(parent, spelling).encode())
                except FileNotFoundError:
                    continue
                return self._existing(_join(parent, spelling), asked, found)
            entry = Entry(asked, asked, parent=fd)
            fd = -1
            return entry
        finally:
            if fd >= 0:
                os.close(fd)

    def _search_directory(self, path: str, *, sensitive: bool) -> tuple[int, str]:
        """An O_PATH descriptor of a parent and its path on disk. PathNotFound."""
        try:
            return self.open_directory(path), path
        except PathNotFound:
            if sensitive:
                raise
        fd, actual = os.dup(self.fd), ""
        try:
            for component in path.split("/"):
                following, actual = self._enter(fd, actual, component)
                os.close(fd)
                fd = following
        except BaseException:
            os.close(fd)
            raise
        return fd, actual

    def _enter(self, fd: int, parent: str, name: str) -> tuple[int, str]:
        """One step of the search, from the open directory *parent* into *name*."""
        try:
            return self.open_directory(_join(parent, name)), _join(parent, name)
        except PathNotFound:
            found = self.names.find(fd, name)
            if found is None or found == name:
                raise
            return self.open_directory(_join(parent, found)), _join(parent, found)

    def _check_free(self, entry: Entry) -> None:
        if entry.exists or entry.parent < 0:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), entry.path)
        self.refuse_vetoed(entry.name, entry.path)


def _open_new(entry: Entry) -> tuple[int, bool]:
    """A descriptor of the directory just made, and whether it is an O_PATH one."""
    try:
        return os.open(entry.name, _LIST, dir_fd=entry.parent), False
    except PermissionError:  # a mode that its own maker may not read
        flags = O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
        return os.open(entry.name, flags, dir_fd=entry.parent), True


def _refuse_depot(path: str) -> None:
    """The server's own directory is not there, by its name; under no other is it found.

    In any case: a directory of ext4 may be told to take one name for another.
    """
    *parents, name = path.casefold().split("/")
    if depot.DIRECTORY in parents:
        raise PathNotFound(path)
    if name == depot.DIRECTORY:
        raise FileNotFoundError(errno.ENOENT, "the server's own", path)


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name
