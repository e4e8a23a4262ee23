"""Every SMB2 command on one screen: who does it, what it needs, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, NamedTuple

from ksmbd.commands import (
    change_notify,
    close,
    create,
    echo,
    flush,
    ioctl,
    lock,
    logoff,
    negotiate,
    oplock_break,
    query_directory,
    query_info,
    read,
    session_setup,
    set_info,
    tree_connect,
    tree_disconnect,
    write,
)
from ksmbd.state.work import Reply, Work
from ksmbd.wire.base import Wire
from ksmbd.wire.change_notify import ChangeNotifyRequest
from ksmbd.wire.close import CloseRequest
from ksmbd.wire.create import CreateRequest
from ksmbd.wire.echo import EchoRequest
from ksmbd.wire.flush import FlushRequest
from ksmbd.wire.header import HEADER_SIZE, Command
from ksmbd.wire.ioctl import IoctlRequest
from ksmbd.wire.lock import LockRequest
from ksmbd.wire.logoff import LogoffRequest
from ksmbd.wire.negotiate import NegotiateRequest
from ksmbd.wire.oplock_break import LeaseBreakAcknowledgment, OplockBreakAcknowledgment
from ksmbd.wire.query_directory import QueryDirectoryRequest
from ksmbd.wire.query_info import QueryInfoRequest
from ksmbd.wire.read import ReadRequest
from ksmbd.wire.session_setup import SessionSetupRequest
from ksmbd.wire.set_info import SetInfoRequest
from ksmbd.wire.tree_connect import TreeConnectRequest, TreeDisconnectRequest
from ksmbd.wire.write import WriteRequest

NOTHING: Final = 0  # neither a session nor a tree: NEGOTIATE, SESSION_SETUP, ECHO
SESSION: Final = 1  # a valid session: LOGOFF, TREE_CONNECT
TREE: Final = 2  # a session and a tree connect: everything about files


class Spec(NamedTuple):
    """One command."""

    handle: Callable[[Work, Any], Reply]
    request: type[Wire]
    needs: int
    payload: Callable[[Any], int] | None = None  # bytes that the credit charge must cover
    direct: bool = False  # short and never waits: the reader may do it itself
    when_expired: bool = False  # allowed on a session whose credentials have expired
    or_request: type[Wire] | None = None  # another structure, told apart by its StructureSize


def _query_info(req: QueryInfoRequest) -> int:
    return max(req.input_buffer_length, req.output_buffer_length)


def _ioctl(req: IoctlRequest) -> int:
    return max(req.input_count + req.output_count, req.max_input_response + req.max_output_response)


_LENGTH: Final = attrgetter("length")
_OUTPUT: Final = attrgetter("output_buffer_length")

COMMANDS: Final[dict[int, Spec]] = {
    Command.NEGOTIATE: Spec(negotiate.negotiate, NegotiateRequest, NOTHING),
    Command.SESSION_SETUP: Spec(
        session_setup.session_setup, SessionSetupRequest, NOTHING, when_expired=True
    ),
    Command.LOGOFF: Spec(logoff.logoff, LogoffRequest, SESSION, when_expired=True),
    Command.TREE_CONNECT: Spec(tree_connect.tree_connect, TreeConnectRequest, SESSION),
    Command.TREE_DISCONNECT: Spec(tree_disconnect.tree_disconnect, TreeDisconnectRequest, TREE),
    Command.CREATE: Spec(create.create, CreateRequest, TREE, direct=True),
    Command.CLOSE: Spec(close.close, CloseRequest, TREE, direct=True, when_expired=True),
    Command.FLUSH: Spec(flush.flush, FlushRequest, TREE),
    Command.READ: Spec(read.read, ReadRequest, TREE, _LENGTH, direct=True),
    Command.WRITE: Spec(write.write, WriteRequest, TREE, _LENGTH, direct=True),
    Command.LOCK: Spec(lock.lock, LockRequest, TREE, direct=True, when_expired=True),
    Command.IOCTL: Spec(ioctl.ioctl, IoctlRequest, TREE, _ioctl),
    Command.ECHO: Spec(echo.echo, EchoRequest, NOTHING, direct=True),
    Command.QUERY_DIRECTORY: Spec(
        query_directory.query_directory, QueryDirectoryRequest, TREE, _OUTPUT, direct=True
    ),
    Command.CHANGE_NOTIFY: Spec(
        change_notify.change_notify, ChangeNotifyRequest, TREE, _OUTPUT, direct=True
    ),
    Command.QUERY_INFO: Spec(
        query_info.query_info, QueryInfoRequest, TREE, _query_info, direct=True
    ),
    Command.SET_INFO: Spec(
        set_info.set_info, SetInfoRequest, TREE, attrgetter("buffer_length"), direct=True
    ),
    Command.OPLOCK_BREAK: Spec(
        oplock_break.oplock_break, OplockBreakAcknowledgment, TREE, direct=True,
        or_request=LeaseBreakAcknowledgment,
    ),
}  # fmt: skip
# What works on an Open that is there already, and waits on none: where in the frame it has the
# volatile half of its FileId.
FILE_IDS: Final[dict[int, int]] = {
    command: HEADER_SIZE + COMMANDS[command].request.offset_of("volatile_id")
    for command in (
        *(Command.FLUSH, Command.READ, Command.WRITE, Command.IOCTL),
        *(Command.QUERY_DIRECTORY, Command.QUERY_INFO, Command.SET_INFO),
    )
}
# CANCEL has no row: it has no reply and is done by the reader at once, server/dispatch.py.
