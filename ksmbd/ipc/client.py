"""ksmbd's side of the link to mountd.

ksmbd listens; mountd connects and starts the server with STARTING_UP.  A mountd that connects
while another is there takes its place.  Requests block their thread, never longer than their
timeout, and fail at once when the link goes.  What mountd granted lives on without it: a new one
is told the tree connects of the old.

Locks: ``_lock`` guards the link and the tables; nothing is sent, called or waited for under it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from ksmbd.ipc.link import Link, listen
from ksmbd.ipc.requests import (
    LoginReply,
    RpcReply,
    ShareConfig,
    ShareEntry,
    SpnegoReply,
    TreeConnectReply,
    login_reply,
    rpc_reply,
    share_config,
    spnego_reply,
    tree_connect_reply,
)
from ksmbd.wire import ipc
from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.ipc import Message, TreeStatus
from ksmbd.wire.status import NtStatus, NtStatusError

log = logging.getLogger("ksmbd.ipc")

LOGIN_TIMEOUT_S: Final = 2.0  # ksmbd's own for every request
SLOW_TIMEOUT_S: Final = 10.0  # RPC and Kerberos: they may ask a directory service
M = TypeVar("M", bound=Message)


class Callbacks(Protocol):
    """What the server does on mountd's word; called on the thread of ``Mountd.run``.

    None of them may ask mountd anything itself: the answer would have to come through that thread.
    """

    def starting_up(self, settings: ipc.StartingUp) -> int:
        """Start, or take over new settings; return the TCP port. Raises OSError if it cannot."""

    def shutting_down(self, reason: str) -> None:
        """mountd was told to end, and ksmbd is to end with it."""

    def state_changed(self, notice: ipc.StateChanged) -> None:
        """Shares were added, changed or removed."""

    def administer(self, message: Message, reply: Callable[[Message], None]) -> None:
        """An administrator asks; answered later, by another thread."""

    def link_lost(self, hung: bool) -> None:
        """mountd is gone; *hung* if it did not answer within `ipc timeout`: end all sessions."""


class _Pending:
    """A request whose thread waits."""

    __slots__ = ("answer", "done", "why")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Message | None = None
        self.why = ""


class Mountd:
    """mountd as the rest of ksmbd sees it."""

    def __init__(
        self,
        path: str,
        *,
        mountd_uid: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*path* is the socket's; *mountd_uid* may connect besides root and ourselves."""
        self._path = path
        self._mountd_uid = mountd_uid
        self._clock = clock
        self._lock = threading.Lock()
        self._handles = itertools.count(1)
        self._link: Link | None = None  # by _lock; the one that connected last
        self._ready = False  # by _lock; it said STARTING_UP
        self._pending: dict[int, _Pending] = {}  # by _lock; of _link
        self._trees: dict[tuple[int, int], tuple[str, str]] = {}  # by _lock; account and share
        self._ipc_timeout = 0.0  # by _lock; seconds
        self._heard = 0.0  # run thread only: when mountd last said something
        self._asked = 0.0  # run thread only: when it was last asked for a sign of life
        self._thread: int | None = None
        self._wake: socket.socket | None = None  # by _lock; ends the wait of the run thread
        self._stopped = False  # by _lock

    # -- requests ------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        with self._lock:
            return self._ready

    def login(self, account: str, peer: str) -> LoginReply:
        """Who is *account*, who tries from *peer*? The empty name asks for the anonymous user.

        NO_LOGON_SERVERS   mountd is away or does not answer
        INVALID_PARAMETER  the name has no UTF-8 form
        """
        answer = self._ask(
            lambda handle: ipc.LoginRequest(handle=handle, account=account, peer=peer),
            ipc.LoginResponse,
        )
        return login_reply(answer)

    def share_config(self, name: str, variant: str = "") -> ShareConfig | None:
        """The share's parameters, None if there is none; statuses as ``login``."""
        answer = self._ask(
            lambda handle: ipc.ShareConfigRequest(handle=handle, name=name, variant=variant),
            ipc.ShareConfigResponse,
        )
        return share_config(answer)

    def tree_connect(
        self,
        *,
        account: str,
        share: str,
        session_id: int,
        connect_id: int,
        peer: str,
        account_flags: int,
        ipv6: bool,
        machine: str = "",
    ) -> TreeConnectReply:
        """May the session connect? *account_flags* is its LoginReply.status. Statuses as ``login``.

        *connect_id* names the tree connect until ``tree_disconnect``; *machine* is what the client
        calls itself.
        """
        answer = self._ask(
            lambda handle: ipc.TreeConnectRequest(
                handle=handle,
                account_flags=account_flags,
                flags=ipc.PEER_SMB2 | (ipc.PEER_IPV6 if ipv6 else 0),
                session_id=session_id,
                connect_id=connect_id,
                account=account,
                share=share,
                peer=peer,
                machine=machine,
            ),
            ipc.TreeConnectResponse,
        )
        reply = tree_connect_reply(answer)
        if reply.status == TreeStatus.OK:
            with self._lock:
                self._trees[session_id, connect_id] = (account, share)
        return reply

    def tree_disconnect(self, session_id: int, connect_id: int) -> None:
        """The tree connect is gone. Never fails: a mountd that is away has nothing to forget."""
        with self._lock:
            known = self._trees.pop((session_id, connect_id), None)
        if known is not None:
            self._tell(ipc.TreeDisconnect(session_id=session_id, connect_id=connect_id))

    def logout(self, account: str, flags: int, peer: str) -> None:
        """A session ended; with USER_BAD_PASSWORD in *flags*: a log-on failed. Never fails."""
        self._tell(ipc.Logout(account_flags=flags, account=account, peer=peer))

    def rpc_open(
        self, pipe: int, name: str, *, account: str, session_id: int, peer: str, guest: bool = False
    ) -> RpcReply:
        """Open the pipe *name* under the id *pipe*; NO_SUCH_PIPE in the reply if there is none.

        PIPE_NOT_AVAILABLE  mountd is away
        IO_TIMEOUT          it does not answer
        """
        flags = ipc.RPC_OPEN | (ipc.RPC_RESTRICTED_CONTEXT if guest else 0)
        answer = self._ask_rpc(
            lambda handle: ipc.RpcRequest(
                handle=handle,
                pipe=pipe,
                flags=flags,
                session_id=session_id,
                name=name,
                account=account,
                peer=peer,
            )
        )
        return rpc_reply(answer)

    def rpc(
        self,
        handle: int,
        method_flags: int,
        payload: Buffer,
        max_output: int = ipc.MAX_RPC_PAYLOAD,
    ) -> RpcReply:
        """RPC_WRITE, RPC_READ, RPC_IOCTL, RPC_PEEK or RPC_CLOSE on the pipe *handle*.

        At most *max_output* bytes come back, MORE_DATA in the reply if there are more.

        INVALID_PARAMETER   the payload is longer than MAX_RPC_PAYLOAD
        PIPE_NOT_AVAILABLE  mountd is away
        IO_TIMEOUT          it does not answer
        """
        if len(payload) > ipc.MAX_RPC_PAYLOAD:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{len(payload)} bytes for a pipe")
        answer = self._ask_rpc(
            lambda number: ipc.RpcRequest(
                handle=number,
                pipe=handle,
                flags=method_flags,
                max_output=min(max_output, ipc.MAX_RPC_PAYLOAD),
                payload=bytes(payload),
            )
        )
        return rpc_reply(answer)

    def spnego_authen(self, blob: bytes, peer: str) -> SpnegoReply:
        """Let mountd accept a Kerberos token from *peer*; statuses as ``login``."""
        answer = self._ask(
            lambda handle: ipc.SpnegoAuthenRequest(handle=handle, token=blob, peer=peer),
            ipc.SpnegoAuthenResponse,
            slow=True,
        )
        return spnego_reply(answer)

    def shares(self) -> list[ShareEntry]:
        """Every share mountd serves; statuses as ``login``."""
        entries: list[ShareEntry] = []
        while True:
            start = len(entries)
            answer = self._ask(
                lambda handle, start=start: ipc.ShareListRequest(handle=handle, start=start),  # type: ignore[misc]
                ipc.ShareListResponse,
            )
            rows = zip(answer.names, answer.comments, answer.flags, strict=False)
            entries.extend(ShareEntry(*row) for row in rows)
            if len(entries) >= answer.total or len(entries) == start:
                return entries

    def _ask_rpc(self, make: Callable[[int], Message]) -> ipc.RpcResponse:
        return self._ask(
            make,
            ipc.RpcResponse,
            slow=True,
            away=NtStatus.PIPE_NOT_AVAILABLE,
            silent=NtStatus.IO_TIMEOUT,
        )

    def _ask(
        self,
        make: Callable[[int], Message],
        kind: type[M],
        *,
        slow: bool = False,
        away: NtStatus = NtStatus.NO_LOGON_SERVERS,
        silent: NtStatus = NtStatus.NO_LOGON_SERVERS,
    ) -> M:
        """Send ``make(handle)`` and wait for the *kind* with that handle."""
        if threading.get_ident() == self._thread:
            raise RuntimeError("mountd cannot be asked on the thread that hears its answers")
        pending = _Pending()
        with self._lock:
            link = self._link if self._ready else None
            if link is None:
                raise NtStatusError(away, "mountd is not connected")
            handle = next(self._handles) & 0xFFFFFFFF
            self._pending[handle] = pending
            timeout = max(self._ipc_timeout, SLOW_TIMEOUT_S if slow else 0) or LOGIN_TIMEOUT_S
        try:
            link.send(make(handle))
            answered = pending.done.wait(timeout)
        except OSError as error:
            raise NtStatusError(away, f"mountd: {error}") from None
        except WireError as error:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, str(error)) from None
        finally:
            with self._lock:
                self._pending.pop(handle, None)
        if not answered:
            raise NtStatusError(silent, f"mountd did not answer within {timeout:g} s")
        if not isinstance(pending.answer, kind):
            raise NtStatusError(away, pending.why)
        return pending.answer

    def _tell(self, message: Message) -> None:
        with self._lock:
            link = self._link if self._ready else None
        if link is None:
            return
        try:
            link.send(message)
        except (OSError, WireError) as error:
            log.debug("%s not told: %s", type(message).__name__, error)

    # -- the link ------------------------------------------------------------------------

    def run(self, callbacks: Callbacks) -> None:
        """Listen and serve the link until ``stop``; the server gives it the thread ksmbd/ipc.

        Raises OSError if the socket cannot be bound.
        """
        owner = self._mountd_uid if os.geteuid() == 0 else None
        with listen(self._path, owner) as listener:
            try:
                self._serve(listener, callbacks)
            finally:
                self._drop("ksmbd is shutting down")
                with contextlib.suppress(FileNotFoundError):  # the run directory may be gone
                    os.unlink(self._path)

    def stop(self) -> None:
        """End ``run``, from any thread; requests that wait fail."""
        with self._lock:
            self._stopped = True
            if self._wake is not None:
                self._wake.shutdown(socket.SHUT_WR)

    def _serve(self, listener: socket.socket, callbacks: Callbacks) -> None:
        wake, send_wake = socket.socketpair()
        with wake, send_wake:
            with self._lock:
                self._wake = send_wake
            self._thread = threading.get_ident()
            log.info("waiting for mountd on %s", self._path)
            try:
                while not self._stopped:
                    self._turn(listener, wake, callbacks)
            finally:
                self._thread = None
                with self._lock:
                    self._wake = None

    def _turn(self, listener: socket.socket, wake: socket.socket, callbacks: Callbacks) -> None:
        """Wait for one thing to happen and handle it."""
        link = self._link
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(wake, select.POLLIN)
        if link is not None:
            poll.register(link, select.POLLIN)
        interval = self._ipc_timeout / 3 or None
        happened = {fd for fd, _ in poll.poll(interval and interval * 1000)}
        if link is not None and link.fileno() in happened:
            self._receive(link, callbacks)
        elif link is not None and interval:
            self._check_alive(interval, callbacks)
        if listener.fileno() in happened:
            self._accept(listener, callbacks)

    def _accept(self, listener: socket.socket, callbacks: Callbacks) -> None:
        try:
            link = Link(listener.accept()[0])
        except OSError as error:  # it went again before we looked, or there are no descriptors
            log.warning("mountd cannot connect: %s", error)
            return
        peer = link.peer()
        if peer.uid not in {0, os.geteuid(), self._mountd_uid}:
            log.warning("process %d of uid %d is not our mountd: refused", peer.pid, peer.uid)
            link.close()
            return
        log.info("mountd is process %d", peer.pid)
        self._lose("another mountd took its place", callbacks)
        with self._lock:
            self._link, self._ready, self._ipc_timeout = link, False, 0.0
        self._heard = self._asked = self._clock()

    def _receive(self, link: Link, callbacks: Callbacks) -> None:
        try:
            message = link.receive()
            if message is not None:
                self._heard = self._clock()
                self._take(link, message, callbacks)
                return
            why = "mountd closed the link"
        except WireError as error:
            log.error("malformed message from mountd, a bug: %s", error)
            why = "mountd sent a malformed message"
        except OSError as error:
            why = f"mountd: {error}"
        self._lose(why, callbacks)

    def _take(self, link: Link, message: Message, callbacks: Callbacks) -> None:
        match message:
            case ipc.StartingUp():
                self._start(link, message, callbacks)
            case ipc.ShuttingDown():
                log.info("mountd shuts down: %s", message.reason)
                callbacks.shutting_down(message.reason)
            case ipc.StateChanged():
                callbacks.state_changed(message)
            case (
                ipc.OpensRequest()
                | ipc.SessionsRequest()
                | ipc.EndRequest()
                | ipc.FileSecurityRequest()
            ):
                callbacks.administer(message, link.send)
            case ipc.Heartbeat():
                log.debug("heartbeat %d", message.handle)
            case (
                ipc.LoginResponse()
                | ipc.ShareConfigResponse()
                | ipc.TreeConnectResponse()
                | ipc.RpcResponse()
                | ipc.SpnegoAuthenResponse()
                | ipc.ShareListResponse()
            ):
                self._answer(message.handle, message)
            case _:
                raise WireError(f"{type(message).__name__} is ksmbd's to send")

    def _answer(self, handle: int, message: Message) -> None:
        if isinstance(message, ipc.TreeConnectResponse) and message.status not in set(TreeStatus):
            raise WireError(f"tree connect status {message.status}")
        with self._lock:
            pending = self._pending.pop(handle, None)
        if pending is None:
            log.debug("%s came too late", type(message).__name__)
            return
        pending.answer, pending.why = message, "mountd answered something else"
        pending.done.set()

    def _start(self, link: Link, settings: ipc.StartingUp, callbacks: Callbacks) -> None:
        try:
            started = ipc.Started(status=0, port=callbacks.starting_up(settings))
        except OSError as error:
            log.error("cannot start: %s", error)
            started = ipc.Started(status=error.errno or 1, why=str(error))
        with self._lock:
            self._ready = not started.status
            self._ipc_timeout = float(settings.ipc_timeout)
            trees = list(self._trees.items()) if self._ready else []
        link.send(started)
        for (session_id, connect_id), (account, share) in trees:
            link.send(
                ipc.TreeRestore(
                    session_id=session_id, connect_id=connect_id, account=account, share=share
                )
            )

    def _check_alive(self, interval: float, callbacks: Callbacks) -> None:
        now = self._clock()
        if now - self._heard >= self._ipc_timeout:
            log.warning("no sign of life from mountd for %g s", now - self._heard)
            self._lose("mountd hangs", callbacks, hung=True)
        elif now - self._asked >= interval:
            self._asked = now
            self._tell(ipc.Heartbeat(handle=0))

    def _lose(self, why: str, callbacks: Callbacks, *, hung: bool = False) -> None:
        if self._drop(why):
            callbacks.link_lost(hung)

    def _drop(self, why: str) -> bool:
        """Close the link and fail what waits for it. False if there is none."""
        with self._lock:
            link, self._link, self._ready = self._link, None, False
            waiting, self._pending = list(self._pending.values()), {}
        if link is None:
            return False
        log.info("link to mountd closed: %s", why)
        link.close()
        for pending in waiting:
            pending.why = why
            pending.done.set()
        return True
