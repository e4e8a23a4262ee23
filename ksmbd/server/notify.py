"""Telling systemd how we are: the datagram protocol of sd_notify(3)."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

log = logging.getLogger("ksmbd")

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
WATCHDOG: Final = "WATCHDOG=1"


class Notifier:
    """Does nothing unless the environment has NOTIFY_SOCKET."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # an abstract socket is written with @ for its leading NUL
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = self._interval(environment)

    @staticmethod
    def _interval(environment: Mapping[str, str]) -> float:
        """Half of the time within which systemd wants a sign of life, in seconds; 0: none."""
        pid = environment.get("WATCHDOG_PID", "")
        if pid and pid != str(os.getpid()):
            return 0.0
        try:
            return int(environment.get("WATCHDOG_USEC", "0")) / 2e6
        except ValueError:
            return 0.0

    def send(self, *lines: str) -> None:
        """Send ``NAME=value`` lines in one datagram; a failure is only logged."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", lines[0], error)

    def reloading(self) -> None:
        """RELOADING=1 needs the time it began; READY follows when it is done."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
