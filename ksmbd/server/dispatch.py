"""Runs one Work: the compound loop, waiting, and the only place where an exception becomes an
NTSTATUS.

    receive   by the reader, for each frame: what is it
    is_direct by the reader, too: who runs it
    run       by the reader or a kworker: each command of the compound, then the reply
    resume    by a kworker: the command that waited, then the rest
"""

from __future__ import annotations

import logging
import os
import struct
from typing import Final

from ksmbd.commands import smb1_negotiate
from ksmbd.commands.table import COMMANDS, FILE_IDS, NOTHING, Spec
from ksmbd.server import checks, unsealing
from ksmbd.state.connection import Connection
from ksmbd.state.outbound import interim_signer, refusal, respond
from ksmbd.state.session import Session
from ksmbd.state.wait import Elsewhere, Wait, Wake
from ksmbd.state.work import Answer, Parking, Reply, Work
from ksmbd.vfs import credentials
from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.error import pack_contexts
from ksmbd.wire.header import (
    COMPRESSION_PROTOCOL_ID,
    HEADER_SIZE,
    SIGNED,
    SMB1_PROTOCOL_ID,
    SMB2_PROTOCOL_ID,
    TRANSFORM_PROTOCOL_ID,
    Command,
    Header,
)
from ksmbd.wire.negotiate import SMB_3_1_1
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError, from_oserror

log = logging.getLogger("ksmbd.smb")

_SMALLEST: Final = HEADER_SIZE + 2  # a header and a StructureSize
_DIRECT_PAYLOAD: Final = 64 << 10  # bytes; a longer READ or WRITE is not a small one
_DIRECT_FRAME: Final = _DIRECT_PAYLOAD + (4 << 10)
# So much is copied to or from the page cache in less time than two threads cost that hand it over,
# contend for the interpreter's lock and have each its own cold caches.
_LONG: Final = 1 << 20  # bytes of payload
_LONG_FRAME: Final = _LONG + (4 << 10)
# Where there are more processors than client and reader keep busy, several READs are worth as many
# threads, and so is what is to be verified or decrypted: that takes longer than all copying.
_FEW_PROCESSORS: Final = len(os.sched_getaffinity(0)) <= 2
_FLAGS: Final = 16  # where the lowest byte of Flags is
_DIRECT_COMMANDS: Final = 4  # in a compound; more are not short
_IDS: Final = struct.Struct("<20xIQ")  # NextCommand, MessageId
_GLANCE: Final = struct.Struct("<4s8xH6xI")  # ProtocolId, Command, NextCommand
_U32: Final = struct.Struct("<I")
_ID: Final = struct.Struct("<Q")
_MOST_REPLY: Final = 9 << 20  # bytes of data in one frame: the longest READ and what comes with it
_DIRECT: Final = frozenset(command for command, spec in COMMANDS.items() if spec.direct)
_IN_ORDER: Final = frozenset((Command.CHANGE_NOTIFY, Command.LOCK))
# Alone in their frame these wait for nobody: a CANCEL has nothing to find.
_NEVER_WAITS: Final = frozenset((Command.CLOSE, Command.ECHO, Command.QUERY_INFO))
# Plain numbers: to look one up in its enumeration takes longer than to compare it.
_CANCEL: Final = int(Command.CANCEL)
_CREATE: Final = int(Command.CREATE)
_READ: Final = int(Command.READ)
_WRITE: Final = int(Command.WRITE)
_SMB2: Final = SMB2_PROTOCOL_ID[0]


def is_direct(work: Work, alone: bool = True, beside: bool = False) -> bool:
    """Whether the reader may run this work itself: some short commands that never wait long.

    *alone*: no other connection waits meanwhile; then a longer READ or WRITE, too.  Of a long
    sealed frame that is only guessed, and ``run`` looks again.
    *beside*: others of the connection are queued.  What is short comes after them; a long READ or
    WRITE would be run beside them by a kworker just so.
    """
    frame = work.frame
    size = len(frame)
    if size > _DIRECT_FRAME:
        return alone and size <= _LONG_FRAME and _is_write(frame)
    request = work.header
    command = request.command
    step = request.next_command
    at = 0
    for _ in range(_DIRECT_COMMANDS):
        if command not in _DIRECT:
            return False
        if command == _READ:
            length = at + HEADER_SIZE + 4
            if size >= length + 4:
                (wanted,) = _U32.unpack_from(frame, length)
                if wanted > _DIRECT_PAYLOAD:
                    single = not at and not step
                    return alone and single and _FEW_PROCESSORS and wanted <= _LONG
        if not step:
            return not beside
        at += step
        if at + _SMALLEST > size:
            return False
        protocol, command, step = _GLANCE.unpack_from(frame, at)
        if protocol != SMB2_PROTOCOL_ID:
            return False
    return False


