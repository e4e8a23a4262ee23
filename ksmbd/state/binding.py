"""PreauthSession, [MS-SMB2] 3.3.1.7: a log-on that is to give a session another channel.

    first SESSION_SETUP with BINDING --> in Connection.preauth_sessions
        --authenticated--> Session.channels
        --refused, session ended, connection lost--> gone; the session is as it was

The exchange belongs to the new connection: what fails in it leaves no trace in the session.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ksmbd.state.logon import Logon

if TYPE_CHECKING:
    from ksmbd.state.connection import Connection
    from ksmbd.state.session import Session


class PreauthSession:
    """One binding under way."""

    __slots__ = ("logon", "preauth_integrity_hash_value", "session", "setup_lock")

    def __init__(self, session: Session, connection: Connection) -> None:
        self.session = session
        self.setup_lock = threading.Lock()  # one SESSION_SETUP at a time; held over IPC
        self.logon = Logon(connection.server, connection.peer)  # by setup_lock
        # 3.1.1 only; the channel's signing key comes of it.  By setup_lock.
        self.preauth_integrity_hash_value = connection.preauth_integrity_hash_value


def begin(session: Session, connection: Connection) -> PreauthSession:
    """The binding of *session* that is under way on *connection*, or a new one.

    REQUEST_NOT_ACCEPTED   too many log-ons and bindings are in progress at a time
    """
    found = connection.preauth_sessions.get(session.session_id)
    if found is not None and found.session is session:
        return found
    with connection.lock:  # what is left of sessions that have ended meanwhile
        for session_id, other in list(connection.preauth_sessions.items()):
            if other.session.ended:
                del connection.preauth_sessions[session_id]
    connection.require_few_log_ons()
    made = PreauthSession(session, connection)
    with connection.lock:
        return connection.preauth_sessions.setdefault(session.session_id, made)


def forget(binding: PreauthSession, connection: Connection) -> None:
    """It has succeeded or failed; what comes next begins anew."""
    with connection.lock:
        if connection.preauth_sessions.get(binding.session.session_id) is binding:
            del connection.preauth_sessions[binding.session.session_id]
