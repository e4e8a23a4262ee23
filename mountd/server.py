"""The link to ksmbd: connect, start it, hand its requests to the worker, connect again."""

from __future__ import annotations

import logging
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final

from ksmbd.wire.base import WireError
from ksmbd.wire.ipc import MAX_FRAME, Message, StateChanged, parse
from mountd.state import State
from mountd.system import Identity
from mountd.worker import Services, Worker

log = logging.getLogger("mountd")

RETRY_S: Final = 0.25  # between attempts to connect
SEND_TIMEOUT_S: Final = 5.0
_UCRED: Final = struct.Struct("=iII")


class Link:
    """One connection; ``send`` is for any thread."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SEND_TIMEOUT_S)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, MAX_FRAME)
        self._socket = sock
        self._sending = threading.Lock()  # held over send and close

    def fileno(self) -> int:
        return self._socket.fileno()

    def peer_uid(self) -> int:
        raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return int(_UCRED.unpack(raw)[1])

    def send(self, message: Message) -> None:
        """Raises OSError, WireError."""
        frame = message.pack()
        with self._sending:
            self._socket.send(frame, socket.MSG_NOSIGNAL)

    def receive(self) -> Message | None:
        """The next message, None at the end. Raises OSError, WireError."""
        frame, _, flags, _ = self._socket.recvmsg(MAX_FRAME)
        if flags & socket.MSG_TRUNC:
            raise WireError("frame too long")
        return parse(frame) if frame else None

    def close(self) -> None:
        """What was sent still arrives.

        A socket that is closed with something unread resets its peer, which then never sees what
        lies in its own queue: the farewell, for one.
        """
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
            while self._socket.recv(1, socket.MSG_DONTWAIT):  # one message, whatever its length
                continue
        except OSError:  # the peer was faster
            log.debug("the link was closed already")
        with self._sending:
            self._socket.close()


class Server:
    """Serves one ksmbd after another until stopped; ``run`` needs one thread, the rest any."""

    def __init__(self, path: str, state: State, services: Services, worker: Worker) -> None:
        self._path = path
        self._state = state
        self._services = services
        self._worker = worker
        self._link: Link | None = None  # run thread only
        self._complained = False

    @property
    def connected(self) -> bool:
        return self._link is not None

    def turn(self, wake: socket.socket) -> None:
        """Wait until *wake* has something to read, or ksmbd has, and handle the latter."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        if self._link is None and not self._connect():
            poll.poll(RETRY_S * 1000)
            return
        assert self._link is not None
        poll.register(self._link.fileno(), select.POLLIN)
        if self._link.fileno() in {fd for fd, _ in poll.poll()}:
            self._receive(self._link)

    def tell(self, *messages: Message) -> None:
        """Send to ksmbd, if there is one."""
        if self._link is None:
            return
        try:
            for message in messages:
                self._link.send(message)
        except (OSError, WireError) as error:
            self._lose(f"ksmbd was not told: {error}")

    def reloaded(self, notice: StateChanged) -> None:
        """Tell ksmbd what a reload changed, global parameters first."""
        self.tell(self._state.starting_up(), notice)

    def close(self) -> None:
        if self._link is not None:
            self._lose("mountd ends")

    def _connect(self) -> bool:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(self._path)
        except OSError as error:
            sock.close()
            if not self._complained:
                log.info("waiting for ksmbd at %s (%s)", self._path, error.strerror)
                self._complained = True
            return False
        self._link = Link(sock)
        self._complained = False
        self._services.forget()
        self._services.questions.connected(self._link.send)
        self._state.server_identity = own_identity(self._link.peer_uid(), self._state)
        log.info("connected to ksmbd")
        self.tell(self._state.starting_up())
        return self._link is not None

    def _receive(self, link: Link) -> None:
        try:
            message = link.receive()
            if message is None:
                self._lose("ksmbd closed it")
            else:
                self._worker.take(message, link.send)
        except WireError as error:
            log.error("malformed message from ksmbd, a bug: %s", error)
            self._lose("ksmbd sent a malformed message")
        except OSError as error:
            self._lose(str(error))

    def _lose(self, why: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            log.info("link to ksmbd closed: %s", why)
            self._services.questions.connected(None)
            link.close()


def own_identity(uid: int, state: State) -> Identity | None:
    """Whom everybody acts as if ksmbd runs as *uid*: itself, unless it is root."""
    if uid == 0:
        return None
    name = state.system.user_name(uid)
    known = state.system.user(name) if name else None
    return known or Identity(uid, os.getgid() if uid == os.getuid() else 65534)


SdNotify = Callable[[str], None]


def sd_notify(address: str | None) -> SdNotify:
    """A function that tells systemd, or nobody if *address* (NOTIFY_SOCKET) is None."""

    def tell(line: str) -> None:
        if not address:
            return
        name = "\0" + address[1:] if address.startswith("@") else address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            try:
                sock.sendto(line.encode(), name)
            except OSError as error:
                log.warning("systemd is not told %s: %s", line, error)

    return tell