def _is_write(frame: Buffer) -> bool:
    """Whether a long frame is one WRITE, as nearly all are, that wants no second processor."""
    protocol, command, step = _GLANCE.unpack_from(frame)
    if protocol == TRANSFORM_PROTOCOL_ID:
        return _FEW_PROCESSORS
    if protocol != SMB2_PROTOCOL_ID or command != _WRITE or step:
        return False
    return _FEW_PROCESSORS or not frame[_FLAGS] & SIGNED


def in_order(frame: Buffer) -> bool:
    """Whether requests like this one are to be run in the order in which they came.

    CHANGE_NOTIFYs and LOCKs wait in a line, and the client knows who is first in it.
    """
    try:
        if len(frame) < _SMALLEST:  # let go of, when all is done
            return False
        protocol, command, _ = _GLANCE.unpack_from(frame)
    except ValueError:  # likewise, in the midst of this: the watchdog looks at what another runs
        return False
    return protocol == SMB2_PROTOCOL_ID and command in _IN_ORDER


def queued(work: Work) -> None:
    """Keep what a request names, before a kworker is given it: a CLOSE may be done sooner.

    Those of a compound and in a long sealed frame are not known yet.
    """
    if unsealing.is_sealed(work) or work.header.next_command:
        return
    try:
        at = FILE_IDS[work.header.command]
    except KeyError:
        return
    if len(work.frame) >= at + _ID.size:
        (volatile_id,) = _ID.unpack_from(work.frame, at)
        work.reserve(volatile_id)


def receive(connection: Connection, frame: memoryview) -> Work | None:
    """Make a frame a Work; None if it was dealt with already.

    A short encrypted frame is opened here, so that it is known what it is; a long one by whoever
    runs it.  Raises Disconnect for what is no SMB2, and for what was encrypted wrongly.
    """
    work = Work(connection, frame)
    if not frame or frame[0] != _SMB2:
        protocol = bytes(frame[:4])
        if protocol != TRANSFORM_PROTOCOL_ID:
            _not_ours(connection, frame, protocol)
            return None
        work.sealed = work.seal = unsealing.find_session(connection, frame)
        if len(frame) > _DIRECT_FRAME:
            return work
        unsealing.unseal(work)
    request = _begin(work)
    command = request.command
    if command == _CANCEL:
        _cancel(connection, work.frame, request, work.sealed)
        return None
    if request.next_command:
        connection.announce(work, _message_ids(work.frame))
    elif command not in _NEVER_WAITS:
        connection.announce(work, [request.message_id])
    return work


def _begin(work: Work) -> Header:
    """The first header of a work in clear.  Disconnect if it is none."""
    frame = work.frame
    if len(frame) < _SMALLEST:
        raise Disconnect(f"a frame of {len(frame)} bytes")
    try:
        work.header = request = Header.parse(frame)
    except WireError as malformed:
        raise Disconnect(str(malformed)) from None
    return request


def _not_ours(connection: Connection, frame: memoryview, protocol: bytes) -> None:
    """Neither SMB2 nor sealed.  Raises Disconnect for all but the beginning of SMB1's clients."""
    if protocol == SMB1_PROTOCOL_ID:
        smb1_negotiate.negotiate(connection, frame)
    elif protocol == COMPRESSION_PROTOCOL_ID:
        raise Disconnect("compressed, which was not negotiated")
    else:
        raise Disconnect(f"protocol id {protocol.hex()}")


def _message_ids(frame: memoryview) -> list[int]:
    """Those of all commands in a frame: a CANCEL may come before a kworker has looked at them."""
    found = []
    at = 0
    while True:
        step, message_id = _IDS.unpack_from(frame, at)
        found.append(message_id)
        at += step
        if step < _SMALLEST or at + _SMALLEST > len(frame):
            return found


def _cancel(
    connection: Connection, frame: memoryview, request: Header, sealed: Session | None
) -> None:
    """[MS-SMB2] 3.3.5.16: no reply, no credit, no message id of its own."""
    by_async_id = checks.is_async(request)
    if by_async_id:
        work = connection.find_request(async_id=request.async_id)
    else:
        work = connection.find_request(message_id=request.message_id)
    if work is None or not checks.may_cancel(connection, frame, request, work, sealed):
        return
    message_id = work.header.message_id if by_async_id else request.message_id
    log.debug("cancel of message %d", message_id)
    work.cancel(message_id, _end_now)


