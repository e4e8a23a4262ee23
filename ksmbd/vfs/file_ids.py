"""Numbers that name a file of a share for good, for Macs: they keep them in aliases and bookmarks.

An inode's number will not do, for the file system gives it to another file once this one is gone.
So the inode's fills the lower half, by which a file is found in listings, and a checksum of its
file handle the upper: in that the file system tells one use of an inode from the next, and the
files of one mount from those of another.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from zlib import crc32

from ksmbd.vfs import depot
from ksmbd.vfs.filehandles import handle_of
from ksmbd.vfs.path import O_PATH
from ksmbd.vfs.xattr import proc_path

if TYPE_CHECKING:
    from ksmbd.vfs.root import ShareRoot

_LOW: Final = 0xFFFF_FFFF
_REMEMBERED: Final = 16384  # places
_SEARCHED: Final = 200_000  # entries of directories, in one search


def file_id(fd: int, ino: int) -> int:
    """The number of an open file, whose inode has the number *ino*.

    Where the file system has no file handles it is *ino*.
    """
    handle = handle_of(fd)
    return crc32(handle) << 32 | ino & _LOW if handle else ino


def has_lasting_ids(fd: int) -> bool:
    """Whether the file system of an open file has file handles."""
    return bool(handle_of(fd))


class Places:
    """Where files were seen, by their numbers: what clients ask for was listed before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[int, str] = {}  # by self._lock; last seen last

    def remember(self, number: int, path: str) -> None:
        with self._lock:
            self._paths.pop(number, None)
            self._paths[number] = path
            if len(self._paths) > _REMEMBERED:
                del self._paths[next(iter(self._paths))]

    def find(self, root: ShareRoot, number: int) -> str | None:
        """The path at which the file was last seen, if it still is there."""
        with self._lock:
            path = self._paths.get(number)
        return path if path is not None and _is_at(root, path, number) else None


def _is_at(root: ShareRoot, path: str, number: int) -> bool:
    try:
        with root.resolve(path) as entry:
            return entry.stat is not None and file_id(entry.fd, entry.stat.ino) == number
    except OSError:
        return False


def search(
    root: ShareRoot,
    number: int,
    may_list: Callable[[int], bool],
    stop: Callable[[], bool],
) -> str | None:
    """The path of the file with that number, found as a user finds one: directory by directory.

    Directories near the root first, those alone that *may_list* says of their descriptors, no
    symlinks, and so many entries at most that other requests of the thread can wait for it.
    """
    left = _SEARCHED
    directories = deque([""])
    while directories and left > 0 and not stop():
        parent = directories.popleft()
        try:
            fd = root.open_directory(parent)
        except OSError:
            continue
        try:
            if not may_list(fd):
                continue
            with os.scandir(proc_path(fd)) as listing:
                for entry in listing:
                    left -= 1
                    if _is_private(root, entry.name):
                        continue
                    path = f"{parent}/{entry.name}" if parent else entry.name
                    if entry.inode() & _LOW == number & _LOW and _is_it(fd, entry, number):
                        return path
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(path)
        except OSError:
            continue
        finally:
            os.close(fd)
    return None


def _is_private(root: ShareRoot, name: str) -> bool:
    return name == depot.DIRECTORY or (root.vetoed is not None and bool(root.vetoed(name)))


def _is_it(directory: int, entry: os.DirEntry[str], number: int) -> bool:
    try:
        fd = os.open(entry.name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return False
    try:
        return file_id(fd, entry.inode()) == number
    finally:
        os.close(fd)
