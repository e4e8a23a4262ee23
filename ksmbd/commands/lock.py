"""SMB2 LOCK, [MS-SMB2] 3.3.5.14: byte-range locks, waiting ones included."""

from __future__ import annotations

from typing import Final

from ksmbd.state import local_locks, lock_sequence
from ksmbd.state.inode import Inode
from ksmbd.state.local_locks import Range
from ksmbd.state.open import Open
from ksmbd.state.session import SessionState
from ksmbd.state.wait import Event, Wait
from ksmbd.state.work import Reply, Work
from ksmbd.wire.access import FILE_APPEND_DATA, FILE_READ_DATA, FILE_WRITE_DATA
from ksmbd.wire.lock import (
    EXCLUSIVE_LOCK,
    FAIL_IMMEDIATELY,
    SHARED_LOCK,
    UNLOCK,
    LockElement,
    LockRequest,
    LockResponse,
)
from ksmbd.wire.status import NtStatus, NtStatusError

_LOCK_FLAGS: Final = frozenset(
    (
        SHARED_LOCK,
        EXCLUSIVE_LOCK,
        SHARED_LOCK | FAIL_IMMEDIATELY,
        EXCLUSIVE_LOCK | FAIL_IMMEDIATELY,
    )
)
_MAX_RANGE: Final = 1 << 64


class _Waiter:
    """A blocked LOCK: its event in the inode's queue, and whether its open was closed.

    A local program's lock has no queue: the next try is after *pause_s*.
    """

    def __init__(self, pause_s: float | None = None) -> None:
        self.event = Event()
        self.closed = False
        self.pause_s = pause_s

    def open_closed(self, _status: NtStatus) -> None:
        self.closed = True
        self.event.fire()


def lock(work: Work, req: LockRequest) -> Reply:
    """Lock or unlock ranges: all of a request's locks or none, and once however often it comes.

    INVALID_PARAMETER    no element, an impossible flag, locks mixed with unlocks, several
                         locks that may wait
    INVALID_LOCK_RANGE   a range that ends beyond 2^64
    FILE_CLOSED          the FileId names no open of this session
    ACCESS_DENIED        the open can neither read nor write
    LOCK_NOT_GRANTED     another lock, a client's or a local program's, is in the way, and the
                         client does not wait
    NETWORK_SESSION_EXPIRED   a lock, where the session may only end things
    RANGE_NOT_LOCKED     an unlock of what is not locked; or the open was closed meanwhile
    """
    waiter: _Waiter | None = work.memo
    if waiter is not None and waiter.closed:
        raise NtStatusError(NtStatus.RANGE_NOT_LOCKED, "closed while waiting")
    open = work.open(req.persistent_id, req.volatile_id)
    if waiter is not None:
        _forget(open, waiter)
    elements = _elements(work, req)
    expired = waiter is None and open.session.state == SessionState.EXPIRED
    if expired and not elements[0].flags & UNLOCK:
        raise NtStatusError(NtStatus.NETWORK_SESSION_EXPIRED, "a lock on an expired session")
    if open.is_directory or open.inode is None:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no file")
    open.require(FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA)
    if lock_sequence.replayed(work.connection, open, req):
        return Reply(LockResponse())
    try:
        if elements[0].flags & UNLOCK:
            _unlock(open, open.inode, elements)
        else:
            with work.server.caching.change(open):
                _lock(work, open, open.inode, elements, waiter)
        lock_sequence.succeeded(work.connection, open, req)
    finally:
        if open.durable is not None and open.durable.persistent:
            work.server.persistence.keep(open)
    return Reply(LockResponse())


def _elements(work: Work, req: LockRequest) -> list[LockElement]:
    """The Locks array, every element checked, [MS-SMB2] 3.3.5.14.1 and .2."""
    if req.lock_count == 0:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "no lock")
    size = LockElement.SIZE
    start = 64 + LockRequest.SIZE
    array = work.buffer(start, req.lock_count * size, after=LockRequest.SIZE)
    elements = [LockElement.unpack(array, i * size) for i in range(req.lock_count)]
    unlocking = bool(elements[0].flags & UNLOCK)
    for element in elements:
        if not unlocking and element.flags not in _LOCK_FLAGS:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"flags {element.flags:#x}")
        if element.length and element.offset + element.length > _MAX_RANGE:
            raise NtStatusError(NtStatus.INVALID_LOCK_RANGE, f"{element.offset}+{element.length}")
    waits = any(not element.flags & FAIL_IMMEDIATELY for element in elements)
    if len(elements) > 1 and not unlocking and waits:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "several locks that may wait")
    return elements


