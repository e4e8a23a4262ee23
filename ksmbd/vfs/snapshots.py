"""Previous versions: directories that each hold the file system as it was at one time.

Where they lie is the administrator's word (the names are those of Samba's shadow_copy2); what has
made them, btrfs, ZFS, LVM or cp, makes no difference.  Below ``directory`` stands one directory
for each time, named after it by ``format``; the share is in it at the place that it has below
``base`` now.

No symlink is followed on the way there, and whatever is opened below is beneath that one snapshot.
Nothing is remembered but the roots in use: snapshots come and go, and an open descriptor kept for
later would keep a file system from being unmounted.
"""

from __future__ import annotations

import calendar
import errno
import logging
import os
import threading
import time
from typing import Final, NamedTuple, NoReturn
from weakref import WeakValueDictionary

from ksmbd.vfs import credentials
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.path import O_PATH, beneath
from ksmbd.vfs.root import RootOptions, ShareRoot
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.access import ATTR_ARCHIVE

log = logging.getLogger("ksmbd.vfs")

LABEL: Final = "@GMT-%Y.%m.%d-%H.%M.%S"  # [MS-SMB2] 2.2.32.2: how clients are told, in UTC
_LABEL_LENGTH: Final = len("@GMT-2026.01.02-03.04.05")
_DIRECTORY: Final = O_PATH | os.O_DIRECTORY

# Python loads what it takes at the first use, which would be as a user who may not read it.
time.strptime("1970", "%Y")


class Layout(NamedTuple):
    """Where the snapshots of a share lie."""

    directory: str  # of all of them; relative to the mount point that the share lies below
    base: str = ""  # what a snapshot is a copy of; "": that mount point
    format: str = LABEL  # of their names, as strftime(3) has it
    local_time: bool = False  # the times in the names are this machine's
    ascending: bool = False  # told in this order, else the newest first


class SnapshotRoot(ShareRoot):
    """A share's directory as it was: what would change it fails with EROFS."""

    def open(self, entry: Entry, *, read: bool, write: bool) -> Handle:
        """As ShareRoot.open(), never for writing."""
        return super().open(entry, read=read, write=False)

    def create_file(self, entry: Entry, mode: int, attributes: int = ATTR_ARCHIVE) -> Handle:
        """OSError EROFS."""
        _refuse(entry.path)

    def create_directory(self, entry: Entry, mode: int, attributes: int = 0) -> Handle:
        """OSError EROFS."""
        _refuse(entry.path)

    def rename(self, handle: Handle, target: Entry, *, replace: bool) -> None:
        """OSError EROFS."""
        _refuse(handle.path)

    def link(self, handle: Handle, target: Entry, *, replace: bool) -> None:
        """OSError EROFS."""
        _refuse(handle.path)

    def unlink(self, handle: Handle) -> None:
        """OSError EROFS."""
        _refuse(handle.path)


