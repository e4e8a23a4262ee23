"""A named pipe, [MS-SMB2] 3.3.5.9 with ShareType pipe: a conversation with mountd's DCE/RPC.

The pipe is in message mode: what one write brought is one request, and a read that is shorter
than the pending answer gives STATUS_BUFFER_OVERFLOW and the rest later.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from ksmbd.ipc.client import Mountd
from ksmbd.ipc.requests import RpcReply
from ksmbd.state.wait import Event
from ksmbd.wire.base import Buffer
from ksmbd.wire.ipc import RPC_CLOSE, RPC_IOCTL, RPC_PEEK, RPC_READ, RPC_WRITE, RpcStatus
from ksmbd.wire.status import NtStatus, NtStatusError

log = logging.getLogger("ksmbd.ipc")

_REFUSED: Final = {
    RpcStatus.NO_SUCH_PIPE: NtStatus.OBJECT_NAME_NOT_FOUND,
    RpcStatus.ACCESS_DENIED: NtStatus.ACCESS_DENIED,
    RpcStatus.BAD_FID: NtStatus.FILE_CLOSED,
    RpcStatus.NOMEM: NtStatus.INSUFFICIENT_RESOURCES,
    RpcStatus.NOT_IMPLEMENTED: NtStatus.NOT_SUPPORTED,
    RpcStatus.PIPE_BUSY: NtStatus.PIPE_BUSY,
    RpcStatus.NO_DATA: NtStatus.PIPE_EMPTY,
    RpcStatus.NOT_CONNECTED: NtStatus.PIPE_DISCONNECTED,
}


class Pipe:
    """One open of a pipe; *number* is its handle at mountd."""

    def __init__(self, mountd: Mountd, number: int, name: str) -> None:
        self._mountd = mountd
        self.number = number
        self.name = name
        self._lock = threading.Lock()
        self._readers: list[Event] = []  # by self._lock; who waits for something to read

    def write(self, data: Buffer) -> None:
        """Send a request, or a part of one.

        PIPE_NOT_AVAILABLE  mountd is away, as for the others
        """
        self.checked(self._mountd.rpc(self.number, RPC_WRITE, data))
        self._wake()

    def expect(self) -> Event:
        """What fires when there may be more to read, or never will be; see :meth:`give_up`."""
        event = Event()
        with self._lock:
            self._readers.append(event)
        return event

    def give_up(self, event: Event) -> None:
        """Nobody waits for *event* any more."""
        with self._lock:
            if event in self._readers:
                self._readers.remove(event)

    def _wake(self) -> None:
        with self._lock:
            readers, self._readers = self._readers, []
        for event in readers:
            event.fire()

    def read(self, length: int) -> tuple[NtStatus, bytes]:
        """The next *length* bytes of an answer; BUFFER_OVERFLOW with them if there are more.

        PIPE_EMPTY   there is no answer to read
        """
        return self._data(self._mountd.rpc(self.number, RPC_READ, b"", length))

    def transceive(self, data: Buffer, length: int) -> tuple[NtStatus, bytes]:
        """Write and read in one step, FSCTL_PIPE_TRANSCEIVE."""
        return self._data(self._mountd.rpc(self.number, RPC_IOCTL, data, length))

    def peek(self) -> bytes:
        """Three 32-bit numbers: bytes unread, messages, bytes of the first of them."""
        return self.checked(self._mountd.rpc(self.number, RPC_PEEK, b"")).payload

    def close(self) -> None:
        """The client is done with it; a mountd that is away has forgotten it anyway."""
        try:
            self._mountd.rpc(self.number, RPC_CLOSE, b"")
        except NtStatusError as failed:
            log.debug("closing pipe %s: %s", self.name, failed)
        self._wake()

    def _data(self, reply: RpcReply) -> tuple[NtStatus, bytes]:
        if reply.flags == RpcStatus.MORE_DATA:
            return NtStatus.BUFFER_OVERFLOW, reply.payload
        return NtStatus.SUCCESS, self.checked(reply).payload

    @staticmethod
    def checked(reply: RpcReply) -> RpcReply:
        """The reply itself if it is no refusal; else the status that stands for it."""
        if reply.flags in (RpcStatus.OK, RpcStatus.MORE_DATA):
            return reply
        status = _REFUSED.get(RpcStatus(reply.flags) if reply.flags in _KNOWN else RpcStatus.OK)
        raise NtStatusError(status or NtStatus.INVALID_PARAMETER, f"pipe status {reply.flags:#x}")


_KNOWN: Final = frozenset(int(status) for status in RpcStatus)
