"""Listing a directory, resumable entry by entry: [MS-SMB2] 3.3.5.18 asks in portions."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ksmbd.vfs.names import is_utf8
from ksmbd.vfs.pattern import compile_pattern, has_wildcards
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.xattr import proc_path

if TYPE_CHECKING:
    from ksmbd.vfs.handle import Handle


class DirEntry(NamedTuple):
    """One name in a directory and what is behind it."""

    name: str
    stat: Stat


class Enumeration:
    """One pass over a directory: "." and ".." first, then a snapshot of its names.

    Each name is stat'ed when its turn comes; one that has gone by then, that the share vetoes
    or that is no UTF-8 is left out. One thread at a time.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._root = handle.root
        self._fd = -1
        self._matches: Callable[[str], bool] = compile_pattern("*")
        self._names: Iterator[str] = iter(())
        self._pushed: list[DirEntry] = []
        self._reader = self._root.attributes.reader()

    def restart(self, pattern: str) -> None:
        """Take a new snapshot, of names that match *pattern*. OSError if it cannot be listed."""
        self.close()
        self._fd = os.open(proc_path(self._handle.fd), os.O_RDONLY | os.O_DIRECTORY)
        self._matches = compile_pattern(pattern)
        if pattern and not has_wildcards(pattern) and pattern not in (".", ".."):
            self._names = iter(self._single(pattern))
            return
        listed = os.listdir(self._fd)
        if pattern != "*":
            listed = [name for name in listed if self._matches(name)]
        dots = [name for name in (".", "..") if self._matches(name)]
        self._names = iter(dots + listed)

    def next(self) -> DirEntry | None:
        """The next entry, None after the last."""
        if self._pushed:
            return self._pushed.pop()
        veto = self._root.vetoed
        for name in self._names:
            if name in (".", ".."):
                return DirEntry(name, self._stat_dot(name))
            if not is_utf8(name) or (veto is not None and veto(name)):
                continue
            try:
                return DirEntry(name, self._stat(name))
            except (FileNotFoundError, PermissionError):
                continue  # gone since, or in a directory that may be listed but not entered
        return None

    def push_back(self, entry: DirEntry) -> None:
        """Let *entry* be the next again: it did not fit into the reply."""
        self._pushed.append(entry)

    def batch(self, limit: int) -> list[DirEntry]:
        """Up to *limit* entries; none after the last."""
        entries: list[DirEntry] = []
        while len(entries) < limit:
            entry = self.next()
            if entry is None:
                break
            entries.append(entry)
        return entries

    def close(self) -> None:
        """Forget the snapshot; a second call does nothing."""
        fd, self._fd = self._fd, -1
        self._names = iter(())
        self._pushed.clear()
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()

    def _single(self, name: str) -> list[str]:
        """A name without wildcards: no need to read the directory for it."""
        if "/" in name or "\0" in name:  # a path would lead out of the directory
            return []
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            if self._root.options.case_sensitive:
                return []
            found = self._root.names.find(self._fd, name)
            return [] if found is None else [found]
        return [name]

    def _stat(self, name: str) -> Stat:
        found = self._root.attributes.stat_in(self._fd, name, self._reader)
        if stat.S_ISLNK(found.mode) and self._root.options.follow_symlinks:
            parent = self._handle.path
            return self._root.stat_behind(f"{parent}/{name}" if parent else name) or found
        return found

    def _stat_dot(self, name: str) -> Stat:
        """The directory itself or its parent; above the share's root nothing is shown."""
        if name == "." or not self._handle.path:
            return self._root.attributes.stat_fd(self._fd, "", path_only=False)
        return self._root.attributes.stat_in(self._fd, "..", None)
