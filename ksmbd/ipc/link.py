"""The IPC socket: one frame a datagram, peer checked by its credentials."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from typing import Final, NamedTuple

from ksmbd.wire.base import WireError
from ksmbd.wire.ipc import MAX_FRAME, Message, parse

SEND_TIMEOUT_S: Final = 2.0  # a mountd that does not read for so long is as good as dead
_UCRED: Final = struct.Struct("=iII")


class Peer(NamedTuple):
    """Who is at the other end, as the kernel saw it when it connected."""

    pid: int
    uid: int
    gid: int


class Link:
    """One connected socket. ``send`` is for any thread, ``receive`` for one."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SEND_TIMEOUT_S)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, MAX_FRAME)
        self._socket = sock
        self._buffer = bytearray(MAX_FRAME)
        # held over send and close: a descriptor must not become another file under a sender
        self._sending = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def peer(self) -> Peer:
        raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return Peer(*_UCRED.unpack(raw))

    def send(self, message: Message) -> None:
        """Send one frame.

        Raises OSError if the peer is gone or does not read, WireError if *message* cannot be sent.
        """
        frame = message.pack()
        with self._sending:
            self._socket.send(frame, socket.MSG_NOSIGNAL)

    def receive(self) -> Message | None:
        """The next message, None at the end. Raises WireError, OSError."""
        size, _, flags, _ = self._socket.recvmsg_into([self._buffer])
        if flags & socket.MSG_TRUNC:
            raise WireError(f"frame longer than {MAX_FRAME} bytes")
        return parse(memoryview(self._buffer)[:size]) if size else None

    def close(self) -> None:
        """Wake whoever sends or receives, then close."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):
                raise
        with self._sending:
            self._socket.close()


def listen(path: str, owner: int | None = None) -> socket.socket:
    """Bind *path*, mode 0600, owned by *owner* (a uid) if given.

    A socket that nobody listens on any more is replaced.
    Raises OSError, EADDRINUSE if somebody does listen.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        os.fchmod(sock.fileno(), 0o600)  # bind takes the mode over: never open to all
        sock.bind(path)
        if owner is not None:
            os.chown(path, owner, -1)
        sock.listen(4)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, "another ksmbd listens there", path)