def _unlock(open: Open, inode: Inode, elements: list[LockElement]) -> None:
    """In order; what was unlocked before an element that fails, or is none, stays unlocked."""
    done: list[Range] = []
    waiters: list[Event] = []
    try:
        with local_locks.turn(open, inode):
            try:
                with inode.lock:
                    for element in elements:
                        _unlock_one(open, inode, element)
                        done.append((element.offset, element.length, False))
            finally:
                local_locks.place(open, inode, done)
                if done:
                    with inode.lock:
                        waiters, inode.lock_waiters = inode.lock_waiters, []
    finally:
        for event in waiters:
            event.fire()


def _unlock_one(open: Open, inode: Inode, element: LockElement) -> None:
    if element.flags != UNLOCK:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"flags {element.flags:#x}")
    if not inode.locks.unlock(open, element.offset, element.length):
        raise NtStatusError(NtStatus.RANGE_NOT_LOCKED, f"{element.offset}+{element.length}")


def _lock(
    work: Work, open: Open, inode: Inode, elements: list[LockElement], before: _Waiter | None
) -> None:
    """All or none; the only one that may wait is queued in the same step."""
    ranges = [(e.offset, e.length, bool(e.flags & EXCLUSIVE_LOCK)) for e in elements]
    patient = not elements[0].flags & FAIL_IMMEDIATELY  # several never are
    waiter: _Waiter | None = None
    with local_locks.turn(open, inode):
        # who has waited for a local lock asks first, so that clients do not see each try
        pause_s = before.pause_s if before is not None else None
        local = pause_s is not None and local_locks.in_the_way(open, ranges)
        with inode.lock:
            if open.closed:  # its locks have been, or are going to be, released: take no more
                raise NtStatusError(NtStatus.RANGE_NOT_LOCKED, "closed meanwhile")
            taken = _take_all(open, inode, ranges)
            if not taken and patient:
                waiter = _Waiter()
                inode.lock_waiters.append(waiter.event)
            elif taken and local:
                _give_back(open, inode, ranges)
        if taken and (local or not local_locks.place(open, inode, ranges)):
            if not local:
                _give_back_both(open, inode, ranges)
            taken = False
            waiter = _Waiter(local_locks.next_pause(pause_s or 0)) if patient else None
    if taken:
        return
    if waiter is None:
        raise NtStatusError(NtStatus.LOCK_NOT_GRANTED, "in the way")
    _wait(work, open, inode, waiter)


def _take_all(open: Open, inode: Inode, ranges: list[Range]) -> bool:
    """Take all; or none, and False, if another lock is in the way of one.

    OSError ENOLCK if the inode has as many locks as it may; none is taken then either.
    """
    taken: list[Range] = []
    complete = False
    try:
        for each in ranges:
            if not inode.locks.lock(open, *each):
                return False
            taken.append(each)
        complete = True
        return True
    finally:
        if not complete:
            _give_back(open, inode, taken)


def _give_back(open: Open, inode: Inode, ranges: list[Range]) -> None:
    """Under ``inode.lock``."""
    for offset, length, exclusive in ranges:
        inode.locks.unlock(open, offset, length, exclusive=exclusive)


def _give_back_both(open: Open, inode: Inode, ranges: list[Range]) -> None:
    """In the table and on the descriptor; somebody may have begun to wait for them meanwhile."""
    with inode.lock:
        _give_back(open, inode, ranges)
        waiters, inode.lock_waiters = inode.lock_waiters, []
    local_locks.place(open, inode, ranges)
    for event in waiters:
        event.fire()


def _forget(open: Open, waiter: _Waiter) -> None:
    with open.lock:
        if waiter.open_closed in open.waiters:
            open.waiters.remove(waiter.open_closed)


def _wait(work: Work, open: Open, inode: Inode, waiter: _Waiter) -> None:
    """Park until any lock of the file is released, or for a while, then try again."""
    work.memo = waiter
    with open.lock:
        closed = open.closed
        if not closed:
            open.waiters.append(waiter.open_closed)
    if closed:
        raise NtStatusError(NtStatus.RANGE_NOT_LOCKED, "closed meanwhile")

    def leave_queues() -> None:
        with inode.lock:
            if waiter.event in inode.lock_waiters:
                inode.lock_waiters.remove(waiter.event)
        _forget(open, waiter)

    raise Wait(waiter.event, timeout_s=waiter.pause_s, on_cancel=leave_queues)
