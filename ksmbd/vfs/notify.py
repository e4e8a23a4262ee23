"""Local changes through inotify: the descriptor, its events, and the directories to watch.

inotify watches one directory at a time, not a tree, and tells neither who did it nor which of
attributes, extended attributes, times and descriptor was changed.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.vfs.depot import DIRECTORY
from ksmbd.vfs.syscalls import inotify_add_watch, inotify_init, inotify_rm_watch
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.text import is_utf8

if TYPE_CHECKING:
    from ksmbd.vfs.handle import Handle
    from ksmbd.vfs.root import ShareRoot

IN_MODIFY: Final = 0x0002
IN_ATTRIB: Final = 0x0004
IN_MOVED_FROM: Final = 0x0040
IN_MOVED_TO: Final = 0x0080
IN_CREATE: Final = 0x0100
IN_DELETE: Final = 0x0200
IN_Q_OVERFLOW: Final = 0x4000  # events were lost
IN_IGNORED: Final = 0x8000  # the watch is gone
IN_ONLYDIR: Final = 0x0100_0000
IN_EXCL_UNLINK: Final = 0x0400_0000  # no events of files without a name
IN_MASK_ADD: Final = 0x2000_0000
IN_ISDIR: Final = 0x4000_0000
NAMES: Final = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO

_EVENT: Final = struct.Struct("=iIII")  # struct inotify_event: wd, mask, cookie, len
_BUFFER: Final = 64 << 10


class Event(NamedTuple):
    """One event; ``name`` is "" when the directory itself is meant."""

    wd: int
    mask: int
    cookie: int  # the same in both halves of a rename, else 0
    name: str


class Inotify:
    """An inotify instance.  OSError EMFILE where the user may have no more of them."""

    def __init__(self) -> None:
        self.fd = inotify_init(os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, path: str, mask: int) -> int:
        """Listen to a directory for *mask* too; its watch descriptor, the same for the same
        directory.  OSError ENOSPC beyond fs.inotify.max_user_watches."""
        flags = IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD
        return inotify_add_watch(self.fd, os.fsencode(path), mask | flags)

    def remove(self, wd: int) -> None:
        """Listen no more; nothing happens if the directory is gone."""
        with contextlib.suppress(OSError):
            inotify_rm_watch(self.fd, wd)

    def read(self) -> list[Event]:
        """Everything that is queued."""
        events: list[Event] = []
        while True:
            try:
                raw = os.read(self.fd, _BUFFER)
            except BlockingIOError:
                return events
            events += decode(raw)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def decode(raw: bytes) -> Iterator[Event]:
    """The events of one read; a name that could not be sent to a client is left out."""
    at = 0
    while at < len(raw):
        wd, mask, cookie, length = _EVENT.unpack_from(raw, at)
        at += _EVENT.size
        name = os.fsdecode(raw[at : at + length].rstrip(b"\0"))
        at += length
        if is_utf8(name) and name != DIRECTORY:
            yield Event(wd, mask, cookie, name)


def location(handle: Handle) -> str:
    """A directory's absolute path, where the kernel has it now."""
    root = handle.root.location
    now = os.readlink(proc_path(handle.fd))
    if now.startswith(root + "/") and is_utf8(now):
        return now.rstrip("/")
    return f"{root}/{handle.path}".rstrip("/")


@contextmanager
def opened(root: ShareRoot, path: str) -> Iterator[str]:
    """A directory beneath *root* by its exact path, as a path that stays with it.

    OSError if it is gone, is none, or is not to be followed to.
    """
    fd = root.open_directory(path)
    try:
        yield proc_path(fd)
    finally:
        os.close(fd)


def contents(item: str) -> tuple[list[str], list[str]]:
    """The names of the directories and of everything else in a directory."""
    directories: list[str] = []
    others: list[str] = []
    with os.scandir(item) as entries:
        for entry in entries:
            if is_utf8(entry.name) and entry.name != DIRECTORY:
                kind = directories if entry.is_dir(follow_symlinks=False) else others
                kind.append(entry.name)
    return directories, others
