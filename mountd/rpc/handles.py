"""Context handles of one pipe, [C706] 14.2.16.6 and [MS-RPCE] 3.3.1.4.

A handle on the wire is twenty bytes: attributes, zero, and a random UUID.  It
is good on the pipe that got it, until closed there or the pipe goes away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ksmbd.wire.status import NtStatus
from mountd.rpc import errors
from mountd.rpc.errors import RpcError, RpcFault

T = TypeVar("T")

HANDLE_SIZE: Final = 20
CLOSED: Final = bytes(HANDLE_SIZE)
MAX_HANDLES: Final = 256  # per pipe; a Windows client keeps a handful


class Handles:
    """The open context handles; used under the pipe's lock."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._open: dict[bytes, object] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, value: object, full: int = NtStatus.INSUFFICIENT_RESOURCES) -> bytes:
        """Return a new handle for *value*; beyond MAX_HANDLES RpcError with the code *full*."""
        if len(self._open) >= MAX_HANDLES:
            raise RpcError(full, "too many context handles")
        handle = bytes(4) + self._random(16)
        self._open[handle] = value
        return handle

    def get(self, handle: bytes, kind: type[T]) -> T:
        """Return what *handle* stands for; RpcFault CONTEXT_MISMATCH if no *kind*."""
        value = self._open.get(handle)
        if value is None or not isinstance(value, kind):
            raise RpcFault(errors.CONTEXT_MISMATCH, f"no {kind.__name__} of that handle")
        return value

    def close(self, handle: bytes) -> None:
        """Forget *handle*; RpcFault CONTEXT_MISMATCH if it is not open."""
        if self._open.pop(handle, None) is None:
            raise RpcFault(errors.CONTEXT_MISMATCH, "no such handle")
