"""Work (ksmbd_work; Request, [MS-SMB2] 3.3.1.13): one received PDU on its way through the server.

A PDU may be a compound of several commands ([MS-SMB2] 3.3.5.2.7); the Work is the cursor that
walks them and keeps what related commands inherit.

    queued --> running --> answered
                 |  ^
              Wait  | event, time-out, cancel: whoever takes ``Parking`` first
                 v  |
                parked
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ksmbd.crypto.signing import UNVERIFIABLE
from ksmbd.state import channel_sequence
from ksmbd.state.opens import NO_ID
from ksmbd.state.wait import Elsewhere, Wait, Wake
from ksmbd.wire.base import Buffer, Wire
from ksmbd.wire.header import HEADER_SIZE, RELATED_OPERATIONS, REPLAY, SIGNED, Command, Header
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.crypto.signing import Signer
    from ksmbd.state.binding import PreauthSession
    from ksmbd.state.connection import Connection
    from ksmbd.state.open import Open
    from ksmbd.state.server import Server
    from ksmbd.state.session import Session
    from ksmbd.state.transport import Cancellable, Observed
    from ksmbd.state.tree import TreeConnect


class Reply:
    """What a handler returns: the fixed part, the variable part, the status.

    ``room``: *data* lies in this pooled buffer at ``HEADROOM``; the reply is finished in place
    and the buffer given back after it was sent.
    """

    __slots__ = ("body", "data", "room", "status")

    def __init__(
        self,
        body: Wire,
        data: Buffer = b"",
        status: NtStatus = NtStatus.SUCCESS,
        room: bytearray | None = None,
    ) -> None:
        self.body = body
        self.data = data
        self.status = status
        self.room = room


class Parking:
    """The place of a parked work.  Whoever takes it runs the work; the others do nothing."""

    __slots__ = ("_lock", "_taken", "resume", "timer", "wait", "work")

    def __init__(self, work: Work, wait: Wait, resume: Callable[[Parking, Wake], None]) -> None:
        self.work = work
        self.wait = wait
        self.timer: Cancellable | None = None
        self.resume = resume  # queues the work; called by whoever took the place
        self._lock = threading.Lock()
        self._taken = False  # by self._lock

    def leave(self, wake: Wake, resume: Callable[[Parking, Wake], None] | None = None) -> None:
        """Run the work again because of *wake*, unless something else was first.

        *resume* is called instead of our own.
        """
        with self._lock:
            taken, self._taken = self._taken, True
        if not taken:
            (resume or self.resume)(self, wake)

    def fired(self) -> None:
        self.leave(Wake.FIRED)

    def timed_out(self) -> None:
        self.leave(Wake.TIMED_OUT)


class Answer:
    """A finished command of the compound, kept until the whole of it is sent."""

    __slots__ = ("async_id", "credits", "header", "reply", "signer")

    def __init__(
        self, header: Header, reply: Reply, credits: int, signer: Signer | None, async_id: int
    ) -> None:
        self.header = header  # of the request
        self.reply = reply
        self.credits = credits
        self.signer = signer
        self.async_id = async_id


class Work:
    """One PDU.  Used by one thread at a time: the reader, then a kworker, then another."""

    __slots__ = (
        "abandoned",
        "after",
        "answers",
        "async_id",
        "cancelled",
        "compound_open",
        "compound_status",
        "connection",
        "direct",
        "frame",
        "header",
        "held",
        "interim_sent",
        "is_last",
        "keep_preauth",
        "memo",
        "message",
        "next_offset",
        "number",
        "observed",
        "parked",
        "parking",
        "release",
        "reply_size",
        "request",
        "request_signed",
        "reserved",
        "seal",
        "sealed",
        "server",
        "session",
        "signer",
        "tree",
        "wake",
    )

    header: Header
    message: memoryview

    def __init__(self, connection: Connection, frame: memoryview) -> None:
        self.server: Server = connection.server
        self.connection = connection
        self.frame = frame  # the PDU in clear, without the 4-byte length
        self.observed: Observed | None = None  # somebody measures it
        self.direct = False  # run by the reader of all connections, who must not wait for a disk
        self.next_offset = 0  # of the command after this one; 0 with is_last: no more
        self.is_last = False
        self.number = 0  # of the command in the compound, from 0
        self.release: Callable[[], None] | None = None  # gives the receive buffer back
        self.request: Any = None  # the parsed command
        self.session: Session | None = None
        self.tree: TreeConnect | None = None
        self.signer: Signer | None = None  # the reply will be signed with it
        self.request_signed = False
        self.sealed: Session | None = None  # whose DecryptionKey opened the frame
        self.seal: Session | None = None  # whose EncryptionKey the whole reply is sealed with
        self.answers: list[Answer] = []
        self.after: list[Callable[[], None]] = []  # what may follow the replies, and not before
        self.reply_size = 0  # bytes of data in them
        self.compound_open: Open | None = None  # the FileId that related commands inherit
        self.compound_status: NtStatus | None = None  # why there is none
        self.held: list[Open] = []  # opens this command uses
        self.parked: list[tuple[Open, int]] = []  # opens it used before it waited
        # What it names and has not come to yet: a CLOSE that overtakes it does not end that.
        self.reserved: Open | None = None
        self.async_id = 0
        self.interim_sent = False
        # Hashes the reply as it is sent.
        self.keep_preauth: Connection | Session | PreauthSession | None = None
        self.memo: Any = None  # a waiting handler's notes for its next run
        self.wake: Wake | None = None
        # By the connection's lock:
        self.parking: Parking | None = None
        self.cancelled: set[int] | None = None  # message ids
        self.abandoned = False  # the client is gone

    # -- what handlers use ---------------------------------------------------------------

    def buffer(self, offset: int, length: int, *, after: int) -> memoryview:
        """The *length* bytes the client placed at *offset* from the SMB2 header.

        INVALID_PARAMETER   they overlap the fixed part of *after* bytes or leave the message
        """
        end = offset + length
        if length and (offset < HEADER_SIZE + after or end > len(self.message)):
            raise NtStatusError(
                NtStatus.INVALID_PARAMETER, f"buffer {offset}+{length} of {len(self.message)}"
            )
        return self.message[offset:end]

    def the_session(self) -> Session:
        """The session that checks found; the table says which commands have one."""
        if self.session is None:
            raise NtStatusError(NtStatus.USER_SESSION_DELETED, "no session")
        return self.session

    def no_session(self, why: str) -> NtStatusError:
        """USER_SESSION_DELETED, to be raised where there is no session to sign the reply with.

        What came signed is answered with SIGNED and an empty signature, as Windows and Samba do.
        Samba's clients check no signature with this status, but insist on the flag, whether the
        session lives on another connection (smb2.session.bind2) or nowhere any more
        (smb2.session.bind_invalid_auth).
        """
        if self.header.flags & SIGNED:
            self.signer = UNVERIFIABLE
        return NtStatusError(NtStatus.USER_SESSION_DELETED, why)

    def the_tree(self) -> TreeConnect:
        if self.tree is None:
            raise NtStatusError(NtStatus.NETWORK_NAME_DELETED, "no tree connect")
        return self.tree

    def open(self, persistent_id: int, volatile_id: int) -> Open:
        """The Open a request names, or the one that it inherits in a related compound.

        FILE_CLOSED         the FileId names no open of this session and tree
        FILE_NOT_AVAILABLE  see :func:`ksmbd.state.channel_sequence.verify`
        (any)               the earlier command that should have made it failed with this
        """
        if NO_ID in (volatile_id, persistent_id) and self.header.flags & RELATED_OPERATIONS:
            if self.compound_open is None:
                raise NtStatusError(self.compound_status or NtStatus.INVALID_PARAMETER, "no FileId")
            found: Open | None = self.compound_open
        else:
            found = self.server.opens.find(volatile_id)
            if found is None:
                found = self._closed_meanwhile(volatile_id)
        if (
            found is None
            or (found.closed and found is not self.reserved)
            or found.session is not self.session
            or found.tree is not self.tree
            or (persistent_id != found.persistent_id and persistent_id != NO_ID)
        ):
            raise NtStatusError(NtStatus.FILE_CLOSED, f"id {volatile_id:#x}")
        self.compound_open = found
        header = self.header
        if header.status != found.channel_sequence or header.flags & REPLAY:
            channel_sequence.verify(self, found)
        self.hold(found)
        if found.durable is not None:
            self.server.replays.used(found)
        return found

    def _closed_meanwhile(self, volatile_id: int) -> Open | None:
        """What it names, if it was open when the request came."""
        reserved = self.reserved
        if reserved is not None and reserved.volatile_id == volatile_id:
            return reserved
        return None

    def reserve(self, volatile_id: int) -> None:
        """Keep what this request names, if that is open, until the request has been done."""
        found = self.server.opens.find(volatile_id)
        if found is not None and found.reserve():
            self.reserved = found

    def needs_kworker(self) -> None:
        """What follows may take long, and the reader of all connections runs this: go elsewhere.

        Raises Elsewhere then, before anything has been done; the handler runs again from its start.
        """
        if self.direct:
            self.direct = False
            raise Elsewhere

    def hold(self, open: Open) -> None:
        """Keep an open's descriptor until the end of this command.

        FILE_CLOSED   it was closed meanwhile
        """
        held = self.held
        if held and open in held:
            return
        if not open.hold(self.header.status & 0xFFFF, open is self.reserved):
            raise NtStatusError(NtStatus.FILE_CLOSED, f"id {open.volatile_id:#x}")
        held.append(open)

    def let_go(self, *, waits: bool = False) -> None:
        """End what :meth:`hold` began; close what was closed meanwhile.

        *waits*: the command is parked and goes on later, so that it stays outstanding.
        """
        if self.parked:
            channel_sequence.go_on(self)
        if self.reserved is not None:
            reserved, self.reserved = self.reserved, None
            self.server.opens.unreserve(reserved)
        held = self.held
        if not held:
            return
        self.held = []
        if waits:
            channel_sequence.wait(self, held)
        sequence = self.header.status & 0xFFFF
        for open in held:
            if open.let_go(sequence):
                self.server.opens.finish(open)

    def go_elsewhere(self) -> None:
        """As ``let_go(waits=True)``; but what is used first is kept, for the waiting ends at once.

        What the client sends next may be done before another thread has taken this up again.
        """
        kept = self.held[0] if self.held and self.header.command != Command.CLOSE else None
        if kept is not None and not kept.reserve():
            kept = None
        self.let_go(waits=True)
        self.reserved = kept

    def answered(self) -> None:
        """The replies so far are out, or never will be: do what had to come after them."""
        after, self.after = self.after, []
        for act in after:
            act()

    # -- parking -------------------------------------------------------------------------

    def park(self, parking: Parking) -> bool:
        """Become parked; False if the client has cancelled this command already."""
        with self.connection.lock:
            if self.given_up() and (self.abandoned or parking.wait.cancellable):
                return False
            self.parking = parking
            return True

    def unpark(self) -> None:
        with self.connection.lock:
            self.parking = None

    def given_up(self) -> bool:
        """Whether the client has cancelled this command, or is gone: what takes long may end."""
        cancelled = self.cancelled
        return self.abandoned or (cancelled is not None and self.header.message_id in cancelled)

    def is_parked(self, command: int) -> bool:
        """Whether it is a *command* that waits."""
        with self.connection.lock:
            return self.parking is not None and self.header.command == command

    def cancel(
        self, message_id: int, resume: Callable[[Parking, Wake], None] | None = None
    ) -> None:
        """[MS-SMB2] 3.3.5.16: end that command's waiting, now or as soon as it would begin."""
        with self.connection.lock:
            if self.cancelled is None:
                self.cancelled = set()
            self.cancelled.add(message_id)
            parking = self.parking
            if parking is not None and self.header.message_id != message_id:
                return
        if parking is not None and parking.wait.cancellable:
            parking.leave(Wake.CANCELLED, resume)

    def abandon(self) -> None:
        """The connection is lost: wait for nothing any more."""
        with self.connection.lock:
            self.abandoned = True
            parking = self.parking
        if parking is not None:
            parking.leave(Wake.CANCELLED)
