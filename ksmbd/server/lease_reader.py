"""Hears from the kernel that a local program wants a file that a client caches: one thread.

The kernel tells by a signal to one thread; the reader's own, which keeps it blocked and reads it
from a descriptor (signalfd), so that no other thread is ever interrupted, and none could be ended
by it.  The thread starts with the first lease.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable

from ksmbd.vfs import file_leases

log = logging.getLogger("ksmbd.oplock")

START_S = 10.0


class LeaseReader:
    """``state.kernel_leases.Listener``; calls *broken* with a descriptor, None for all of them."""

    def __init__(self, broken: Callable[[int | None], None]) -> None:
        self._broken = broken
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None  # by self._lock
        self._started = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._id = 0  # the thread's, once it has started

    def claim(self, fd: int) -> bool:
        """Have the signals about a descriptor sent to the thread; False if nobody would hear."""
        with self._lock:
            if self._wake < 0:
                return False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ksmbd-leases", daemon=True)
                self._thread.start()
        if not self._started.wait(START_S) or not self._id:
            return False
        file_leases.direct(fd, self._id)
        return True

    def close(self) -> None:
        """End the thread; nothing is granted any more."""
        with self._lock:
            if self._wake < 0:
                return
            if self._thread is not None:
                os.eventfd_write(self._wake, 1)
                self._thread.join()
            os.close(self._wake)
            self._wake = -1

    def _run(self) -> None:
        file_leases.hold_back_signals()
        try:
            signals = file_leases.signal_descriptor()
        except OSError as failed:
            log.warning("kernel oplocks: signals cannot be read, nothing is granted: %s", failed)
            self._started.set()
            return
        self._id = threading.get_native_id()
        self._started.set()
        poll = select.poll()
        poll.register(signals, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        try:
            while self._wake not in dict(poll.poll()):
                for fd in file_leases.read_signals(signals):
                    self._broken(fd)
        finally:
            os.close(signals)
