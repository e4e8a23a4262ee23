"""SMB2 CHANGE_NOTIFY, [MS-SMB2] 3.3.5.19.

A request waits, without a thread, until it is cancelled or its directory's open goes away.
Events are not delivered yet; clients refresh when they are asked to.
"""

from __future__ import annotations

from ksmbd.state.open import Open
from ksmbd.state.wait import Event, Wait
from ksmbd.state.work import Reply, Work
from ksmbd.wire.access import FILE_LIST_DIRECTORY
from ksmbd.wire.change_notify import CHANGE_VALID, ChangeNotifyRequest, ChangeNotifyResponse
from ksmbd.wire.status import NtStatus, NtStatusError


class _Watch:
    """A waiting request."""

    def __init__(self) -> None:
        self.event = Event()
        self.ended = False

    def open_closed(self, _status: NtStatus) -> None:
        self.ended = True
        self.event.fire()


def change_notify(work: Work, req: ChangeNotifyRequest) -> Reply:
    """Wait for changes in a directory.

    INVALID_PARAMETER   no directory, an impossible filter, more than MaxTransactSize
    FILE_CLOSED         the FileId names no open of this session
    ACCESS_DENIED       the open may not list
    NOTIFY_CLEANUP      the open was closed, its tree or session ended
    """
    watch: _Watch | None = work.memo
    if watch is not None and watch.ended:
        return Reply(ChangeNotifyResponse(output_buffer_length=0), b"", NtStatus.NOTIFY_CLEANUP)
    if req.output_buffer_length > work.connection.max_transact_size:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "longer than MaxTransactSize")
    open = work.open(req.persistent_id, req.volatile_id)
    if not open.is_directory or not req.completion_filter & CHANGE_VALID:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"filter {req.completion_filter:#x}")
    open.require(FILE_LIST_DIRECTORY)
    raise _waiting(work, open)


def _waiting(work: Work, open: Open) -> Wait:
    watch = work.memo = _Watch()
    with open.lock:
        if open.closed:
            raise NtStatusError(NtStatus.FILE_CLOSED, f"id {open.volatile_id:#x}")
        open.waiters.append(watch.open_closed)

    def forget() -> None:
        with open.lock:
            if watch.open_closed in open.waiters:
                open.waiters.remove(watch.open_closed)

    return Wait(watch.event, on_cancel=forget)
