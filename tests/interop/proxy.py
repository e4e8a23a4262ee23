"""A TCP proxy on the loopback: what somebody on the wire would see, and could change."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

CHUNK: Final = 1 << 16

Change = Callable[[bytearray, bool], None]  # what passes, in place, and whether a client sent it


class Proxy:
    """Forwards connections to *port*; ``port`` is its own."""

    def __init__(self, port: int, host: str = "127.0.0.1", *, change: Change | None = None) -> None:
        self.host = host
        self._change = change
        self._target = (host, port)
        self._lock = threading.Lock()
        self._seen = bytearray()  # by self._lock; both directions of all connections
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []  # by the accepting thread, until it has ended
        self._threads: list[threading.Thread] = []  # of the connections
        self._acceptor = self._start(self._accept)

    def seen(self) -> bytes:
        """Everything that has passed."""
        with self._lock:
            return bytes(self._seen)

    def unc(self, share: str = "share") -> str:
        return f"//{self.host}/{share}"

    def close(self) -> None:
        """End all connections and wait for the threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()  # from here on no connection is added
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # the peer was first
                sock.shutdown(socket.SHUT_RDWR)  # closing would not wake a thread that reads it
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @staticmethod
    def _start(target: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.shutdown(socket.SHUT_RDWR)
                continue
            self._sockets.append(server)
            for way in ((client, server, True), (server, client, False)):
                self._threads.append(self._start(self._forward, *way))

    def _forward(self, source: socket.socket, target: socket.socket, by_client: bool) -> None:
        try:
            while data := bytearray(source.recv(CHUNK)):
                if self._change is not None:
                    self._change(data, by_client)
                with self._lock:
                    self._seen += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return
