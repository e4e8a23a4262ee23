"""ksmbd-mountd as our child, for those who run both with one command (``--with-mountd``).

One thread, ``ksmbd/mountd``, starts it, waits for it, and starts it again when it ends by
itself.  It notices by itself when we die (``--with-parent``).
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Final

log = logging.getLogger("ksmbd.ipc")

RESTART_S: Final = (1.0, 2.0, 5.0, 10.0)  # after the first, second ... end by itself
OURS: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # systemd means us, not it


class Child:
    """One supervised process."""

    def __init__(self, command: Sequence[str], ended: Callable[[int], bool]) -> None:
        """*ended* is told the exit status of a process nobody stopped; True: start it again."""
        self._command = list(command)
        self._ended = ended
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None  # by self._lock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ksmbd/mountd", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def signal(self, number: int) -> None:
        """Send a signal to the process, if there is one."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(number)

    def stop(self, deadline_s: float) -> None:
        """End the process: SIGTERM, after *deadline_s* SIGKILL."""
        self._stopped.set()
        self.signal(signal.SIGTERM)
        if self._thread.is_alive():
            self._thread.join(deadline_s)
        if self._thread.is_alive():
            log.warning("mountd does not end: killed")
            self.signal(signal.SIGKILL)
            self._thread.join(deadline_s)

    def _loop(self) -> None:
        restarts = 0
        while not self._stopped.is_set():
            status = self._run()
            if self._stopped.is_set() or not self._ended(status):
                return
            pause = RESTART_S[min(restarts, len(RESTART_S) - 1)]
            restarts += 1
            log.warning("mountd ended with status %d; started again in %g s", status, pause)
            self._stopped.wait(pause)

    def _run(self) -> int:
        """One life of the process; its exit status, negative for a signal."""
        environment = {name: text for name, text in os.environ.items() if name not in OURS}
        with self._lock:
            if self._stopped.is_set():
                return 0
            self._process = process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, env=environment, umask=0o022
            )
        return process.wait()
