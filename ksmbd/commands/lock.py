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
from ksmbd.vfs.locks import Part
from ksmbd.wire.access import FILE_APPEND_DATA, FILE_READ_DATA, FILE_WRITE_DATA
from ksmbd.wire.header import HEADER_SIZE
from ksmbd.wire.lock import (
    EXCLUSIVE_LOCK,
    FAIL_IMMEDIATELY,
    SHARED_LOCK,
    UNLOCK,
    Element,
    LockRequest,
    LockResponse,
    unpack_elements,
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
_FLAGS: Final = 2  # in an Element
_DONE: Final = LockResponse()


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
    locking = not elements[0][_FLAGS] & UNLOCK
    if locking and waiter is None and open.session.state == SessionState.EXPIRED:
        raise NtStatusError(NtStatus.NETWORK_SESSION_EXPIRED, "a lock on an expired session")
    inode = open.inode
    if inode is None or open.is_directory:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no file")
    open.require(FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA)
    counts = lock_sequence.counts(work.connection, open, req)
    if counts and lock_sequence.replayed(open, req):
        return Reply(_DONE)
    try:
        if locking:
            with work.server.caching.change(open):
                _lock(work, open, inode, elements, waiter)
        else:
            _unlock(open, inode, elements)
        if counts:
            lock_sequence.succeeded(open, req)
    finally:
        if open.durable is not None and open.durable.persistent:
            work.server.persistence.keep(open)
    return Reply(_DONE)


def _elements(work: Work, req: LockRequest) -> list[Element]:
    """The Locks array, every element checked, [MS-SMB2] 3.3.5.14.1 and .2."""
    count = req.lock_count
    if count == 0:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "no lock")
    elements = unpack_elements(work.message, HEADER_SIZE + LockRequest.SIZE, count)
    unlocking = elements[0][_FLAGS] & UNLOCK
    waits = False
    for offset, length, flags in elements:
        if not unlocking:
            if flags not in _LOCK_FLAGS:
                raise NtStatusError(NtStatus.INVALID_PARAMETER, f"flags {flags:#x}")
            waits = waits or not flags & FAIL_IMMEDIATELY
        if length and offset + length > _MAX_RANGE:
            raise NtStatusError(NtStatus.INVALID_LOCK_RANGE, f"{offset}+{length}")
    if waits and count > 1:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "several locks that may wait")
    return elements


def _unlock(open: Open, inode: Inode, elements: list[Element]) -> None:
    """In order; what was unlocked before an element that fails, or is none, stays unlocked."""
    done: list[Range] = []
    waiters: list[Event] = []
    refused: NtStatusError | None = None
    with local_locks.turn(open, inode):
        with inode.lock:
            try:
                for element in elements:
                    done.append(_unlock_one(open, inode, element))
            except NtStatusError as error:
                refused = error
            if done and inode.lock_waiters:
                waiters, inode.lock_waiters = inode.lock_waiters, []
            parts = local_locks.parts(open, inode, done)
        local_locks.place(open, parts)
    for event in waiters:
        event.fire()
    if refused is not None:
        try:
            raise refused
        finally:
            refused = None  # it keeps this frame by its traceback, which must not keep it


def _unlock_one(open: Open, inode: Inode, element: Element) -> Range:
    """Under ``inode.lock``."""
    offset, length, flags = element
    if flags != UNLOCK:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"flags {flags:#x}")
    if not inode.locks.unlock(open, offset, length):
        raise NtStatusError(NtStatus.RANGE_NOT_LOCKED, f"{offset}+{length}")
    return offset, length, False


def _lock(
    work: Work, open: Open, inode: Inode, elements: list[Element], before: _Waiter | None
) -> None:
    """All or none; the only one that may wait is queued in the same step."""
    ranges = [(offset, length, flags & EXCLUSIVE_LOCK != 0) for offset, length, flags in elements]
    patient = not elements[0][_FLAGS] & FAIL_IMMEDIATELY  # several never are
    waiter: _Waiter | None = None
    pause_s = before.pause_s if before is not None else None
    parts: list[Part] = []
    with local_locks.turn(open, inode):
        # who has waited for a local lock asks first, so that clients do not see each try
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
            elif taken:
                parts = local_locks.parts(open, inode, ranges)
        if taken and (local or not local_locks.place(open, parts)):
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
    Under ``inode.lock``.
    """
    if len(ranges) == 1:
        return inode.locks.lock(open, *ranges[0])
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
        parts = local_locks.parts(open, inode, ranges)
    local_locks.place(open, parts)
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
