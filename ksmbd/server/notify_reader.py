"""Brings what local processes change to those who watch: one thread, one inotify instance.

The thread starts with the first watch and sleeps while nothing happens.  A directory that many
opens watch is listened to once; a watch of a tree listens to every directory in it, the nearest
first, up to ``MAX_DIRECTORIES`` in all.  Beyond that, local changes in the rest of the tree are
not seen (our own operations still are), and whoever watches a new directory there is told to
list (NOTIFY_ENUM_DIR), as everybody is when the kernel's queue overflows.

An event is looked at ``HOLD_S`` after it was read, so that an operation of our own has had the
time to report itself and the event is known as its echo.

    read -> hold -> which directory? -> our own doing? -> report
                         '-> new, moved or removed directories: listen to them or no more

No descriptor is kept: inotify holds the directory itself, and lets go of it when it is removed.
The parent of a watched directory is listened to for the directory's removal, which inotify does
not tell of while it is open.

Locks: ``_lock`` is held over the inotify calls, which only touch kernel memory, so that a watch
cannot be removed while another thread adds it again.  ``Notify._lock`` may be taken inside.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections import deque
from typing import Final

from ksmbd.server.path_table import PathTable
from ksmbd.state.notify import Notify, Report, name_filter, parent_of, renaming
from ksmbd.state.own_changes import Kind
from ksmbd.state.watch import Watch
from ksmbd.vfs import credentials
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.moving import TEMPORARY
from ksmbd.vfs.notify import (
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE,
    IN_IGNORED,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    NAMES,
    Event,
    Inotify,
    contents,
    opened,
)
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.change_notify import (
    ACTION_ADDED,
    ACTION_MODIFIED,
    ACTION_REMOVED,
    CHANGE_ATTRIBUTES,
    CHANGE_CREATION,
    CHANGE_DIR_NAME,
    CHANGE_EA,
    CHANGE_FILE_NAME,
    CHANGE_LAST_ACCESS,
    CHANGE_LAST_WRITE,
    CHANGE_SECURITY,
    CHANGE_SIZE,
)

log = logging.getLogger("ksmbd.vfs")

HOLD_S: Final = 0.1
MAX_DIRECTORIES: Final = 8192
_GONE: Final = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
# What an event may mean, in the bits of CHANGE_NOTIFY; IN_ATTRIB is any of six.
_MEANINGS: Final = {
    IN_MODIFY: CHANGE_SIZE | CHANGE_LAST_WRITE,
    IN_ATTRIB: CHANGE_ATTRIBUTES
    | CHANGE_LAST_WRITE
    | CHANGE_LAST_ACCESS
    | CHANGE_CREATION
    | CHANGE_EA
    | CHANGE_SECURITY,
    NAMES: CHANGE_FILE_NAME | CHANGE_DIR_NAME,
}


class NotifyReader:
    """``state.notify.LocalChanges``.  ``threaded=False`` leaves it to the owner to ``step``."""

    def __init__(
        self,
        notify: Notify,
        *,
        hold_s: float = HOLD_S,
        max_directories: int = MAX_DIRECTORIES,
        threaded: bool = True,
    ) -> None:
        self._notify = notify
        self._hold_s = hold_s
        self._limit = max_directories
        self._threaded = threaded
        self._lock = threading.RLock()
        self._inotify: Inotify | None = None  # by self._lock, from the first watch on
        self._paths = PathTable()  # by self._lock; directory -> watch descriptor
        self._directories: dict[int, list[str]] = {}  # by self._lock; the other way round
        self._read: deque[tuple[int, list[Event]]] = deque()  # by self._lock; with their turns
        self._said: set[str] = set()  # by self._lock; warnings, once each
        self._jobs: deque[Watch | str] = deque()  # trees to enter, paths to look over
        self._wake = -1  # an eventfd
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None  # by self._lock
        self._paired: set[int] = set()  # the thread's own; cookies of renames that are dealt with

    @property
    def directories(self) -> int:
        """How many directories are listened to."""
        return len(self._paths)

    # -- from any thread -----------------------------------------------------------------

    def cover(self, watch: Watch, directory: Handle) -> None:
        """Listen to the directory at once, to the tree beneath it as soon as the thread can."""
        with self._lock, credentials.privileged():
            if self._closing.is_set() or not self._start():
                return
            item = proc_path(directory.fd)
            # What is queued by now is older than the watch and must not be told to it.
            if watch.since < 0:
                watch.since = self._drain()
            self._listen_to(watch.path, item)
            same = self._directories.get(self._paths.get(watch.path, -1), ())
            self._jobs.extend(path for path in same if path != watch.path)  # it has moved
            self._listen_to_parent(watch)
        self._post(watch if watch.recursive else watch.path)

    def uncover(self, watch: Watch) -> None:
        self._post(watch.path)

    def noted(self) -> None:
        """Our own operations have left notes, which must not grow old."""
        self._post(None)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        with self._lock:
            thread, inotify = self._thread, self._inotify
        if inotify is None:
            return
        os.eventfd_write(self._wake, 1)
        if thread is not None:
            thread.join()
        inotify.close()
        os.close(self._wake)

    def _post(self, job: Watch | str | None) -> None:
        with self._lock:
            if self._inotify is None or self._closing.is_set():
                return
            if job is not None:
                self._jobs.append(job)
            os.eventfd_write(self._wake, 1)

    def _start(self) -> bool:
        """Whether there is an inotify instance; made, with its thread, by the first call."""
        if self._inotify is None:
            try:
                self._inotify = Inotify()
            except OSError as failed:
                self._say(f"changes by local processes will not be seen: inotify: {failed}")
                return False
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            if self._threaded:
                self._thread = threading.Thread(target=self._run, name="ksmbd/notify", daemon=True)
                self._thread.start()
        return True

    # -- which directories are listened to, by self._lock --------------------------------

    def _listen_to_parent(self, watch: Watch) -> None:
        """For the directory's removal.  By way of the root: its ".." may have left the share."""
        parent = parent_of(watch.path)
        if watch.path == watch.root.location:
            return
        try:
            with opened(watch.root, parent[len(watch.root.location) + 1 :]) as item:
                self._add(parent, item, _GONE)
        except OSError as failed:
            log.debug("cannot listen to %s: %s", parent, failed)

    def _listen_to(self, path: str, item: str) -> bool:
        """Listen to *path* for all that is watched there; False if that cannot be."""
        with self._lock:
            filter, tree = self._notify.wanted(path)
            mask = NAMES if tree is not None else 0
            for bits, meaning in _MEANINGS.items():
                mask |= bits if filter & meaning else 0
            return self._add(path, item, mask)

    def _add(self, path: str, item: str, mask: int) -> bool:
        """Whether the directory is listened to now; *mask* is added to what it was for."""
        if not mask or self._inotify is None:
            return True
        if path not in self._paths and len(self._paths) >= self._limit:
            self._say(f"more than {self._limit} watched directories: not all are listened to")
            return False
        try:
            wd = self._inotify.add(item, mask)
        except OSError as failed:
            self._say(f"a local change may not be seen: {path}: {failed}")
            return False
        if self._paths.get(path, wd) != wd:
            self._drop(path)
        self._paths[path] = wd
        there = self._directories.setdefault(wd, [])
        if path not in there:
            there.append(path)
        return True

    def _drop(self, path: str) -> None:
        wd = self._paths.pop(path, None)
        if wd is None or self._inotify is None:
            return
        there = self._directories.get(wd, [])
        if path in there:
            there.remove(path)
        if not there:
            self._directories.pop(wd, None)
            self._inotify.remove(wd)

    def _prune(self, path: str, *, top: str = "", alone: bool = False) -> None:
        """Listen no more to *path* and (unless *alone*) what is beneath it where nobody watches.

        With *top*, only watches of it or beneath it count: it is no part of a tree any more.
        """
        with self._lock:
            paths = [path] if path in self._paths else []
            if not alone:
                paths += self._paths.beneath(path)
            for each in paths:
                if not self._notify.holds(each) and not self._notify.wanted(each, top)[0]:
                    self._drop(each)

    def _say(self, warning: str) -> None:
        with self._lock:
            new = len(self._said) < 16 and warning not in self._said
            self._said.add(warning)
        if new:
            log.warning("%s", warning)

    # -- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        credentials.become(None)
        inotify = self._inotify
        assert inotify is not None
        poll = select.poll()
        poll.register(inotify.fd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        older = -1
        while not self._closing.is_set():
            if not self._read and not self._notify.has_notes:
                poll.poll()
            self._do_jobs()
            turn = self._drain()
            self._closing.wait(self._hold_s)
            self._drain()
            self._look_at(turn)
            # An operation may go on changing after its report: its notes live one turn longer.
            self._notify.forget(older)
            older = turn

    def step(self) -> None:
        """One round without the thread and without holding: for tests."""
        self._do_jobs()
        turn = self._drain()
        self._look_at(turn)
        self._notify.forget(turn)

    def _drain(self) -> int:
        """Read what is queued; the turn that ends with it."""
        with self._lock:
            events = [] if self._inotify is None else self._inotify.read()
            turn = self._notify.next_turn()
            if events:
                self._read.append((turn, events))
            return turn

    def _do_jobs(self) -> None:
        if self._wake >= 0:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        while self._jobs:
            job = self._jobs.popleft()
            if isinstance(job, Watch):
                self._enter(job, job.path, None)
            else:
                self._prune(job)
                self._prune(parent_of(job), alone=True)

    def _look_at(self, until: int) -> None:
        """Tell of what was read until that turn; a rename's other half may come later."""
        with self._lock:
            read = list(self._read)
        targets = {e.cookie: e for _, events in read for e in events if e.mask & IN_MOVED_TO}
        try:
            for turn, events in read:
                if turn <= until:
                    self._process(turn, events, targets)
        except Exception:
            log.exception("local changes: a bug in the server")
            self._notify.missed()
        with self._lock:
            while self._read and self._read[0][0] <= until:
                self._read.popleft()
        self._do_jobs()

    def _process(self, turn: int, events: list[Event], targets: dict[int, Event]) -> None:
        reports: list[Report] = []
        for event in events:
            if event.mask & IN_ISDIR and event.mask & _GONE:
                self._notify.changed(reports, turn)  # while the watches are where they were
                reports = []
            if event.mask & IN_Q_OVERFLOW:
                log.debug("inotify's queue has overflowed")
                self._notify.missed()
                self._jobs.extend(self._notify.trees())
            elif event.mask & IN_IGNORED:
                self._ended(event.wd)
            elif event.name and not event.name.startswith(TEMPORARY):
                reports += self._told_by(event, targets)
        self._notify.changed(reports, turn)

    # -- one event -----------------------------------------------------------------------

    def _told_by(self, event: Event, targets: dict[int, Event]) -> list[Report]:
        """What an event says to those who watch; the directories listened to follow it."""
        mask = event.mask
        reports: list[Report] = []
        if mask & IN_MOVED_TO and event.cookie in self._paired:
            self._paired.discard(event.cookie)
            return reports
        for path in self._places(event):
            if mask & IN_MOVED_FROM and event.cookie in targets:
                reports += self._renamed(path, event, targets[event.cookie])
            elif mask & (IN_CREATE | IN_MOVED_TO):
                reports += self._appeared(path, mask)
            elif mask & (IN_DELETE | IN_MOVED_FROM):
                reports += self._vanished(path, mask)
            elif not self._notify.is_echo(path, Kind.TOUCHED):
                filter = _MEANINGS[IN_MODIFY if mask & IN_MODIFY else IN_ATTRIB]
                reports.append(Report(path, ACTION_MODIFIED, filter))
        return reports

    def _places(self, event: Event) -> list[str]:
        with self._lock:
            return [f"{path}/{event.name}" for path in self._directories.get(event.wd, ())]

    def _appeared(self, path: str, mask: int) -> list[Report]:
        is_directory = bool(mask & IN_ISDIR)
        reports = []
        if not self._notify.is_echo(path, Kind.APPEARED):
            reports.append(Report(path, ACTION_ADDED, name_filter(is_directory)))
        tree = self._notify.wanted(path)[1] if is_directory else None
        if tree is not None:
            # What is in a directory that was made just now is new; in one that was moved it is not
            self._enter(tree, path, reports if mask & IN_CREATE else None)
        return reports

    def _vanished(self, path: str, mask: int) -> list[Report]:
        is_directory = bool(mask & IN_ISDIR)
        if is_directory and mask & IN_DELETE:
            self._notify.directory_gone(path)
        elif is_directory:
            self._prune(path, top=path)
        if self._notify.is_echo(path, Kind.VANISHED):
            return []
        return [Report(path, ACTION_REMOVED, name_filter(is_directory))]

    def _renamed(self, before: str, event: Event, target: Event) -> list[Report]:
        self._paired.add(event.cookie)
        places = self._places(target)
        is_directory = bool(event.mask & IN_ISDIR)
        here = f"{parent_of(before)}/{target.name}"
        after = here if here in places or not places else places[0]
        left = self._notify.is_echo(before, Kind.VANISHED)
        came = self._notify.is_echo(after, Kind.APPEARED)
        if is_directory:
            self._follow(before, after)
            if not (left or came):
                self._notify.directory_moved(before, after)
        if not (left or came):
            return renaming(before, after, is_directory)
        filter = name_filter(is_directory)
        reports = [] if left else [Report(before, ACTION_REMOVED, filter)]
        return reports if came else [*reports, Report(after, ACTION_ADDED, filter)]

    def _follow(self, before: str, after: str) -> None:
        """A directory that is listened to, or holds such, has another name."""
        with self._lock:
            itself = [before] if before in self._paths else []
            for path in itself + self._paths.beneath(before):
                wd = self._paths.pop(path)
                moved = after + path[len(before) :]
                self._paths[moved] = wd
                there = self._directories[wd]
                there[there.index(path)] = moved
        tree = self._notify.wanted(after)[1]
        if tree is not None:
            self._jobs.append(tree)  # where it was nobody may have watched
        self._jobs.append(after)

    def _ended(self, wd: int) -> None:
        """The kernel has dropped a watch, for its directory is gone."""
        with self._lock:
            for path in self._directories.pop(wd, ()):
                if self._paths.get(path) == wd:
                    del self._paths[path]

    # -- trees ---------------------------------------------------------------------------

    def _enter(self, watch: Watch, path: str, news: list[Report] | None) -> None:
        """Listen to a directory of a watched tree and all beneath it, the nearest first.

        With *news* everything found is new, and is told unless it is of our own doing.
        """
        root = watch.root
        left = deque([path])
        while left and not self._closing.is_set():
            at = left.popleft()
            try:
                with opened(root, at[len(root.location) + 1 :]) as item:
                    known = at in self._paths
                    if not self._listen_to(at, item):
                        if news is not None:
                            self._notify.missed(at)
                        continue
                    directories, others = contents(item)
            except OSError as failed:
                log.debug("cannot listen to %s: %s", at, failed)
                continue
            if news is not None and not known:
                self._found(at, directories, others, news)
            left.extend(f"{at}/{name}" for name in directories)

    def _found(
        self, at: str, directories: list[str], others: list[str], news: list[Report]
    ) -> None:
        for names, filter in (directories, CHANGE_DIR_NAME), (others, CHANGE_FILE_NAME):
            for path in (f"{at}/{name}" for name in names if not name.startswith(TEMPORARY)):
                if not self._notify.is_echo(path, Kind.APPEARED):
                    news.append(Report(path, ACTION_ADDED, filter))
                self._notify.expect(path)  # made since we listen: the event comes too
