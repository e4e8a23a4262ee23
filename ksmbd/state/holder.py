"""Holders: an oplock of one open, or (in ``lease``) a lease of several.

``state.oplock`` says what becomes of a holder; here is what it needs besides: its opens, its
break under way, and the messages that must not overtake the reply which grants it.
Everything is guarded by the lock of the inode it belongs to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.state.oplock import NONE, Kind, Notice, State, held
from ksmbd.state.questions import withdraw
from ksmbd.state.wait import Event
from ksmbd.wire.base import Wire
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_EXCLUSIVE, OPLOCK_II, OPLOCK_NONE
from ksmbd.wire.create_context import LEASE_HANDLE, LEASE_READ, LEASE_WRITE
from ksmbd.wire.oplock_break import OplockBreakNotification

if TYPE_CHECKING:
    from ksmbd.state.connection import Connection
    from ksmbd.state.inode import Inode
    from ksmbd.state.open import Open
    from ksmbd.state.transport import Cancellable

# RequestedOplockLevel and OplockLevel as the rights they stand for, and back
LEVEL_OF: Final = {
    OPLOCK_NONE: NONE,
    OPLOCK_II: LEASE_READ,
    OPLOCK_EXCLUSIVE: LEASE_READ | LEASE_WRITE,
    OPLOCK_BATCH: LEASE_READ | LEASE_WRITE | LEASE_HANDLE,
}
OPLOCK_OF: Final = {level: oplock for oplock, level in LEVEL_OF.items()}


class Grant(NamedTuple):
    """What the CREATE response says."""

    oplock_level: int = OPLOCK_NONE
    lease: bytes = b""  # data of the RqLs context


class Break:
    """A break that must be answered: who waits for its end, and how long it may take."""

    __slots__ = ("over", "timer", "way")

    def __init__(self) -> None:
        self.over = Event()
        self.way: Connection | None = None  # the question asked last went there
        self.timer: Cancellable | None = None  # of the question asked last

    def set_timer(self, timer: Cancellable) -> None:
        """Begin to wait for the next answer; not if the break has ended meanwhile."""
        self.stop_timer()
        self.timer = timer
        if self.over.fired:
            timer.cancel()

    def stop_timer(self) -> None:
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()

    def end(self) -> None:
        """Let those who waited go on.  Not under a lock: they may run at once."""
        self.over.fire()
        self.stop_timer()
        withdraw(self)


class Holder:
    """Whoever caches a file."""

    __slots__ = ("inode", "kept", "opens", "pending", "persistent", "state", "unannounced")

    kind = Kind.OPLOCK

    def __init__(self, inode: Inode, level: int) -> None:
        self.inode = inode
        self.state: State = held(level)
        self.opens: list[Open] = []
        self.pending: Break | None = None
        self.persistent = False  # one of the opens is, or was: state/persistent.py is told
        # Grants whose CREATE response is not out yet, and what must be told after it: a client
        # knows nothing of a break that overtakes the response.
        self.unannounced = 0
        self.kept: list[Wire] = []

    def __str__(self) -> str:
        return f"oplock {self.level} of inode {self.inode.key[1]}"

    @property
    def level(self) -> int:
        return self.state.level

    def message(self, notice: Notice) -> Wire:
        """The notification, [MS-SMB2] 2.2.23.1."""
        open = self.opens[0]
        return OplockBreakNotification(
            oplock_level=OPLOCK_OF[notice.to],
            persistent_id=open.persistent_id,
            volatile_id=open.volatile_id,
        )


class Message(NamedTuple):
    """A notification and whom it may be sent to."""

    holder: Holder
    body: Wire
    opens: tuple[Open, ...]


class After:
    """What was found out under ``inode.lock`` and is done when it is free."""

    __slots__ = ("asked", "changed", "lost", "lowered", "messages", "over")

    def __init__(self) -> None:
        self.lowered: list[Holder] = []  # hold less now, without having been asked or after it
        self.messages: list[Message] = []
        self.asked: list[tuple[Holder, Break]] = []  # a question went out: its time runs
        self.over: list[Break] = []
        self.changed: list[Holder] = []  # of persistent opens: to be written down
        self.lost: list[Open] = []  # of clients that are away: to be closed
