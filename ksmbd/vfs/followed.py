"""Directories whose names the kernel keeps us told of, so that they need not be read again.

inotify queues an event before the call that changed the directory returns: who reads the queue
first knows of every change that is over.  That holds where all changes go through this kernel,
not on a network file system.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ksmbd.vfs.notify import (
    IN_CREATE,
    IN_IGNORED,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    NAMES,
    Inotify,
)
from ksmbd.vfs.syscalls import fs_type
from ksmbd.vfs.xattr import proc_path

log = logging.getLogger("ksmbd.vfs")

Key = tuple[int, int]  # device, inode

# f_type of statfs(2): ext2 to ext4, XFS, btrfs, tmpfs, f2fs, overlay, ZFS, bcachefs
_LOCAL: Final = frozenset(
    {
        0xEF53,
        0x5846_5342,
        0x9123_683E,
        0x0102_1994,
        0xF2F5_2010,
        0x794C_7630,
        0x2FC1_2FC1,
        0xCA45_1A4E,
    }
)


class Change(NamedTuple):
    """What became of a name; "" when the directory is followed no more."""

    key: Key
    name: str
    added: bool


@dataclass(slots=True)
class _Watch:
    key: Key
    told: int = 0  # events read


class Followed:
    """The directories that one inotify instance watches. The caller takes care of threads."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None  # from the first directory on
        self._watches: dict[int, _Watch] = {}
        self._wds: dict[Key, int] = {}

    def follow(self, dir_fd: int, key: Key) -> None:
        """Begin with a directory; nothing happens where that cannot be had."""
        try:
            if key in self._wds or fs_type(dir_fd) not in _LOCAL:
                return
            if self._inotify is None:
                self._inotify = Inotify()
            wd = self._inotify.add(proc_path(dir_fd), NAMES)
        except OSError as failed:  # too many instances or watches, or not to be read
            log.debug("a directory's changes are not followed: %s", failed)
            return
        self._watches[wd] = _Watch(key)
        self._wds[key] = wd

    def leave(self, key: Key) -> None:
        wd = self._wds.pop(key, None)
        if wd is not None and self._inotify is not None:
            del self._watches[wd]
            self._inotify.remove(wd)

    def __len__(self) -> int:
        return len(self._wds)

    def oldest(self) -> Key:
        """Which has been followed longest."""
        return next(iter(self._wds))

    def told(self, key: Key) -> int | None:
        """How many changes of a directory have been read; None if it is not followed."""
        wd = self._wds.get(key)
        return None if wd is None else self._watches[wd].told

    def news(self) -> Iterator[Change]:
        """Every change since the last call, in order."""
        for event in self._inotify.read() if self._inotify is not None else ():
            if event.mask & IN_Q_OVERFLOW:
                for key in list(self._wds):
                    self.leave(key)
                    yield Change(key, "", False)
                continue
            watch = self._watches.get(event.wd)
            if watch is None:  # left in the meantime
                continue
            watch.told += 1
            if event.mask & IN_IGNORED:
                del self._watches[event.wd], self._wds[watch.key]
                yield Change(watch.key, "", False)
            elif event.name:
                yield Change(watch.key, event.name, bool(event.mask & (IN_CREATE | IN_MOVED_TO)))

    def close(self) -> None:
        """A second call does nothing."""
        inotify, self._inotify = self._inotify, None
        if inotify is not None:
            inotify.close()
