"""What mountd asks of the server for administrators who ask it over RPC.

Runs on a kworker: to end a session is to close files, and to tell mountd.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ksmbd.server import file_security
from ksmbd.state.open import Open
from ksmbd.state.server import Server
from ksmbd.state.session import Session
from ksmbd.vfs import credentials
from ksmbd.wire.ipc import (
    EndRequest,
    EndResponse,
    FileSecurityRequest,
    Message,
    OpensRequest,
    OpensResponse,
    SessionsRequest,
    SessionsResponse,
)

log = logging.getLogger("ksmbd.conn")

PAGE_SESSIONS: Final = 16 << 10  # in one SessionsResponse
PAGE_BYTES: Final = 128 << 10  # of texts in one OpensResponse
_WORD: Final = 0xFFFF_FFFF
_MASK: Final = 0x7FFF_FFFF  # Samba's net takes a greater number for an option


# seconds since something came, by the number of a connection
Idle = Callable[[], Mapping[int, float]]


class _Row(NamedTuple):
    """One open, for an OpensResponse."""

    number: int
    access: int
    locks: int
    session: int
    tree: int
    path: str
    user: str


def answer(
    server: Server, message: Message, reply: Callable[[Message], None], idle: Idle = dict
) -> None:
    """Do what *message* asks and send the answer; without one mountd's patience ends."""
    try:
        if isinstance(message, SessionsRequest):
            reply(_sessions(server, message, idle()))
        else:
            reply(_ANSWERS[type(message)](server, message))
    except OSError as gone:
        log.debug("%s: %s", type(message).__name__, gone)
    except Exception:
        log.exception("%s: a bug in the server", type(message).__name__)
    finally:
        credentials.become(None)  # files were closed as their users


def number_of(open: Open) -> int:
    """The number by which administrators know an open: never 0."""
    return open.volatile_id & _MASK or 1


def _opens(server: Server, message: OpensRequest) -> OpensResponse:
    opens = server.opens.all()  # those that stay keep their order from page to page
    page: list[_Row] = []
    size = 0
    for open in opens[message.start :]:
        row = _row(open)
        size += len(row.path.encode()) + len(row.user.encode()) + 22
        if size > PAGE_BYTES and page:
            break
        page.append(row)
    return OpensResponse(
        handle=message.handle,
        total=len(opens),
        numbers=tuple(row.number for row in page),
        access=tuple(row.access for row in page),
        locks=tuple(row.locks for row in page),
        sessions=tuple(row.session for row in page),
        trees=tuple(row.tree for row in page),
        paths=tuple(row.path for row in page),
        users=tuple(row.user for row in page),
    )


def _row(open: Open) -> _Row:
    share, locks = open.tree.share, 0
    if open.inode is not None:
        with open.inode.lock:
            locks = open.inode.locks.count(open)
    path = f"{share.path.rstrip('/')}/{open.path}" if open.pipe is None else open.pipe.name
    return _Row(
        number_of(open),
        open.granted_access,
        locks,
        open.session.session_id & _WORD,
        open.tree.tree_id & _WORD,
        _text(path),
        _text(open.session.account),
    )


def _text(text: str) -> str:
    """What a frame can carry: bytes of a name that are no UTF-8 are told as ``?``."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _sessions(
    server: Server, message: SessionsRequest, idle: Mapping[int, float]
) -> SessionsResponse:
    """A session is as idle as the least idle of its connections."""
    with server.lock:
        sessions = list(server.sessions.values())
    page = sessions[message.start : message.start + PAGE_SESSIONS]
    return SessionsResponse(
        handle=message.handle,
        total=len(sessions),
        sessions=tuple(session.session_id & _WORD for session in page),
        idle=tuple(
            int(min((idle.get(number, 0.0) for number in list(session.channels)), default=0.0))
            for session in page
        ),
    )


def _end(server: Server, message: EndRequest) -> EndResponse:
    if message.number:
        found = [open for open in server.opens.all() if number_of(open) == message.number]
        for open in found:
            log.info("an administrator closes %s of %s", open.path, open.session.account)
            server.opens.close(open)
        return EndResponse(handle=message.handle, count=len(found))
    with server.lock:
        sessions = list(server.sessions.values())
    chosen = [session for session in sessions if _is_meant(session, message)]
    for session in chosen:
        log.info("an administrator ends session %#x of %s", session.session_id, session.account)
        server.end_session(session)
    return EndResponse(handle=message.handle, count=len(chosen))


def _is_meant(session: Session, message: EndRequest) -> bool:
    """Neither a client nor a user means nobody."""
    if not message.client and not message.user:
        return False
    if message.user and session.account.casefold() != message.user.casefold():
        return False
    if not message.client:
        return True
    with session.lock:
        peers = [channel.connection.peer for channel in session.channels.values()]
    return message.client.casefold() in {peer.casefold() for peer in peers}


_ANSWERS: Final[dict[type[Message], Callable[[Server, Any], Message]]] = {
    OpensRequest: _opens,
    EndRequest: _end,
    FileSecurityRequest: file_security.answer,
}
