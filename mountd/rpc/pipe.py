"""Named pipes of IPC$ with an RPC association behind each, by the client's pipe handle.

Message-mode semantics, [MS-FSCC] 2.3 and [MS-SMB2] 3.3.5.12: every reply
fragment is one message; a read shorter than the message leaves the rest for the
next read and says so.  Calls on different handles run side by side, calls on
one handle one after the other.  Locks, in this order: a pipe's own, held while
its call runs; Pipes._lock, held for a moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, NamedTuple

from ksmbd.wire.base import Buffer
from mountd.rpc import association
from mountd.rpc.association import Association
from mountd.rpc.dssetup import DSSETUP
from mountd.rpc.endpoint_mapper import endpoint_mapper
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.handles import Handles
from mountd.rpc.interface import Caller, Context, Interface
from mountd.rpc.lsarpc import LSARPC
from mountd.rpc.management import MGMT
from mountd.rpc.samr import SAMR
from mountd.rpc.srvsvc import SRVSVC
from mountd.rpc.winreg import WINREG
from mountd.rpc.wkssvc import WKSSVC

log = logging.getLogger("mountd.rpc")

MAX_PIPES: Final = 4096
MAX_WRITE: Final = 8 << 20  # bytes of one write, the largest SMB2 WRITE
MAX_BUFFERED: Final = 64 << 20  # bytes held for all pipes together ...
FAIR_SHARE: Final = 64 << 10  # ... beyond which a pipe that holds this much may not grow

_SERVICES: Final[Mapping[str, tuple[Interface, ...]]] = {
    "srvsvc": (SRVSVC, MGMT),
    "wkssvc": (WKSSVC, MGMT),
    "winreg": (WINREG, MGMT),
    "lsarpc": (LSARPC, DSSETUP, SAMR, MGMT),
    "samr": (SAMR, LSARPC, DSSETUP, MGMT),
    "lsass": (LSARPC, SAMR, DSSETUP, MGMT),
}
PIPES: Final[Mapping[str, tuple[Interface, ...]]] = {
    **_SERVICES,
    "epmapper": (endpoint_mapper(_SERVICES), MGMT),
}


class Chunk(NamedTuple):
    """What a read brought."""

    data: bytes
    more: bool = False  # the message goes on: BUFFER_OVERFLOW


class Peek(NamedTuple):
    """What FSCTL_PIPE_PEEK and FilePipeLocalInformation want to know."""

    available: int  # bytes of all unread messages
    messages: int
    length: int  # bytes left of the first


@dataclass(slots=True)
class Pipe:
    """One open pipe."""

    association: Association  # by lock
    lock: Lock = field(default_factory=Lock)
    held: int = 0  # by Pipes._lock: bytes counted for this pipe


class Pipes:
    """Every open pipe of the server.  Raises RpcError with a Win32 code and nothing else."""

    def __init__(
        self,
        context: Context,
        random: Callable[[int], bytes],
        pipes: Mapping[str, tuple[Interface, ...]] = PIPES,
    ) -> None:
        self._context = context
        self._random = random
        self._names = pipes
        self._lock = Lock()
        self._open: dict[int, Pipe] = {}  # by _lock
        self._held = 0  # by _lock: bytes buffered in all pipes

    def open(self, handle: int, name: str, caller: Caller) -> None:
        """Open the pipe *name*, without regard to case or a leading backslash or PIPE\\.

        FILE_NOT_FOUND     there is no such pipe
        INVALID_PARAMETER  the handle is in use
        PIPE_BUSY          MAX_PIPES are open
        """
        name = name.casefold().lstrip("\\").removeprefix("pipe\\")
        interfaces = self._names.get(name)
        if interfaces is None:
            log.debug("no pipe %r", name)
            raise RpcError(Win32.FILE_NOT_FOUND, name)
        handles = Handles(self._random)
        conversation = Association(name, interfaces, self._context, caller, handles)
        pipe = Pipe(conversation)
        with self._lock:
            if handle in self._open:
                raise RpcError(Win32.INVALID_PARAMETER, f"pipe {handle:#x} is open")
            if len(self._open) >= MAX_PIPES:
                raise RpcError(Win32.PIPE_BUSY, "too many pipes")
            self._open[handle] = pipe

    def write(self, handle: int, data: Buffer) -> None:
        """Give the association *data*, running every request that is complete with it.

        INVALID_HANDLE      no such pipe
        PIPE_NOT_CONNECTED  the association broke over an earlier message
        INVALID_PARAMETER   more than MAX_WRITE bytes
        PIPE_BUSY           too many replies have not been read
        NOT_ENOUGH_MEMORY   all pipes together hold too much
        """
        pipe = self._pipe(handle)
        with pipe.lock:
            self._write(pipe, data)
            self._settle(handle, pipe)

    def read(self, handle: int, length: int) -> Chunk:
        """Read up to *length* bytes of the first unread message.

        INVALID_HANDLE      no such pipe
        NO_DATA             nothing to read, and nothing will come before the next write
        PIPE_NOT_CONNECTED  nothing to read, and the association is broken
        """
        pipe = self._pipe(handle)
        with pipe.lock:
            chunk = self._read(pipe, length)
            self._settle(handle, pipe)
        return chunk

    def transceive(self, handle: int, data: Buffer, length: int) -> Chunk:
        """Write *data* and read the reply, [MS-FSCC] 2.3.47: the statuses of both, and

        PIPE_BUSY  a message was waiting to be read before
        """
        pipe = self._pipe(handle)
        with pipe.lock:
            if pipe.association.replies:
                raise RpcError(Win32.PIPE_BUSY, "unread data")
            self._write(pipe, data)
            chunk = self._read(pipe, length)
            self._settle(handle, pipe)
        return chunk

    def peek(self, handle: int) -> Peek:
        """Tell what could be read; INVALID_HANDLE if there is no such pipe."""
        pipe = self._pipe(handle)
        with pipe.lock:
            replies = pipe.association.replies
            first = len(replies[0]) if replies else 0
            return Peek(pipe.association.unread, len(replies), first)

    def close(self, handle: int) -> None:
        """Forget the pipe and all it holds; one that is not open is fine."""
        with self._lock:
            pipe = self._open.pop(handle, None)
            if pipe is not None:
                self._held -= pipe.held

    def close_all(self) -> None:
        """Forget every pipe: the server they belonged to is gone."""
        with self._lock:
            self._open.clear()
            self._held = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._open)

    @property
    def held(self) -> int:
        """Bytes buffered in all pipes."""
        with self._lock:
            return self._held

    def _pipe(self, handle: int) -> Pipe:
        with self._lock:
            pipe = self._open.get(handle)
        if pipe is None:
            raise RpcError(Win32.INVALID_HANDLE, f"pipe {handle:#x}")
        return pipe

    def _write(self, pipe: Pipe, data: Buffer) -> None:
        conversation = pipe.association
        if conversation.broken:
            raise RpcError(Win32.PIPE_NOT_CONNECTED, "the association is broken")
        if len(data) > MAX_WRITE:
            raise RpcError(Win32.INVALID_PARAMETER, f"write of {len(data)} bytes")
        if conversation.unread > association.MAX_UNREAD:
            raise RpcError(Win32.PIPE_BUSY, f"{conversation.unread} bytes unread")
        if conversation.buffered > FAIR_SHARE and self.held > MAX_BUFFERED:
            raise RpcError(Win32.NOT_ENOUGH_MEMORY, f"{self.held} bytes in all pipes")
        conversation.receive(data)

    def _read(self, pipe: Pipe, length: int) -> Chunk:
        data, rest = pipe.association.take(length)
        if not data and not rest:
            broken = pipe.association.broken
            raise RpcError(Win32.PIPE_NOT_CONNECTED if broken else Win32.NO_DATA, "nothing to read")
        return Chunk(data, rest > 0)

    def _settle(self, handle: int, pipe: Pipe) -> None:
        """Count anew what the pipe holds, unless it was closed meanwhile."""
        held = pipe.association.buffered
        with self._lock:
            if self._open.get(handle) is pipe:
                self._held += held - pipe.held
                pipe.held = held
