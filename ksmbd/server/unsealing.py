"""Opens what came under a transform header, [MS-SMB2] 3.3.5.2.1.1.

Everything that is wrong here drops the connection: either somebody changed the message on its
way, or the peer does not know the session's key.
"""

from __future__ import annotations

from typing import Final

from ksmbd.crypto.sealing import TAG_SIZE
from ksmbd.state.connection import Connection
from ksmbd.state.session import Session, SessionState
from ksmbd.state.work import Work
from ksmbd.wire.header import (
    SESSION_ID_OFFSET,
    SMB2_PROTOCOL_ID,
    TRANSFORM_PROTOCOL_ID,
    TRANSFORM_SIZE,
)
from ksmbd.wire.status import Disconnect

_SESSION_ID: Final = slice(SESSION_ID_OFFSET, SESSION_ID_OFFSET + 8)
_SEALED_SESSION_ID: Final = slice(TRANSFORM_SIZE - 8, TRANSFORM_SIZE)


def find_session(connection: Connection, frame: memoryview) -> Session:
    """The session under whose key *frame* was sealed, if its transform header is to be believed.

    Disconnect if the connection has no such session with a key; guests have none, and that of
    anonymous users, which is no secret, counts only where somebody has proved who he is on the
    same connection.
    """
    session_id = int.from_bytes(frame[_SEALED_SESSION_ID], "little")
    session = connection.sessions.get(session_id)
    if session is None or session.state == SessionState.IN_PROGRESS:
        raise Disconnect(f"encrypted for session {session_id:#x}, which is not there")
    if session.unsealer is None or connection.number not in session.channels:
        raise Disconnect(f"encrypted for session {session.session_id:#x}, which cannot")
    if session.is_anonymous and not any(
        other.can_encrypt and other.state != SessionState.IN_PROGRESS
        for other in list(connection.sessions.values())
    ):
        raise Disconnect("encrypted by somebody anonymous")
    return session


def is_sealed(work: Work) -> bool:
    """Whether the work's frame is still under its transform header."""
    return work.sealed is not None and work.frame[0] == TRANSFORM_PROTOCOL_ID[0]


def unseal(work: Work) -> None:
    """Replace the work's frame by the message inside, in the same buffer where it has room.

    Disconnect if the message is not authentic, or is no SMB2 message of that session.
    """
    session = work.sealed
    if session is None or session.unsealer is None:
        raise Disconnect("encrypted for nobody")
    room = _with_room(work.frame)
    if room is not None:
        message = session.unsealer.unseal_in_place(room)
    else:
        message = session.unsealer.unseal(work.frame)
    if bytes(message[:4]) != SMB2_PROTOCOL_ID:  # a second transform header, say
        raise Disconnect(f"protocol id {bytes(message[:4]).hex()} inside an encrypted message")
    if int.from_bytes(message[_SESSION_ID], "little") != session.session_id:
        raise Disconnect("an encrypted message of another session")
    work.frame = message


def _with_room(frame: memoryview) -> memoryview | None:
    """*frame* and the 16 bytes behind it; None if its buffer does not begin with it or is full.

    The transport receives large frames straight into pooled buffers with room at the end.
    """
    buffer = frame.obj
    size = len(frame) + TAG_SIZE
    if not isinstance(buffer, bytearray) or len(buffer) < size:
        return None
    room = memoryview(buffer)[:size]
    if room[:TRANSFORM_SIZE] != frame[:TRANSFORM_SIZE]:
        return None
    return room