class Snapshots:
    """The previous versions of one share. Safe for any number of threads."""

    def __init__(self, path: str, layout: Layout) -> None:
        """*path* is the share's; ValueError if it does not lie below the base."""
        location = os.path.realpath(path)
        mount = _mount_point(location)
        base = os.path.realpath(layout.base or mount)
        if os.path.commonpath((base, location)) != base:
            raise ValueError(f"{location} is not below {base}")
        self.layout = layout
        self.directory = os.path.realpath(os.path.join(mount, layout.directory))
        place = os.path.relpath(location, base)
        self._place = "" if place == "." else f"/{place}"
        self._lock = threading.Lock()
        # by self._lock; (device, inode number) of the directory -> its root, while it is in use
        self._roots: WeakValueDictionary[tuple[int, int], SnapshotRoot] = WeakValueDictionary()
        inside = self.directory.startswith(location.rstrip("/") + "/")
        #: names that the share must not show, because the snapshots lie in it
        self.hidden: tuple[str, ...] = (os.path.basename(self.directory),) if inside else ()

    def labels(self) -> list[str]:
        """``@GMT-…`` of each, in the order that the layout says.

        Asked as the server itself, whose configuration says that clients are told.
        """
        times: list[int] = []
        try:
            with credentials.privileged(), os.scandir(self.directory) as listing:
                for found in listing:
                    when = self._time(found.name)
                    if when is not None and found.is_dir(follow_symlinks=False):
                        times.append(when)
        except OSError as failed:
            log.warning("no previous versions: %s", failed)
        times.sort(reverse=not self.layout.ascending)
        return [time.strftime(LABEL, time.gmtime(when)) for when in times]

    def find(self, when: int, options: RootOptions) -> SnapshotRoot:
        """The share's directory as it was at *when*, seconds since 1970.

        FileNotFoundError if there is no such snapshot, or the share is not in it; the
        directory itself is opened as the server, as that of the share is.
        """
        name = self._name(when)
        if name is None:
            raise FileNotFoundError(errno.ENOENT, "no snapshot has that time", str(when))
        with credentials.privileged():
            fd = self._enter(name + self._place)
            try:
                return self._root(fd, options)
            finally:
                os.close(fd)

    def _enter(self, path: str) -> int:
        top = os.open(self.directory, _DIRECTORY)
        try:
            way = beneath(top, follow_symlinks=False, crossmnt=True)
            return way.open(path.encode(), _DIRECTORY | os.O_NOFOLLOW)
        except OSError as failed:
            if failed.errno not in (errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
                raise
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        finally:
            os.close(top)

    def _root(self, fd: int, options: RootOptions) -> SnapshotRoot:
        st = os.fstat(fd)
        key = st.st_dev, st.st_ino  # nobody else's while the root has it open
        with self._lock:
            root = self._roots.get(key)
        if root is None:
            made = SnapshotRoot(proc_path(fd), options)
            with self._lock:
                root = self._roots.setdefault(key, made)
        return root

    def _name(self, when: int) -> str | None:
        """The directory's name; None where the format has none that leads back to *when*."""
        try:
            parts = time.localtime(when) if self.layout.local_time else time.gmtime(when)
            name = time.strftime(self.layout.format, parts)
        except (ValueError, OverflowError, OSError):
            return None
        return name if self._read(name) == when else None

    def _time(self, name: str) -> int | None:
        """Seconds since 1970; None if that is no snapshot's name, to the letter."""
        when = self._read(name)
        return when if when is not None and self._name(when) == name else None

    def _read(self, name: str) -> int | None:
        if "/" in name or name in ("", ".", ".."):
            return None
        try:
            parts = time.strptime(name, self.layout.format)
            return _from_local(parts) if self.layout.local_time else calendar.timegm(parts)
        except (ValueError, OverflowError):
            return None


def _from_local(parts: time.struct_time) -> int | None:
    """Seconds since 1970; None of a time that the clock leaves out when summer begins.

    Of one that comes twice, when summer ends, it is the first.  mktime(3) alone answers that one
    time so and another time otherwise, by what it was asked before.
    """
    found = []
    for summer in (1, 0) if parts.tm_isdst < 0 else (parts.tm_isdst,):
        when = int(time.mktime((*parts[:8], summer)))
        if time.localtime(when)[:6] == parts[:6]:
            found.append(when)
    return min(found, default=None)


def take_token(path: str) -> tuple[int, str] | None:
    """The time that an ``@GMT-…`` component of *path* names, and the path without it.

    None if there is no such component.
    """
    components = path.split("/")
    for index, name in enumerate(components):
        if len(name) == _LABEL_LENGTH:
            try:
                when = calendar.timegm(time.strptime(name, LABEL))
            except ValueError:
                continue
            return when, "/".join(components[:index] + components[index + 1 :])
    return None


def _mount_point(path: str) -> str:
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def _refuse(path: str) -> NoReturn:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
