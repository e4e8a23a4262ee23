"""What mountd asks ksmbd: the few things that only the server knows."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from ksmbd.wire.base import WireError
from ksmbd.wire.ipc import (
    EndRequest,
    EndResponse,
    FileSecurityRequest,
    FileSecurityResponse,
    Message,
    OpensRequest,
    OpensResponse,
    SessionsRequest,
    SessionsResponse,
)

log = logging.getLogger("mountd")

PATIENCE_S: Final = 3.0
M = TypeVar("M", bound=Message)


class Opened(NamedTuple):
    """One open, as ksmbd tells of it."""

    number: int
    access: int  # granted, [MS-SMB2] 2.2.13.1
    locks: int
    session: int  # the low 32 bits of its id
    tree: int
    path: str
    user: str


class _Pending:
    """A question whose thread waits."""

    __slots__ = ("answer", "done")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Message | None = None


class Questions:
    """For any thread but the one that receives the answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles = itertools.count(1)
        self._send: Callable[[Message], None] | None = None  # by _lock; None: ksmbd is away
        self._pending: dict[int, _Pending] = {}  # by _lock

    def connected(self, send: Callable[[Message], None] | None) -> None:
        """ksmbd is there, or (None) gone: whoever waits for it waits no longer."""
        with self._lock:
            self._send = send
            waiting, self._pending = list(self._pending.values()), {}
        for pending in waiting:
            pending.done.set()

    def answered(self, handle: int, message: Message) -> None:
        """An answer has come; one that nobody waits for any more is dropped."""
        with self._lock:
            pending = self._pending.pop(handle, None)
        if pending is not None:
            pending.answer = message
            pending.done.set()

    def tell(self, *messages: Message) -> None:
        """Send what needs no answer, if ksmbd is there."""
        with self._lock:
            send = self._send
        try:
            for message in messages if send is not None else ():
                send(message)  # type: ignore[misc]
        except (OSError, WireError) as error:
            log.warning("ksmbd was not told: %s", error)

    def opens(self) -> list[Opened]:
        """Every open; [] if ksmbd is away."""
        found: list[Opened] = []
        while True:
            start = len(found)
            page = self._ask(
                lambda handle, start=start: OpensRequest(handle=handle, start=start),  # type: ignore[misc]
                OpensResponse,
            )
            if page is None:
                return found
            columns = (
                *(page.numbers, page.access, page.locks),
                *(page.sessions, page.trees, page.paths, page.users),
            )
            found += [Opened(*row) for row in zip(*columns, strict=True)]
            if len(found) >= page.total or len(found) == start:
                return found

    def idle(self) -> dict[int, int]:
        """Seconds since something came, by the low 32 bits of a session's id; {} as above."""
        found: dict[int, int] = {}
        start = 0
        while True:
            page = self._ask(
                lambda handle, start=start: SessionsRequest(handle=handle, start=start),  # type: ignore[misc]
                SessionsResponse,
            )
            if page is None or not page.sessions:
                return found
            found.update(zip(page.sessions, page.idle, strict=True))
            start += len(page.sessions)
            if start >= page.total:
                return found

    def end(self, *, number: int = 0, client: str = "", user: str = "") -> int:
        """Close an open, or else end sessions; how many there were."""
        answer = self._ask(
            lambda handle: EndRequest(handle=handle, number=number, client=client, user=user),
            EndResponse,
        )
        return answer.count if answer is not None else 0

    def file_security(self, request: FileSecurityRequest) -> tuple[int, bytes] | None:
        """NTSTATUS and descriptor of a file, its handle filled in; None if ksmbd is away."""
        answer = self._ask(lambda handle: replace(request, handle=handle), FileSecurityResponse)
        return None if answer is None else (answer.status, answer.security)

    def _ask(self, make: Callable[[int], Message], kind: type[M]) -> M | None:
        pending = _Pending()
        with self._lock:
            send = self._send
            handle = next(self._handles) & 0xFFFFFFFF
            if send is not None:
                self._pending[handle] = pending
        if send is None:
            return None
        try:
            send(make(handle))
            pending.done.wait(PATIENCE_S)
        except (OSError, WireError) as error:
            log.warning("ksmbd was not asked: %s", error)
        finally:
            with self._lock:
                self._pending.pop(handle, None)
        return pending.answer if isinstance(pending.answer, kind) else None
