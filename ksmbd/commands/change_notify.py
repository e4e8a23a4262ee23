"""SMB2 CHANGE_NOTIFY, [MS-SMB2] 3.3.5.19 and [MS-FSA] 2.1.5.11.

A request waits without a thread until something changes, its open goes away, or the client
cancels it.  What changes between two requests is kept with the open and answers the next one.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ksmbd.state.open import Open
from ksmbd.state.sight import sight
from ksmbd.state.wait import Wait
from ksmbd.state.watch import Outcome, Waiter, Watch
from ksmbd.state.work import Reply, Work
from ksmbd.vfs.notify import location
from ksmbd.wire.access import FILE_LIST_DIRECTORY
from ksmbd.wire.change_notify import (
    WATCH_TREE,
    ChangeNotifyRequest,
    ChangeNotifyResponse,
    pack_changes,
)
from ksmbd.wire.status import NtStatus, NtStatusError


class _Waiting(NamedTuple):
    """What a request that waits comes back with."""

    open: Open
    watch: Watch
    waiter: Waiter


def change_notify(work: Work, req: ChangeNotifyRequest) -> Reply:
    """Wait for changes in a directory, or hand out what has changed since the last request.

    The open's first request fixes filter, depth and buffer; later ones bring their buffer only.
    A filter of no known bits waits for nothing, as with Windows (smb2.notify.mask).

    NOT_IMPLEMENTED     the share has `change notify = no`
    INVALID_PARAMETER   no directory, or more than MaxTransactSize
    FILE_CLOSED         the FileId names no open of this session
    ACCESS_DENIED       the open may not list
    NOTIFY_ENUM_DIR     more has changed than fits: the client must list the directory
    NOTIFY_CLEANUP      the open was closed, its tree or session ended
    DELETE_PENDING      the directory is deleted, or going to be
    """
    waiting: _Waiting | None = work.memo
    if waiting is not None and waiting.waiter.outcome is not None:
        reply = _answer(work, req, waiting.watch, waiting.waiter.outcome)
        return _ask(work, req, waiting.open, waiting.watch) if reply is None else reply
    if req.output_buffer_length > work.connection.max_transact_size:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "longer than MaxTransactSize")
    open = work.open(req.persistent_id, req.volatile_id)
    if not work.the_tree().share.change_notify:
        raise NtStatusError(NtStatus.NOT_IMPLEMENTED, "no notifications on this share")
    if not open.is_directory:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "no directory")
    open.require(FILE_LIST_DIRECTORY)
    _check_alive(open)
    return _ask(work, req, open, _watch(work, open, req))


def _ask(work: Work, req: ChangeNotifyRequest, open: Open, watch: Watch) -> Reply:
    """What has changed; raises Wait if nothing has that the user may see."""
    notify = work.server.notify
    while isinstance(waiter := notify.request(watch), Outcome):
        reply = _answer(work, req, watch, waiter)
        if reply is not None:
            return reply
    try:
        _check_alive(open)  # whoever deletes it from here on sees that we wait
    except NtStatusError:
        notify.give_up(watch, waiter)
        raise
    work.memo = _Waiting(open, watch, waiter)
    if not work.is_last:  # what follows would wait as long as the folder stays as it is
        notify.give_up(watch, waiter)
        raise NtStatusError(NtStatus.INTERNAL_ERROR, "in the middle of a compound")
    raise Wait(waiter.event, on_cancel=lambda: notify.give_up(watch, waiter))


def _answer(work: Work, req: ChangeNotifyRequest, watch: Watch, outcome: Outcome) -> Reply | None:
    """Tell the client, of a share with `hide unreadable` what the user may see of it.

    None if that is nothing.
    """
    eyes = sight(work.the_tree()) if outcome.changes else None
    if eyes is None:
        return _reply(req, outcome)
    seen = eyes.tells(watch.root, watch.place, outcome.changes)
    if seen is None:
        return _reply(req, Outcome(NtStatus.NOTIFY_ENUM_DIR, []))
    return _reply(req, Outcome(outcome.status, seen)) if seen else None


def _check_alive(open: Open) -> None:
    inode = open.inode
    gone = inode is not None and inode.delete_pending
    if not gone:
        with open.lock:  # its watch tells if it is closed
            gone = not open.closed and not os.fstat(open.file.fd).st_nlink
    if gone:
        raise NtStatusError(NtStatus.DELETE_PENDING, open.path)


def _watch(work: Work, open: Open, req: ChangeNotifyRequest) -> Watch:
    """The open's watch, begun now if this is its first request."""
    notify = work.server.notify
    handle = open.file
    path = location(handle)
    with open.lock:
        if open.closed:
            raise NtStatusError(NtStatus.FILE_CLOSED, f"id {open.volatile_id:#x}")
        watch = open.watch
        begin = watch is None
        if watch is None:
            watch = open.watch = Watch(
                handle.root,
                path,
                filter=req.completion_filter,
                recursive=bool(req.flags & WATCH_TREE),
                limit=req.output_buffer_length,
            )
            ended = watch
            open.waiters.append(lambda _status: notify.remove(ended))
    if begin:
        notify.add(watch, handle)
    elif watch.path != path:
        notify.move(watch, path, handle)
    return watch


def _reply(req: ChangeNotifyRequest, outcome: Outcome) -> Reply:
    status, changes = outcome
    data = pack_changes(changes, req.output_buffer_length)
    if data is None:
        status, data = NtStatus.NOTIFY_ENUM_DIR, b""
    if status == NtStatus.DELETE_PENDING:
        raise NtStatusError(status, "the directory is deleted")
    return Reply(ChangeNotifyResponse(output_buffer_length=len(data)), data, status)
