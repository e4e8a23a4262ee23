"""Waiting without a thread: what a handler raises when its answer must come later.

A handler that cannot answer yet raises :class:`Wait`.  Dispatch sends the interim
STATUS_PENDING where the protocol wants one ([MS-SMB2] 3.3.4.2), parks the work, and runs
the handler *again from its start* on a kworker when the event fires, the time is over, or
the client cancels.  ``work.memo`` keeps what the handler needs to know between its runs,
``work.wake`` says why it runs again.

    running --Wait--> parked --fire/time-out/cancel, first one wins--> running
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import IntEnum

from ksmbd.wire.status import NtStatus


class Wake(IntEnum):
    """Why a parked work runs again."""

    FIRED = 1
    TIMED_OUT = 2
    CANCELLED = 3  # the handler does not run again: Wait.on_cancel does, and the reply goes out


class Event:
    """Happens once; whoever subscribed is told from the thread that fires it."""

    __slots__ = ("_callbacks", "_lock", "fired")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []  # by self._lock
        self.fired = False  # by self._lock; only ever becomes true

    def fire(self) -> None:
        """Let it happen.  A second call does nothing.

        Callbacks only queue work, so that firing under a lock of the lock order is safe.
        """
        with self._lock:
            if self.fired:
                return
            self.fired = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have *callback* called once, at once if the event has happened already."""
        with self._lock:
            if not self.fired:
                self._callbacks.append(callback)
                return
        callback()

    def unsubscribe(self, callback: Callable[[], None]) -> None:
        """Forget *callback* if it has not been called."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


class Wait(Exception):
    """Raised by a handler: park this work until *on* fires.

    ``timeout_s``     run again with ``work.wake`` TIMED_OUT after so many seconds; None: never
    ``on_cancel``     called when the client cancels or goes away, to leave queues
    ``cancel_status`` what a cancelled request is answered with
    ``cancellable``   False: only the end of the connection ends it early
    ``interim``       False: never tell the client that it is pending (waits of a moment)
    ``in_compound``   tell it although more commands follow in the compound: CREATE alone does
    """

    def __init__(
        self,
        on: Event,
        *,
        timeout_s: float | None = None,
        on_cancel: Callable[[], None] | None = None,
        cancel_status: NtStatus = NtStatus.CANCELLED,
        cancellable: bool = True,
        interim: bool = True,
        in_compound: bool = False,
    ) -> None:
        self.on = on
        self.timeout_s = timeout_s
        self.on_cancel = on_cancel
        self.cancel_status = cancel_status
        self.cancellable = cancellable
        self.interim = interim
        self.in_compound = in_compound


AT_ONCE = Event()
"""Waiting for this is only a change of threads."""
AT_ONCE.fire()


class Elsewhere(Wait):
    """The handler has not begun yet, and is to run on a kworker; its open stays as it is."""

    def __init__(self) -> None:
        super().__init__(AT_ONCE, interim=False)
