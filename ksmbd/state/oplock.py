"""Oplocks and leases as a state machine: who may cache what, and who is asked to stop.

Pure: no I/O, no locks, no clock.  [MS-SMB2] 3.3.4.6, 3.3.4.7, 3.3.5.22; [MS-FSA] 2.1.4.12 and
2.1.5.18.  What a client may cache is a *level*, a set of three rights:

    READ      answer reads without asking          oplock II          = READ
    WRITE     keep written data and locks back     oplock EXCLUSIVE   = READ|WRITE
    HANDLE    keep the file open after its close   oplock BATCH       = READ|WRITE|HANDLE

A holder is an oplock of one open or a lease of several.  What another open is about to do is a
*cause*; ``BREAKS`` says what is left of each level then.  A holder of more than READ is asked and
answers; one of READ alone is told.  A second cause during a break lowers what must be reached in
the end; the holder is asked for the rest, in ``STEPS``, when it has answered the first question::

    held --cause--> asked --answer, close, 35 s--> held (less)
                      | ^
                cause v | answer, and more is required
                    asked for less

docs/oplocks.md draws it from these tables.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from ksmbd.wire.access import (
    FILE_READ_ATTRIBUTES,
    FILE_WRITE_ATTRIBUTES,
    READ_CONTROL,
    SYNCHRONIZE,
)
from ksmbd.wire.create_context import LEASE_HANDLE, LEASE_NONE, LEASE_READ, LEASE_WRITE

TIMEOUT_S: Final = 35.0  # a holder that has not answered by then holds nothing any more

NONE: Final = LEASE_NONE
R: Final = LEASE_READ
RH: Final = LEASE_READ | LEASE_HANDLE
RW: Final = LEASE_READ | LEASE_WRITE
RWH: Final = LEASE_READ | LEASE_WRITE | LEASE_HANDLE
II: Final = R
EXCLUSIVE: Final = RW
BATCH: Final = RWH


class Kind(IntEnum):
    """Of a holder."""

    OPLOCK = 1
    LEASE = 2


class Cause(IntEnum):
    """What another open does to a file, or to a directory that is listed from a cache."""

    OPEN = 1  # open it for more than its attributes
    CHANGE = 2  # overwrite, write, lock, set the size; of a directory: what it lists
    HANDLE = 3  # rename, link, delete; or open it where a share mode is in the way


LEVELS: Final[dict[Kind, tuple[int, ...]]] = {
    Kind.OPLOCK: (NONE, II, EXCLUSIVE, BATCH),
    Kind.LEASE: (NONE, R, RH, RW, RWH),
}

# kind -> cause -> level -> what is left of it
BREAKS: Final[dict[Kind, dict[Cause, dict[int, int]]]] = {
    Kind.OPLOCK: {
        Cause.OPEN: {NONE: NONE, II: II, EXCLUSIVE: II, BATCH: II},
        Cause.CHANGE: {NONE: NONE, II: NONE, EXCLUSIVE: NONE, BATCH: NONE},
        Cause.HANDLE: {NONE: NONE, II: II, EXCLUSIVE: EXCLUSIVE, BATCH: II},
    },
    Kind.LEASE: {
        Cause.OPEN: {NONE: NONE, R: R, RH: RH, RW: R, RWH: RH},
        Cause.CHANGE: {NONE: NONE, R: NONE, RH: NONE, RW: NONE, RWH: NONE},
        Cause.HANDLE: {NONE: NONE, R: R, RH: R, RW: RW, RWH: RW},
    },
}

# cause -> the right that must be gone before the other open goes on
WAITS_FOR: Final[dict[Cause, int]] = {
    Cause.OPEN: LEASE_WRITE,
    Cause.CHANGE: LEASE_WRITE,
    Cause.HANDLE: LEASE_HANDLE,
}

# kind -> (what the holder has kept, what it must reach) -> what it is asked for next.
# Windows takes RH to NONE by way of R: smbtorture's smb2.lease.breaking3.
STEPS: Final[dict[Kind, dict[tuple[int, int], int]]] = {
    Kind.OPLOCK: {(II, NONE): NONE},
    Kind.LEASE: {(R, NONE): NONE, (RH, R): R, (RH, NONE): R, (RW, R): R, (RW, NONE): NONE},
}

# Opens for these alone break nothing: [MS-FSA] 2.1.4.12, the first of Case OPEN.
STAT_ACCESS: Final[dict[Kind, int]] = {
    Kind.OPLOCK: FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE,
    Kind.LEASE: FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE | READ_CONTROL,
}


class State(NamedTuple):
    """Of one holder; ``required`` <= ``to`` < ``level`` during a break, else all the same."""

    level: int  # what it may cache, until it has answered
    to: int  # what it was asked to go down to
    required: int  # where it must be in the end

    @property
    def breaking(self) -> bool:
        return self.to != self.level


class Notice(NamedTuple):
    """What the holder is told."""

    level: int  # what it has had
    to: int
    ack: bool  # it must answer


class Outcome(NamedTuple):
    """Of an event: the new state, what the holder is told, and whether who caused it waits."""

    state: State
    notice: Notice | None = None
    waits: bool = False


def held(level: int) -> State:
    return State(level, level, level)


def demand(kind: Kind, state: State, cause: Cause) -> Outcome:
    """Another open is about to do what *cause* says."""
    required = BREAKS[kind][cause][state.required]
    waits = bool(state.level & WAITS_FOR[cause])
    if state.breaking:
        return Outcome(state._replace(required=required), None, waits)
    if required == state.level:
        return Outcome(state)
    return _ask(state.level, required, required, waits)


def accepts(kind: Kind, state: State, level: int) -> bool:
    """Whether a holder in a break may answer that it keeps *level*."""
    return level in LEVELS[kind] and not level & ~state.to


def acknowledge(kind: Kind, state: State, level: int) -> Outcome:
    """The holder keeps *level*, which :func:`accepts` has allowed; the break goes on or is over."""
    if not level & ~state.required:
        return Outcome(held(level))
    return _ask(level, STEPS[kind][level, state.required], state.required, False)


def _ask(level: int, to: int, required: int, waits: bool) -> Outcome:
    """READ alone is taken away without an answer; everything else is asked for."""
    notice = Notice(level, to, level != R)
    if not notice.ack:
        return Outcome(held(to), notice, waits)
    return Outcome(State(level, to, required), notice, waits)


# -- granting ----------------------------------------------------------------------------


class Others(NamedTuple):
    """What a new holder must live with: all opens of the file that are not its own."""

    levels: int = NONE  # all rights that others have together
    opens: bool = False  # one of them caches, or has opened more than the attributes
    oplock: bool = False  # one of them has an oplock
    handle_lease: bool = False  # one of them has a lease with HANDLE
    locked: bool = False  # a byte-range lock covers something that is in the file


def grant(kind: Kind, wanted: int, others: Others, *, directory: bool = False) -> int:
    """The level that a new holder gets, [MS-FSA] 2.1.5.18.1 and .2.

    An oplock that cannot be had becomes II if that can; a lease loses the rights that cannot.
    Directories have leases only, and nothing is written into them.
    """
    if others.levels & LEASE_WRITE or others.locked:
        return NONE
    if kind is Kind.OPLOCK:
        if directory or others.handle_lease or wanted not in LEVELS[kind]:
            return NONE
        return wanted & II if others.opens else wanted
    level = wanted & RWH
    if directory or others.opens:
        level &= ~LEASE_WRITE
    if others.oplock:
        level &= ~LEASE_HANDLE
    # WRITE or HANDLE without READ is nothing, whatever else was taken away: smb2.lease.request
    return level if level in LEVELS[kind] and wanted in LEVELS[kind] else NONE


def upgrade(level: int, wanted: int, others: Others, *, directory: bool = False) -> int:
    """The level of a lease after one more open with its key.

    It changes only to all of *wanted*, and only if that is more than it has: smb2.lease.upgrade3.
    """
    if directory:
        wanted &= ~LEASE_WRITE
    more = level & wanted == level and wanted != level
    if more and grant(Kind.LEASE, wanted, others, directory=directory) == wanted:
        return wanted
    return level


def breaks_nothing(kind: Kind, access: int) -> bool:
    """Whether an open that was granted *access* leaves holders of *kind* alone."""
    return not access & ~STAT_ACCESS[kind]
