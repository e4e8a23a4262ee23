"""What one open directory has been told to watch: its filter, its buffer, who waits for it.

[MS-FSA] 2.1.5.11: the first CHANGE_NOTIFY of an open fixes filter, depth and buffer; from then
on changes are kept for it until a request takes them, oldest request first, all at once.

    empty --change--> some --too many for the buffer--> lost --request--> empty
      ^                 |
      '---- request ----'

Everything here is by the lock of ``Notify``, which is the only caller besides the tests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.state.wait import Event
from ksmbd.wire.change_notify import ACTION_MODIFIED, Change, FileNotifyInformation
from ksmbd.wire.status import NtStatus

if TYPE_CHECKING:
    from ksmbd.vfs.root import ShareRoot

MAX_CHANGES: Final = 4096  # kept for one open; a client that missed more lists faster


class Outcome(NamedTuple):
    """What a request is answered with: SUCCESS with changes, or another status without."""

    status: NtStatus
    changes: list[Change]


class Waiter:
    """A request without an answer; ``event`` fires when ``outcome`` is there."""

    __slots__ = ("event", "outcome")

    def __init__(self) -> None:
        self.event = Event()
        self.outcome: Outcome | None = None

    def end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.event.fire()


class Watch:
    """One open directory.  ``path`` is absolute, without a slash at its end."""

    __slots__ = (
        "_changes",
        "_last",
        "_size",
        "_waiters",
        "closed",
        "filter",
        "limit",
        "lost",
        "path",
        "recursive",
        "root",
        "since",
        "vetoed",
    )

    def __init__(
        self, root: ShareRoot, path: str, *, filter: int, recursive: bool, limit: int
    ) -> None:
        self.root = root
        self.path = path
        self.filter = filter  # CompletionFilter
        self.recursive = recursive
        self.limit = limit  # bytes, of the changes as they are sent
        self.vetoed: Callable[[str], bool] | None = root.vetoed
        self.since = -1  # local changes that were read in this turn or before are not its
        self.closed = False
        self.lost = False  # changes that did not fit: the client must list
        self._changes: list[Change] = []
        self._last: dict[str, int] = {}  # name -> the last action kept
        self._size = 0  # bytes
        self._waiters: deque[Waiter] = deque()

    @property
    def place(self) -> str:
        """The directory, relative to the share."""
        return self.path[len(self.root.location) + 1 :]

    def add(self, action: int, name: str) -> None:
        """Keep a change of *name*, relative with '/' between.

        A second MODIFIED of a name tells nothing that the first does not.
        """
        if self.lost or (action == ACTION_MODIFIED and self._last.get(name) == action):
            return
        if self.vetoed is not None and any(map(self.vetoed, name.split("/"))):
            return
        self._keep([Change(action, name.replace("/", "\\"))])
        self._last[name] = action

    def lose(self) -> None:
        """Changes were missed: whatever is kept is worth nothing now."""
        self._empty()
        self.lost = True

    def serve(self) -> None:
        """Give what is kept to the oldest request."""
        while self._waiters and (self._changes or self.lost):
            self._waiters.popleft().end(self._take())

    def request(self) -> Outcome | Waiter:
        """The answer to a request, or the place where it waits for one."""
        if self.closed:
            return Outcome(NtStatus.NOTIFY_CLEANUP, [])
        if self._changes or self.lost:
            return self._take()
        waiter = Waiter()
        self._waiters.append(waiter)
        return waiter

    def give_up(self, waiter: Waiter) -> None:
        """A request was cancelled; what it was to be answered with goes to the next one."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            return
        outcome = waiter.outcome
        if self.closed or outcome is None:
            return
        if outcome.status == NtStatus.NOTIFY_ENUM_DIR:
            self.lose()
        elif outcome.changes and not self.lost:
            later = self._changes
            self._empty()
            self._keep([*outcome.changes, *later])
        self.serve()

    def end(self, status: NtStatus) -> None:
        """Answer all who wait with *status*."""
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            waiter.end(Outcome(status, []))

    def _keep(self, changes: list[Change]) -> None:
        for change in changes:
            size = FileNotifyInformation.SIZE + 2 * len(change.name)
            self._size += -self._size % 4 + size
            if self._size > self.limit or len(self._changes) >= MAX_CHANGES:
                self.lose()
                return
            self._changes.append(change)

    def _take(self) -> Outcome:
        changes, lost = self._changes, self.lost
        self._empty()
        self.lost = False
        if lost:
            return Outcome(NtStatus.NOTIFY_ENUM_DIR, [])
        return Outcome(NtStatus.SUCCESS, changes)

    def _empty(self) -> None:
        self._changes = []
        self._last = {}
        self._size = 0
