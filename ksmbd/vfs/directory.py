"""Listing a directory, resumable entry by entry: [MS-SMB2] 3.3.5.18 asks in portions."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ksmbd.vfs.depot import DIRECTORY
from ksmbd.vfs.pattern import compile_pattern, has_wildcards
from ksmbd.vfs.reader import NameReader
from ksmbd.vfs.shortnames import told
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.text import is_utf8

if TYPE_CHECKING:
    from ksmbd.vfs.handle import Handle
    from ksmbd.vfs.root import ShareRoot


PORTION: Final = 4096  # names that are kept of a directory at a time
_new: Final = tuple.__new__  # makes a DirEntry in a third of the time


class DirEntry(NamedTuple):
    """One name in a directory and what is behind it."""

    name: str
    stat: Stat


class Shows(Protocol):
    """Whether a user is to see an entry; asked on the user's thread."""

    def shows(self, directory: int, name: str) -> bool:
        """That entry of an open directory, itself if it is a symlink."""

    def shows_behind(self, root: ShareRoot, path: str) -> bool:
        """What a symlink that is followed leads to."""


def _matches_short(matches: Callable[[str], object], name: str) -> bool:
    short = told(name)
    return bool(short and matches(short))


class Enumeration:
    """One pass over a directory: "." and ".." first, then its names, read in portions.

    A directory of one portion is a snapshot; of a larger one the kernel gives each name that
    stays once, and may or may not give those that come or go meanwhile. Each name is stat'ed when
    its turn comes; one that has gone by then, that the share vetoes or that is no UTF-8 is left
    out, and so is what *sight* does not show. One thread at a time.
    """

    def __init__(self, handle: Handle, sight: Shows | None = None) -> None:
        self._handle = handle
        self._sight = sight
        self._root = handle.root
        self._fd = -1
        self._rest: os._ScandirIterator[str] | None = None  # while there may be another portion
        self._entries: Iterator[DirEntry] = iter(())
        self._pushed: list[DirEntry] = []
        self._reader = NameReader()
        self.is_long = False  # as far as is known; for whoever lists

    def restart(self, pattern: str) -> None:
        """Begin again, with names that match *pattern*. OSError if it cannot be listed."""
        self.close()
        self.is_long = False
        self._fd = os.open(proc_path(self._handle.fd), os.O_RDONLY | os.O_DIRECTORY)
        matches = compile_pattern(pattern)
        if pattern and not has_wildcards(pattern) and pattern not in (".", ".."):
            self._entries = self._produce(self._single(pattern))
            return
        self._rest = os.scandir(self._fd)
        names = self._wanted(self._portion(), None if pattern == "*" else matches)
        self.is_long = self._rest is not None  # even if little of it matches
        dots = [name for name in (".", "..") if matches(name)]
        first = [DirEntry(name, self._stat_dot(name)) for name in dots]
        self._entries = chain(first, self._produce(names))

    def stream(self) -> Iterator[DirEntry]:
        """The entries from here on; who stops goes on later with another one."""
        return chain(self._popped(), self._entries) if self._pushed else self._entries

    def _popped(self) -> Iterator[DirEntry]:
        while self._pushed:
            yield self._pushed.pop()

    def push_back(self, entry: DirEntry) -> None:
        """Let *entry* be the next again: it did not fit into the reply."""
        self._pushed.append(entry)

    def batch(self, limit: int) -> list[DirEntry]:
        """Up to *limit* entries; none after the last."""
        entries = self._pushed[: -limit - 1 : -1]
        del self._pushed[len(self._pushed) - len(entries) :]
        entries.extend(islice(self._entries, limit - len(entries)))
        return entries

    def close(self) -> None:
        """Forget the snapshot; a second call does nothing."""
        fd, self._fd = self._fd, -1
        self._entries = iter(())
        self._pushed.clear()
        self._end()
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()

    def _end(self) -> None:
        """All names have been read."""
        rest, self._rest = self._rest, None
        if rest is not None:
            rest.close()

    def _portion(self) -> list[str]:
        """The next names; none after the last."""
        if self._rest is None:
            return []
        names = [entry.name for entry in islice(self._rest, PORTION)]
        if len(names) < PORTION:
            self._end()
        return names

    def _wanted(self, portion: list[str], matches: Callable[[str], bool] | None) -> Iterator[str]:
        """Those of *portion*, and of all after it, that match."""
        short = self._root.options.short_names
        while portion:
            if DIRECTORY in portion:
                portion.remove(DIRECTORY)
            if matches is not None:
                portion = [
                    name
                    for name in portion
                    if matches(name) or (short and _matches_short(matches, name))
                ]
            yield from portion
            portion = self._portion()

    def _single(self, name: str) -> list[str]:
        """A name without wildcards: no need to read the directory for it."""
        # a path would lead out of the directory
        if "/" in name or "\0" in name or name == DIRECTORY or not is_utf8(name):
            return []
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            if self._root.options.case_sensitive:
                return []
            found = self._root.names.find(self._fd, name)
            return [] if found is None else [found]
        return [name]

    def _produce(self, names: Iterable[str]) -> Iterator[DirEntry]:
        """Stat each name when it is asked for."""
        fd, veto, reader = self._fd, self._root.vetoed, self._reader
        follow, sight = self._root.options.follow_symlinks, self._sight
        stat_in = self._root.attributes.stat_in
        for name in names:
            if not (name.isascii() or is_utf8(name)) or (veto is not None and veto(name)):
                continue
            try:
                found = stat_in(fd, name, reader)
            except (FileNotFoundError, PermissionError):
                continue  # gone since, or in a directory that may be listed but not entered
            behind = None
            if follow and stat.S_ISLNK(found.mode):
                parent = self._handle.path
                path = f"{parent}/{name}" if parent else name
                behind = self._root.stat_behind(path)
            if sight is None or (
                sight.shows(fd, name) if behind is None else sight.shows_behind(self._root, path)
            ):
                yield _new(DirEntry, (name, behind or found))

    def _stat_dot(self, name: str) -> Stat:
        """The directory itself or its parent; above the share's root nothing is shown.

        The parent is looked up from there: a directory that was moved out of the share since it
        was opened has a ".." that is none of the client's business.
        """
        stat_fd = self._root.attributes.stat_fd
        path = self._handle.path
        if name == ".." and path:
            with contextlib.suppress(OSError):
                fd = self._root.open_directory(path.rpartition("/")[0])
                try:
                    return stat_fd(fd, "", path_only=True, listed=True)
                finally:
                    os.close(fd)
        return stat_fd(self._fd, "", path_only=False, listed=True)