def run(work: Work) -> None:
    """All of a frame, on whatever thread.  Never raises."""
    try:
        if work.sealed is not None and unsealing.is_sealed(work):
            unsealing.unseal(work)
            _begin(work)
            work.connection.announce(work, _message_ids(work.frame))
            if work.direct and not is_direct(work):
                _hand_over(work)
                return
        while not work.is_last:
            _next(work)
            if not _command(work):
                return  # parked; resume() goes on
            work.number += 1
        respond(work)
    except Disconnect as why:
        work.connection.drop(str(why))
    except Exception:
        log.exception("%s: a bug in the server", work.connection.peer)
        work.connection.drop("a bug in the server")
    _finish(work)


def _hand_over(work: Work) -> None:
    """To a kworker: there was something else in a long sealed frame than the reader takes on."""
    work.direct = False
    if work.observed is not None:
        work.observed.parks()
    work.server.scheduler.run(_taken_over, work)


def _taken_over(work: Work) -> None:
    if work.observed is not None:
        work.observed.go_on(work, run, work)
    else:
        run(work)


def _finish(work: Work) -> None:
    """What is left to do when the last command has been answered, or the connection dropped."""
    if work.held or work.parked or work.reserved is not None:
        work.let_go()
    if work.after:
        work.answered()
    release, work.release = work.release, None
    if release is not None:
        release()


def _next(work: Work) -> None:
    """Move the cursor to the next command of the compound, [MS-SMB2] 3.3.5.2.7."""
    offset = work.next_offset
    frame = work.frame
    if offset:
        try:
            work.header = Header.parse(frame, offset)
        except WireError as malformed:
            raise Disconnect(str(malformed)) from None
        work.async_id = 0
        work.interim_sent = False
        work.memo = work.wake = None
    step = work.header.next_command
    if step == 0:
        work.message = frame[offset:] if offset else frame
        work.is_last = True
        return
    end = offset + step
    if step % 8 or step < _SMALLEST or end + _SMALLEST > len(frame):
        raise Disconnect(f"NextCommand {step} at {offset} of {len(frame)}")
    work.message = frame[offset:end]
    work.next_offset = end


def _command(work: Work) -> bool:
    """Check, handle, answer one command; False if it waits."""
    checks.header(work)
    try:
        spec = _checked(work)
    except (NtStatusError, WireError) as refused:
        if isinstance(refused, NtStatusError):
            reply = _refused(work, refused)
        else:
            log.debug("command %#x: %s", work.header.command, refused)
            reply = refusal(NtStatus.INVALID_PARAMETER)
        _answer(work, reply)
        return True
    return _handle(work, spec)


def _checked(work: Work) -> Spec:
    """The ladder of [MS-SMB2] 3.3.5.2; leaves the parsed request in ``work.request``."""
    spec: Spec | None
    try:  # no ``get``, for which all threads would contend: docs/locking.md, "Without a lock"
        spec = COMMANDS[work.header.command]
    except KeyError:
        spec = None
    if work.number or spec is None or not checks.common(work, spec):
        checks.related(work)
        if spec is None:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"command {work.header.command}")
        checks.session(work, spec)
        checks.encryption(work)
        checks.signature(work, spec)
        checks.expiry(work, spec)
        checks.tree(work, spec)
    work.request = checks.body(work, spec)
    if spec.payload is not None:
        checks.credit_charge(work, spec)
    return spec


def _handle(work: Work, spec: Spec) -> bool:
    """Run the handler as the tree's user; False if it waits."""
    try:
        reply = _call(work, spec)
    except Wait as wait:
        if isinstance(wait, Elsewhere):
            work.go_elsewhere()
        else:
            work.let_go(waits=True)
        return not _park(work, wait)
    work.let_go()
    _answer(work, reply)
    return True


def _call(work: Work, spec: Spec) -> Reply:
    """The handler's reply, or the refusal that stands for its exception."""
    try:
        if spec.needs != NOTHING:
            tree = work.tree
            credentials.become(None if tree is None else tree.credentials)
        return spec.handle(work, work.request)
    except (Wait, Disconnect):
        raise
    except NtStatusError as refused:  # we said no
        return _refused(work, refused)
    except WireError as malformed:  # the peer's bytes are wrong
        log.debug("command %#x: %s", work.header.command, malformed)
        return refusal(NtStatus.INVALID_PARAMETER)
    except OSError as failed:  # the kernel said no
        log.debug("command %#x: %s", work.header.command, failed)
        return refusal(from_oserror(failed))
    except Exception:  # we have a bug
        log.exception("command %#x: a bug in the server", work.header.command)
        return refusal(NtStatus.UNEXPECTED_IO_ERROR)


