"""Connection, [MS-SMB2] 3.3.1.7: one transport connection and what was negotiated on it.

Lock order: connection → session → tree → inode → open → send.  ``Connection.lock`` guards
the credit window, the requests in flight and the session table; under it only memory is
touched.  What NEGOTIATE sets is written once, before any other request can be processed,
and only read afterwards.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ksmbd.crypto import preauth
from ksmbd.state.credits import CreditWindow
from ksmbd.state.session import SessionState
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.binding import PreauthSession
    from ksmbd.state.holder import Break, Message
    from ksmbd.state.server import Server
    from ksmbd.state.session import Session
    from ksmbd.state.transport import Transport
    from ksmbd.state.work import Work

# What a connection may send before anybody has logged on over it: an SPNEGO token fits.
MAX_UNAUTHENTICATED_FRAME = 64 << 10
FRAME_OVERHEAD = 16 << 10  # headers, compounds and names around the largest payload
MAX_ASYNC = 511  # requests that may wait at a time, as Windows allows by default
MAX_SESSIONS = 256  # on one connection: a terminal server has many users
MAX_PENDING_SESSIONS = 16  # log-ons in progress on one connection


class Connection:
    """One client's transport connection.  Spec names: Dialect → ``dialect`` and so on."""

    def __init__(self, server: Server, transport: Transport, number: int) -> None:
        self.server = server
        self.transport = transport
        self.number = number
        self.creation_time = server.clock()
        self.lock = threading.Lock()

        # Set by NEGOTIATE ([MS-SMB2] 3.3.5.4), then constant.
        self.negotiated = False
        self.dialect = 0
        self.client_guid = bytes(16)
        self.client_capabilities = 0
        self.client_security_mode = 0
        self.server_capabilities = 0
        self.server_security_mode = 0
        self.max_transact_size = 65536
        self.max_read_size = 65536
        self.max_write_size = 65536
        self.supports_multi_credit = False
        self.should_sign = False
        self.preauth_integrity_hash_value = preauth.START  # 3.1.1 only
        self.offered_wildcard = False  # answered an SMB1 negotiate with 0x02FF
        self.cipher_id = 0
        self.signing_algorithm_id = 0  # 0 HMAC-SHA256, 1 AES-CMAC, 2 AES-GMAC
        self.posix = False

        # Written by who reads it, a guess for others: a thread of its own, whom nobody waits for.
        self.has_thread = False

        # By self.lock.
        self.window = CreditWindow(server.settings.max_credits)
        self.requests: dict[int, Work] = {}  # MessageId -> in flight or parked
        self.async_commands: dict[int, Work] = {}  # AsyncId -> parked, client was told so
        self.sessions: dict[int, Session] = {}  # SessionTable
        self.preauth_sessions: dict[int, PreauthSession] = {}  # session id -> binding under way
        self.questions: dict[Break, Message] = {}  # asked over it, and not answered
        self._next_async_id = 1
        self.closed = False

    @property
    def peer(self) -> str:
        return self.transport.peer

    @property
    def max_frame(self) -> int:
        """The longest PDU the client may send now, in bytes ([MS-SMB2] 3.3.5.2)."""
        if not self.authenticated:
            return MAX_UNAUTHENTICATED_FRAME
        return max(self.max_write_size, self.max_transact_size) + FRAME_OVERHEAD

    @property
    def authenticated(self) -> bool:
        """Whether any session on it is valid; ``mark_authenticated`` makes it so."""
        return self._authenticated

    _authenticated = False  # only ever becomes true

    def mark_authenticated(self) -> None:
        self._authenticated = True

    def consume(self, message_id: int, charge: int) -> None:
        """Take the request's ids out of the window, [MS-SMB2] 3.3.5.2.3.

        Raises Disconnect if they are not in it.
        """
        with self.lock:
            if not self.window.consume(message_id, charge):
                raise Disconnect(f"message id {message_id} (+{charge}) is outside the window")

    def announce(self, work: Work, message_ids: list[int]) -> None:
        """Make the commands of a frame known as soon as it is here, so that CANCEL finds them."""
        with self.lock:
            for message_id in message_ids:
                self.requests.setdefault(message_id, work)

    def answered(self, work: Work, message_id: int, asked: int) -> int:
        """The request is in flight no more; the credits for its reply, of *asked* ones.

        None with the final response of one whose interim response brought them, 3.3.4.2.
        """
        with self.lock:
            if self.requests.get(message_id) is work:
                del self.requests[message_id]
            if work.async_id:
                self.async_commands.pop(work.async_id, None)
            return 0 if work.interim_sent else self.window.grant(asked)

    def go_async(self, work: Work) -> int:
        """Give the request an AsyncId.

        INSUFFICIENT_RESOURCES   too many of this connection's requests wait already
        """
        with self.lock:
            if len(self.async_commands) >= MAX_ASYNC:
                raise NtStatusError(NtStatus.INSUFFICIENT_RESOURCES, "too many pending requests")
            async_id = self._next_async_id
            self._next_async_id += 1
            self.async_commands[async_id] = work
            return async_id

    def find_request(self, *, message_id: int = 0, async_id: int = 0) -> Work | None:
        """The request a CANCEL means."""
        with self.lock:
            if async_id:
                return self.async_commands.get(async_id)
            return self.requests.get(message_id)

    def add_session(self, session: Session) -> bool:
        """Put it in the table; False if the connection is lost already."""
        with self.lock:
            if not self.closed:
                self.sessions[session.session_id] = session
            return not self.closed

    def remove_session(self, session: Session) -> None:
        with self.lock:
            self.sessions.pop(session.session_id, None)

    def require_few_log_ons(self) -> None:
        """REQUEST_NOT_ACCEPTED   too many log-ons and bindings are in progress at a time"""
        with self.lock:
            states = [session.state for session in self.sessions.values()]
            pending = states.count(SessionState.IN_PROGRESS) + len(self.preauth_sessions)
        if pending >= MAX_PENDING_SESSIONS:
            raise NtStatusError(NtStatus.REQUEST_NOT_ACCEPTED, "too many log-ons at a time")

    def drop(self, why: str) -> None:
        """End the connection because of what the peer did."""
        self.server.log_conn.info("%s: dropped: %s", self.peer, why)
        self.transport.close()
