"""Change notification, [MS-FSA] 2.1.4.1 and 2.1.5.11: who watches which directory.

Two sources tell what changes.  *Our own operations* report themselves, with the name, the
action and the filter bits that only they know: an attribute, an EA, a descriptor, a stream.
*Everybody else on this machine* is told of by inotify (``LocalChanges``), which cannot tell an
attribute from an EA from a descriptor, so that such a change matches a filter for any of them.
inotify also repeats what we did; ``own_changes`` knows its echo, so each change arrives once.

Directories are known by their absolute path.  The same directory may be reached through two
shares, and a reload makes new share roots for the directories of old opens.

Lock order: ``Notify._lock`` is taken last but for those of ``Event`` and of the scheduler; under
it only memory is touched and events fire.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ksmbd.state.own_changes import Kind, OwnChanges
from ksmbd.state.watch import Outcome, Waiter, Watch
from ksmbd.wire.change_notify import (
    ACTION_ADDED,
    ACTION_ADDED_STREAM,
    ACTION_MODIFIED,
    ACTION_MODIFIED_STREAM,
    ACTION_REMOVED,
    ACTION_REMOVED_STREAM,
    ACTION_RENAMED_NEW_NAME,
    ACTION_RENAMED_OLD_NAME,
    CHANGE_ATTRIBUTES,
    CHANGE_CREATION,
    CHANGE_DIR_NAME,
    CHANGE_FILE_NAME,
    CHANGE_LAST_WRITE,
    CHANGE_SIZE,
    CHANGE_STREAM_NAME,
    CHANGE_STREAM_SIZE,
    CHANGE_STREAM_WRITE,
    OF_STREAMS,
)
from ksmbd.wire.status import NtStatus

if TYPE_CHECKING:
    from ksmbd.vfs.handle import Handle
    from ksmbd.vfs.root import ShareRoot

CHANGE_DATA: Final = CHANGE_SIZE | CHANGE_LAST_WRITE
_STREAM_DATA: Final = CHANGE_STREAM_SIZE | CHANGE_STREAM_WRITE
_KINDS: Final = {
    ACTION_ADDED: Kind.APPEARED,
    ACTION_REMOVED: Kind.VANISHED,
    ACTION_RENAMED_NEW_NAME: Kind.APPEARED,
    ACTION_RENAMED_OLD_NAME: Kind.VANISHED,
}


class Report(NamedTuple):
    """A change of one name."""

    path: str  # absolute
    action: int
    filter: int  # who watches for any of these bits is told
    unless: int = 0  # but not who watches for any of these


class LocalChanges(Protocol):
    """Brings the changes that others make, through :meth:`Notify.changed`."""

    def cover(self, watch: Watch, directory: Handle) -> None:
        """Listen to the directory of *watch*, which is open as *directory*."""

    def uncover(self, watch: Watch) -> None:
        """Stop listening where nobody watches any more."""

    def noted(self) -> None:
        """There are notes of our own operations again: have them forgotten in time."""


def name_filter(is_directory: bool) -> int:
    return CHANGE_DIR_NAME if is_directory else CHANGE_FILE_NAME


def parent_of(path: str) -> str:
    """The directory of an absolute path; "" is the root of the file system."""
    return path.rpartition("/")[0]


def renaming(before: str, after: str, is_directory: bool) -> list[Report]:
    """A rename: a pair within one directory, else gone here and new there.

    Who watches no names but attributes or creation times is told that a file was modified, as
    Windows does (smb2.notify.mask-change).
    """
    filter = name_filter(is_directory)
    if parent_of(before) == parent_of(after):
        actions = ACTION_RENAMED_OLD_NAME, ACTION_RENAMED_NEW_NAME
    else:
        actions = ACTION_REMOVED, ACTION_ADDED
    reports = [Report(before, actions[0], filter), Report(after, actions[1], filter)]
    if not is_directory:
        others = CHANGE_ATTRIBUTES | CHANGE_CREATION
        reports.append(Report(after, ACTION_MODIFIED, others, unless=filter))
    return reports


class Notify:
    """All watches of the server."""

    def __init__(self) -> None:
        self.local: LocalChanges | None = None  # set once, before the first client
        self._lock = threading.Lock()
        self._watches: dict[str, list[Watch]] = {}  # by self._lock; path -> who watches it
        self._parents: Counter[str] = Counter()  # by self._lock; directory -> watched ones in it
        self._recursive = 0  # by self._lock; watches of whole trees
        self._own = OwnChanges()  # by self._lock

    # -- watches -------------------------------------------------------------------------

    def add(self, watch: Watch, directory: Handle) -> None:
        """Begin to watch.  Nothing happens if its open was closed meanwhile."""
        with self._lock:
            if watch.closed:
                return
            self._enter(watch)
        if self.local is not None:
            self.local.cover(watch, directory)

    def remove(self, watch: Watch, status: NtStatus = NtStatus.NOTIFY_CLEANUP) -> None:
        """The open is closed: all its requests end with *status*."""
        with self._lock:
            watch.closed = True
            self._leave(watch)
            watch.end(status)
        if self.local is not None:
            self.local.uncover(watch)

    def request(self, watch: Watch) -> Outcome | Waiter:
        with self._lock:
            return watch.request()

    def give_up(self, watch: Watch, waiter: Waiter) -> None:
        with self._lock:
            watch.give_up(waiter)

    def end(self, watches: Iterable[Watch], status: NtStatus) -> None:
        """Answer those who wait; the watches live on.  For a directory that is deleted."""
        with self._lock:
            for watch in watches:
                watch.end(status)

    def move(self, watch: Watch, path: str, directory: Handle) -> None:
        """A watched directory turns out to be somewhere else now."""
        with self._lock:
            if watch.closed:
                return
            self._leave(watch)
            watch.path = path
            self._enter(watch)
        if self.local is not None:
            self.local.cover(watch, directory)

    def _enter(self, watch: Watch) -> None:
        there = self._watches.setdefault(watch.path, [])
        if not there:
            self._parents[parent_of(watch.path)] += 1
        there.append(watch)
        self._recursive += watch.recursive

    def _leave(self, watch: Watch) -> None:
        there = self._watches.get(watch.path, [])
        if watch in there:
            there.remove(watch)
            self._recursive -= watch.recursive
            if not there:
                del self._watches[watch.path]
                parent = parent_of(watch.path)
                self._parents[parent] -= 1
                if not self._parents[parent]:
                    del self._parents[parent]

    # -- our own operations --------------------------------------------------------------

    def report(self, root: ShareRoot, path: str, action: int, filter: int) -> None:
        """We have changed *path* (share-relative).  Almost free while nobody watches."""
        if self._watches:
            self._did([Report(f"{root.location}/{path}", action, filter)])

    def created(self, handle: Handle) -> None:
        """A file, directory or stream is new."""
        if self._watches:
            if handle.stream:
                self._did([_of_stream(handle, ACTION_ADDED_STREAM, CHANGE_STREAM_NAME)])
            else:
                filter = name_filter(handle.is_directory)
                self._did([Report(_where(handle), ACTION_ADDED, filter)])

    def removed(self, handle: Handle) -> None:
        """A name, or a stream, is gone."""
        if self._watches:
            if handle.stream:
                self._did([_of_stream(handle, ACTION_REMOVED_STREAM, CHANGE_STREAM_NAME)])
            else:
                filter = name_filter(handle.is_directory)
                self._did([Report(_where(handle), ACTION_REMOVED, filter)])

    def written(self, handle: Handle) -> None:
        """The data of a file or of a stream are others."""
        if self._watches:
            if handle.stream:
                self._did([_of_stream(handle, ACTION_MODIFIED_STREAM, _STREAM_DATA)])
            else:
                self._did([Report(_where(handle), ACTION_MODIFIED, CHANGE_DATA)])

    def modified(self, handle: Handle, filter: int) -> None:
        """Something of a file or directory that *filter* says; 0: nothing anybody watches."""
        if self._watches:
            self._did([Report(_where(handle), ACTION_MODIFIED, filter)])

    def renamed(self, handle: Handle, before: str, *, replaced: bool = False) -> None:
        """*handle* has been *before* (share-relative) until now.

        What stood at the new name is removed first; the watches inside a directory go with it.
        """
        if not self._watches:
            return
        old, new = f"{handle.root.location}/{before}", _where(handle)
        reports = renaming(old, new, handle.is_directory)
        if replaced and parent_of(old) != parent_of(new):
            reports.insert(1, Report(new, ACTION_REMOVED, name_filter(handle.is_directory)))
        elif replaced:
            reports.insert(0, Report(new, ACTION_REMOVED, name_filter(handle.is_directory)))
        self._did(reports)
        if handle.is_directory:
            self.directory_moved(old, new)

    def _did(self, reports: list[Report]) -> None:
        first = False
        with self._lock:
            told: set[Watch] = set()
            for report in reports:
                if self._tell(report, told) and self.local is not None:
                    first = first or not self._own
                    self._own.note(_on_disk(report), _KINDS.get(report.action, Kind.TOUCHED))
            for watch in told:
                watch.serve()
        if first and self.local is not None:
            self.local.noted()

    # -- what others do ------------------------------------------------------------------

    def changed(self, reports: Iterable[Report], turn: int) -> None:
        """Local processes have done this, as was read in *turn*."""
        with self._lock:
            told: set[Watch] = set()
            for report in reports:
                self._tell(report, told, turn)
            for watch in told:
                watch.serve()

    @property
    def has_notes(self) -> bool:
        """Whether there is anything to forget."""
        return bool(self._own)

    def is_echo(self, path: str, kind: Kind) -> bool:
        """Whether an event is of our own doing; see ``own_changes``."""
        with self._lock:
            return self._own.is_echo(path, kind)

    def expect(self, path: str) -> None:
        """An event will say that *path* appeared, which has been reported already."""
        with self._lock:
            self._own.note(path, Kind.APPEARED)

    def next_turn(self) -> int:
        with self._lock:
            return self._own.next_turn()

    def forget(self, turn: int) -> None:
        with self._lock:
            self._own.forget(turn)

    def missed(self, path: str | None = None) -> None:
        """Changes beneath *path*, or anywhere, were not seen: who watches there must list."""
        with self._lock:
            if path is None:
                self._own.clear()
            for watch in self._all():
                if path is None or _covers(watch, path):
                    watch.lose()
                    watch.serve()

    def directory_moved(self, before: str, after: str) -> None:
        """A directory has another name: what is watched in it has one too."""
        inside = before + "/"
        with self._lock:
            moved = [w for w in self._all() if w.path == before or w.path.startswith(inside)]
            for watch in moved:
                self._leave(watch)
                watch.path = after + watch.path[len(before) :]
                self._enter(watch)

    def directory_gone(self, path: str) -> None:
        """A local process has removed a directory that somebody watches."""
        with self._lock:
            for watch in self._watches.get(path, ()):
                watch.end(NtStatus.DELETE_PENDING)

    def wanted(self, path: str, top: str = "") -> tuple[int, Watch | None]:
        """The filter bits that are watched for in a directory, and a tree's watch around it.

        Only watches of *top* or beneath it count.
        """
        filter, tree = 0, None
        with self._lock:
            for watch in self._watches.get(path, ()):
                filter |= watch.filter
                tree = watch if watch.recursive else tree
            at = path
            while self._recursive and len(at) > len(top):
                at = parent_of(at)
                for watch in self._watches.get(at, ()):
                    if watch.recursive:
                        filter |= watch.filter
                        tree = watch
        return filter, tree

    def holds(self, path: str) -> bool:
        """Whether a directory that is watched lies right in *path*."""
        return path in self._parents  # one step

    def trees(self) -> list[Watch]:
        with self._lock:
            return [watch for watch in self._all() if watch.recursive]

    # -- delivery, by self._lock ---------------------------------------------------------

    def _all(self) -> list[Watch]:
        return [watch for there in self._watches.values() for watch in there]

    def _tell(self, report: Report, told: set[Watch], turn: int | None = None) -> bool:
        """Have the change kept for all who watch for it; whether anybody watches there."""
        at = parent_of(report.path)
        watched = False
        for watch in self._watches.get(at, ()):
            watched = True
            _give(watch, report, told, turn)
        while self._recursive and at:
            at = parent_of(at)
            for watch in self._watches.get(at, ()):
                if watch.recursive:
                    watched = True
                    _give(watch, report, told, turn)
        return watched


def _give(watch: Watch, report: Report, told: set[Watch], turn: int | None) -> None:
    if turn is not None and turn <= watch.since:
        return
    if watch.filter & report.filter and not watch.filter & report.unless:
        watch.add(report.action, report.path[len(watch.path) + 1 :])
        told.add(watch)


def _covers(watch: Watch, path: str) -> bool:
    return watch.path == path or (watch.recursive and path.startswith(watch.path + "/"))


def _where(handle: Handle) -> str:
    return f"{handle.root.location}/{handle.path}"


def _on_disk(report: Report) -> str:
    """The file whose event the kernel raises; a stream is part of its file."""
    if report.action in OF_STREAMS:
        return report.path.rpartition(":")[0]
    return report.path


def _of_stream(handle: Handle, action: int, filter: int) -> Report:
    return Report(f"{_where(handle)}:{handle.stream}", action, filter)
