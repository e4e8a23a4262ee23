"""Hands the metrics out: over HTTP on this machine alone, and as a file for node_exporter.

A thread of its own, ``ksmbd/metrics``, does both: no request of a client ever waits for who reads
metrics, and who reads them slowly only keeps others waiting who read metrics, for PATIENCE_S.

The file is for node_exporter's textfile collector, which reads what ends in ``.prom``: it is
written beside its place and renamed, so that nobody reads half of one, and goes with the server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ksmbd.server.exposition import CONTENT_TYPE
from ksmbd.wire.address import split_port

log = logging.getLogger("ksmbd.conn")

PATIENCE_S: Final = 5.0  # within which a request must have come and its answer gone
CLOSE_S: Final = 0.5  # for the thread to end; somebody may be reading slowly
MAX_REQUEST: Final = 8 << 10  # bytes
EVERY_S: Final = 15.0  # the file is written
SOCKET_MODE: Final = 0o660
FILE_MODE: Final = 0o644
_PATHS: Final = ("/metrics", "/")
_METHODS: Final = ("GET", "HEAD")
_END: Final = b"\r\n\r\n"


class Exporter:
    """Serves what ``render`` returns until ``close``."""

    def __init__(self, address: str, file: str, render: Callable[[], str]) -> None:
        """*address*: ADDRESS:PORT, the path of a Unix socket, or nothing; *file* may be empty."""
        self.address, self.file = address, file
        self.port = 0  # of the TCP socket, from ``start`` on
        self._render = render
        self._socket: socket.socket | None = None
        self._ours: list[str] = []  # files to take away
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closed = False  # only ever becomes true
        self._thread = threading.Thread(target=self._loop, name="ksmbd/metrics", daemon=True)

    def start(self) -> None:
        """Listen and write the first file.  Raises OSError if the address cannot be had."""
        if self.address:
            self._socket = _listen(self.address)
            name = self._socket.getsockname()
            self.port = name[1] if isinstance(name, tuple) else 0
        self._ours = [path for path in (self.address, self.file) if path.startswith("/")]
        self._thread.start()

    def close(self) -> None:
        """Take socket and file away."""
        self._closed = True
        os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            os.close(self._wake)
        if self._socket is not None:
            self._socket.close()
        for path in self._ours:
            Path(path).unlink(missing_ok=True)

    # -- the thread's --------------------------------------------------------------------

    def _loop(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if self._socket is not None:
            poll.register(self._socket, select.POLLIN)
        due = time.monotonic()
        while not self._closed:
            now = time.monotonic()
            if self.file and now >= due:
                self._write()
                due = now + EVERY_S
            ready = dict(poll.poll(max(due - now, 0) * 1000 if self.file else None))
            if self._socket is not None and self._socket.fileno() in ready:
                self._serve(self._socket)

    def _serve(self, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except OSError as error:
            log.debug("metrics: %s", error.strerror)
            return
        with client:
            try:
                self._answer(client)
            except OSError as error:
                log.debug("metrics: %s", error)

    def _answer(self, client: socket.socket) -> None:
        deadline = time.monotonic() + PATIENCE_S
        request = b""
        while _END not in request and len(request) < MAX_REQUEST:
            client.settimeout(max(deadline - time.monotonic(), 0.001))
            more = client.recv(MAX_REQUEST - len(request))
            if not more:
                return
            request += more
        method, path = _asked(request)
        if method not in _METHODS:
            status, body = "405 Method Not Allowed", "GET\n"
        elif path not in _PATHS:
            status, body = "404 Not Found", "/metrics\n"
        elif text := self._text():
            status, body = "200 OK", text
        else:
            status, body = "500 Internal Server Error", ""
        data = body.encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\n"
            f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        )
        client.settimeout(max(deadline - time.monotonic(), 0.001))
        client.sendall(head.encode() + (data if method == "GET" else b""))

    def _text(self) -> str:
        """The metrics; nothing if they cannot be told."""
        try:
            return self._render()
        except Exception:
            log.exception("metrics: a bug in the server")
            return ""

    def _write(self) -> None:
        """Replace the file as a whole; it stays if there is nothing to tell."""
        text = self._text()
        if not text:
            return
        fresh = f"{self.file}.{os.getpid()}.tmp"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(fresh, flags, FILE_MODE), "w", encoding="utf-8") as file:
                file.write(text)
            if self._closed:
                os.unlink(fresh)
                return
            os.replace(fresh, self.file)
        except OSError as error:
            log.warning("metrics file: %s", error)
            with contextlib.suppress(OSError):
                os.unlink(fresh)


def _asked(request: bytes) -> tuple[str, str]:
    """Method and path of the first line; empty if it is none."""
    words = request.partition(b"\r\n")[0].decode("latin-1").split(" ")
    return (words[0], words[1].partition("?")[0]) if len(words) == 3 else ("", "")


def _listen(address: str) -> socket.socket:
    """A listening socket; a Unix socket that is there already is a leftover."""
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if Path(address).is_socket():
            os.unlink(address)
    else:
        family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if address.startswith("/"):
            os.fchmod(sock.fileno(), SOCKET_MODE)  # bind takes the mode over
            sock.bind(address)
        else:
            sock.bind(split_port(address))
        sock.listen(8)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
