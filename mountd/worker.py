"""Requests of ksmbd: which function answers which event, and on which threads."""

from __future__ import annotations

import functools
import logging
import operator
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from ksmbd.wire import ipc
from ksmbd.wire.base import WireError
from ksmbd.wire.ipc import Event, Message, RpcStatus, TreeStatus
from mountd import login, shares
from mountd.context import RpcContext
from mountd.questions import Questions
from mountd.rpc.errors import RpcError
from mountd.rpc.pipe import Pipes
from mountd.shares import Share
from mountd.state import State

log = logging.getLogger("mountd")

LOOKUP_THREADS: Final = 4  # ksmbd-tools has as many
RPC_THREADS: Final = 2
MAX_LIST_BYTES: Final = 128 * 1024  # of names and comments in one ShareListResponse

Send = Callable[[Message], None]


class Lane(Enum):
    """Where a request is answered."""

    INLINE = auto()  # by the thread that receives: memory only
    LOOKUP = auto()  # may ask the user database, and that a directory service
    RPC = auto()


class Services:
    """What the handlers work with."""

    def __init__(self, state: State, random: Callable[[int], bytes]) -> None:
        self.state = state
        self.questions = Questions()
        self.context = RpcContext(state, self.questions)
        self.pipes = Pipes(self.context, random)

    def forget(self) -> None:
        """ksmbd is another process now: nothing of the old one lives on."""
        self.state.sessions.clear()
        self.pipes.close_all()


class Row(NamedTuple):
    """How an event is handled."""

    handle: Callable[[Services, Any], Message | None]
    lane: Lane
    refuse: Callable[[int], Message] | None = None  # the answer if the handler has a bug


class Worker:
    """Threads that answer; ``take`` never blocks."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lanes = {
            Lane.LOOKUP: ThreadPoolExecutor(LOOKUP_THREADS, "mountd-lookup"),
            Lane.RPC: ThreadPoolExecutor(RPC_THREADS, "mountd-rpc"),
        }

    def take(self, message: Message, send: Send) -> None:
        """Answer *message* through *send*. Raises WireError if it is not ksmbd's to send."""
        row = EVENTS.get(message.EVENT)
        if row is None:
            raise WireError(f"{type(message).__name__} is mountd's to send")
        if row.lane is Lane.INLINE:
            self._run(row, message, send)
        else:
            self._lanes[row.lane].submit(self._run, row, message, send)

    def stop(self) -> None:
        """Drop what waits."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)

    def _run(self, row: Row, message: Message, send: Send) -> None:
        try:
            answer = row.handle(self._services, message)
        except Exception:
            log.exception("%s: a bug in mountd", type(message).__name__)
            handle = getattr(message, "handle", 0)
            answer = row.refuse(handle) if row.refuse else None
        if answer is None:
            return
        try:
            send(answer)
        except (OSError, WireError) as error:
            log.warning("%s not sent: %s", type(answer).__name__, error)


def heartbeat(_services: Services, message: ipc.Heartbeat) -> Message:
    return message


def login_request(services: Services, message: ipc.LoginRequest) -> Message:
    return login.login(services.state, message.handle, message.account, message.peer)


def logout(services: Services, message: ipc.Logout) -> None:
    login.logout(services.state, message.account, message.account_flags, message.peer)


def share_config(services: Services, message: ipc.ShareConfigRequest) -> Message:
    """The share's parameters; none of that name, not available or misconfigured: flags 0."""
    found = services.state.files.shares
    share = found.of_variant(message.name, message.variant)
    if share is None or not share.params.available:
        return ipc.ShareConfigResponse(handle=message.handle)
    identity, problem = shares.forced(share.params, services.state.system)
    if problem:
        log.warning("share %s: %s", share.name, problem)
        return ipc.ShareConfigResponse(handle=message.handle)
    response = shares.config_response(message.handle, share, identity)
    found.taken(share)
    return response


def share_list(services: Services, message: ipc.ShareListRequest) -> Message:
    found = list(services.state.files.shares)
    page: list[Share] = []
    size = 0
    for share in found[message.start :]:
        size += len(share.name.encode()) + len(share.params.comment.encode()) + 6
        if size > MAX_LIST_BYTES and page:
            break
        page.append(share)
    return ipc.ShareListResponse(
        handle=message.handle,
        total=len(found),
        names=tuple(share.name for share in page),
        comments=tuple(share.params.comment for share in page),
        flags=tuple(share.flags for share in page),
    )


def tree_connect(services: Services, message: ipc.TreeConnectRequest) -> Message:
    return login.tree_connect(services.state, message)


def tree_disconnect(services: Services, message: ipc.TreeDisconnect) -> None:
    services.state.sessions.remove(message.session_id, message.connect_id)


def tree_restore(services: Services, message: ipc.TreeRestore) -> None:
    login.restore(services.state, message)


def spnego(services: Services, message: ipc.SpnegoAuthenRequest) -> Message:
    return login.kerberos(services.state, message)


def started(_services: Services, message: ipc.Started) -> None:
    if message.status:
        log.error("ksmbd cannot start: %s", message.why)
    elif message.port:
        log.info("ksmbd listens on port %d", message.port)
    else:
        log.warning("ksmbd listens on no address yet")