def _refused(work: Work, refused: NtStatusError) -> Reply:
    log.debug("command %#x: %s", work.header.command, refused)
    if refused.data is None:
        return refusal(refused.status)
    if work.connection.dialect == SMB_3_1_1:
        return refusal(refused.status, pack_contexts([(0, refused.data)]), contexts=1)
    return refusal(refused.status, refused.data)


def _answer(work: Work, reply: Reply) -> None:
    """Keep the answer, grant credits, leave the table of requests in flight."""
    request = work.header
    connection = work.connection
    status = reply.status
    failed = status and status & 0xC0000000 == 0xC0000000
    if failed and (request.command == _CREATE or work.compound_open is None):
        work.compound_open = None
        work.compound_status = status
    size = len(reply.data)
    if work.reply_size + size > _MOST_REPLY:  # the length of a frame has 24 bits
        respond(work)
    work.reply_size += size
    credits = connection.answered(work, request.message_id, request.credits)
    work.answers.append(Answer(request, reply, credits, work.signer, work.async_id))
    if work.observed is not None:
        work.observed.answered(work, reply)


# -- waiting -----------------------------------------------------------------------------


def _park(work: Work, wait: Wait) -> bool:
    """Leave the thread until *wait* is over; False if the answer is there already.

    The interim response goes out first: a CANCEL that overtakes the parking is remembered by
    the work.  Once parked, the work belongs to whoever ends the waiting.
    """
    told = wait.interim and (work.is_last or wait.in_compound)
    if told and not work.interim_sent:
        try:
            _interim(work)
        except NtStatusError as refused:
            if wait.on_cancel is not None:
                wait.on_cancel()
            _answer(work, _refused(work, refused))
            return False
    parking = Parking(work, wait, _queue)
    if wait.timeout_s is not None:
        scheduler = work.server.scheduler
        parking.timer = scheduler.call_later(wait.timeout_s, parking.timed_out)
    if work.observed is not None:
        work.observed.parks()
    if not work.park(parking):
        if work.observed is not None:
            work.observed.stays()
        if parking.timer is not None:
            parking.timer.cancel()
        _cancelled(work, wait)
        return False
    wait.on.subscribe(parking.fired)
    return True


def _interim(work: Work) -> None:
    """STATUS_PENDING with an AsyncId, after what came before in the compound, 3.3.4.2."""
    connection = work.connection
    work.async_id = connection.go_async(work)
    request = work.header
    with connection.lock:
        credits = connection.window.grant(request.credits)
    reply = refusal(NtStatus.PENDING)
    work.answers.append(Answer(request, reply, credits, interim_signer(work.signer), work.async_id))
    work.interim_sent = True
    respond(work)


def _queue(parking: Parking, wake: Wake) -> None:
    """Whoever ended the waiting queues the work; it may hold locks, so nothing else is done."""
    parking.wait.on.unsubscribe(parking.fired)
    if parking.timer is not None:
        parking.timer.cancel()
    parking.work.server.scheduler.run(resume, parking.work, parking.wait, wake)


def _end_now(parking: Parking, wake: Wake) -> None:
    """By the reader, for a CANCEL: the request is answered before what the client sent after it."""
    if not parking.work.is_last:
        _queue(parking, wake)
        return
    parking.wait.on.unsubscribe(parking.fired)
    if parking.timer is not None:
        parking.timer.cancel()
    resume(parking.work, parking.wait, wake)


def resume(work: Work, wait: Wait, wake: Wake) -> None:
    """Go on with a work that waited: its command again from the start, then the rest."""
    work.unpark()
    if work.observed is not None:
        work.observed.go_on(work, _go_on, work, wait, wake)
    else:
        _go_on(work, wait, wake)


def _go_on(work: Work, wait: Wait, wake: Wake) -> None:
    try:
        if wake == Wake.CANCELLED:
            done = _cancelled(work, wait)
        else:
            work.wake = wake
            done = _handle(work, COMMANDS[work.header.command])
        if done:
            _rest(work)
        return
    except Disconnect as why:
        work.connection.drop(str(why))
    except Exception:
        log.exception("%s: a bug in the server", work.connection.peer)
        work.connection.drop("a bug in the server")
    _finish(work)


def _rest(work: Work) -> None:
    """The commands after one that waited in the middle of a compound, and the reply."""
    if work.is_last:
        respond(work)
        _finish(work)
    else:
        work.number += 1
        run(work)


def _cancelled(work: Work, wait: Wait) -> bool:
    """The client gave up, or is gone."""
    if wait.on_cancel is not None:
        wait.on_cancel()
    _answer(work, refusal(wait.cancel_status))
    return True