def answered(
    services: Services, message: ipc.OpensResponse | ipc.EndResponse | ipc.FileSecurityResponse
) -> None:
    services.questions.answered(message.handle, message)


def rpc(services: Services, message: ipc.RpcRequest) -> Message:
    """One operation on a pipe; the status is a Win32 code, MORE_DATA if a message goes on."""
    method = message.flags & METHODS_MASK
    handler = METHODS.get(method)
    if handler is None:
        return ipc.RpcResponse(handle=message.handle, flags=RpcStatus.BAD_FUNC)
    try:
        status, payload = handler(services, message)
    except RpcError as refused:
        log.debug("pipe %d: %s", message.pipe, refused)
        status, payload = refused.code, b""
    return ipc.RpcResponse(handle=message.handle, flags=status, payload=payload)


def _open(services: Services, message: ipc.RpcRequest) -> tuple[int, bytes]:
    guest = bool(message.flags & ipc.RPC_RESTRICTED_CONTEXT)
    caller = services.context.caller(message.account, message.peer, guest=guest)
    services.pipes.open(message.pipe, message.name, caller._replace(pipe=message.pipe))
    return RpcStatus.OK, b""


def _write(services: Services, message: ipc.RpcRequest) -> tuple[int, bytes]:
    services.pipes.write(message.pipe, message.payload)
    return RpcStatus.OK, b""


def _read(services: Services, message: ipc.RpcRequest) -> tuple[int, bytes]:
    chunk = services.pipes.read(message.pipe, min(message.max_output, ipc.MAX_RPC_PAYLOAD))
    return RpcStatus.MORE_DATA if chunk.more else RpcStatus.OK, chunk.data


def _transceive(services: Services, message: ipc.RpcRequest) -> tuple[int, bytes]:
    length = min(message.max_output, ipc.MAX_RPC_PAYLOAD)
    chunk = services.pipes.transceive(message.pipe, message.payload, length)
    return RpcStatus.MORE_DATA if chunk.more else RpcStatus.OK, chunk.data


def _peek(services: Services, message: ipc.RpcRequest) -> tuple[int, bytes]:
    return RpcStatus.OK, struct.pack("<3I", *services.pipes.peek(message.pipe))


def _close(services: Services, message: ipc.RpcRequest) -> tuple[int, bytes]:
    services.pipes.close(message.pipe)
    return RpcStatus.OK, b""


METHODS: Final[dict[int, Callable[[Services, ipc.RpcRequest], tuple[int, bytes]]]] = {
    ipc.RPC_OPEN: _open,
    ipc.RPC_WRITE: _write,
    ipc.RPC_READ: _read,
    ipc.RPC_IOCTL: _transceive,
    ipc.RPC_PEEK: _peek,
    ipc.RPC_CLOSE: _close,
}
METHODS_MASK: Final = functools.reduce(operator.or_, METHODS) | ipc.RPC_RAP


def _no_login(handle: int) -> Message:
    return ipc.LoginResponse(handle=handle, status=ipc.USER_BAD_USER)


def _no_share(handle: int) -> Message:
    return ipc.ShareConfigResponse(handle=handle)


def _no_tree(handle: int) -> Message:
    return ipc.TreeConnectResponse(handle=handle, status=TreeStatus.ERROR)


def _no_rpc(handle: int) -> Message:
    return ipc.RpcResponse(handle=handle, flags=RpcStatus.BAD_FUNC)


def _no_spnego(handle: int) -> Message:
    return ipc.SpnegoAuthenResponse(handle=handle, status=ipc.USER_BAD_USER)


def _no_list(handle: int) -> Message:
    return ipc.ShareListResponse(handle=handle, total=0)


EVENTS: Final[dict[Event, Row]] = {
    Event.HEARTBEAT: Row(heartbeat, Lane.INLINE),
    Event.LOGIN_REQUEST: Row(login_request, Lane.LOOKUP, _no_login),
    Event.SHARE_CONFIG_REQUEST: Row(share_config, Lane.LOOKUP, _no_share),
    Event.TREE_CONNECT_REQUEST: Row(tree_connect, Lane.LOOKUP, _no_tree),
    Event.TREE_DISCONNECT: Row(tree_disconnect, Lane.INLINE),
    Event.TREE_RESTORE: Row(tree_restore, Lane.INLINE),
    Event.LOGOUT: Row(logout, Lane.INLINE),
    Event.RPC_REQUEST: Row(rpc, Lane.RPC, _no_rpc),
    Event.SPNEGO_AUTHEN_REQUEST: Row(spnego, Lane.LOOKUP, _no_spnego),
    Event.SHARE_LIST_REQUEST: Row(share_list, Lane.INLINE, _no_list),
    Event.STARTED: Row(started, Lane.INLINE),
    Event.OPENS_RESPONSE: Row(answered, Lane.INLINE),
    Event.SESSIONS_RESPONSE: Row(answered, Lane.INLINE),
    Event.END_RESPONSE: Row(answered, Lane.INLINE),
    Event.FILE_SECURITY_RESPONSE: Row(answered, Lane.INLINE),
}
