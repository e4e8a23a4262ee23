"""The control socket: what ksmbd-control asks the running server.

It stands in for /sys/class/ksmbd-control.  A stream socket in the run directory, mode 0600,
for root and the server's own user; one JSON object per line each way::

    {"command": "debug", "component": "smb"}
    {"ok": true, "result": "[smb] auth vfs oplock ipc conn rdma"}
    {"ok": false, "error": "unknown component 'x'; ..."}

What the commands do is the table that the server passes in.  Behind its answer a command may have
the connection for itself, for as long as it likes (``HandOver``): others are answered meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

log = logging.getLogger("ksmbd.ipc")

SOCKET_NAME: Final = "control.sock"  # in the run directory
MAX_LINE: Final = 64 << 10  # bytes of a request
CLIENT_TIMEOUT_S: Final = 5.0  # a client that neither asks nor reads for so long is dropped

Command = Callable[[Mapping[str, Any]], Any]

_UCRED: Final = struct.Struct("=iII")


class HandOver(NamedTuple):
    """A command's result, and who has the connection afterwards."""

    result: Any
    serve: Callable[[socket.socket], None]  # returns at once; the socket is its own


class ControlError(Exception):
    """A request that cannot be done; the text is for the administrator."""


def _line(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def _hand_over(client: socket.socket, to: HandOver) -> None:
    """If the client is gone already, that is for the new owner to see, who has begun something."""
    mine = client.dup()
    with contextlib.suppress(OSError):
        mine.sendall(_line({"ok": True, "result": to.result}))
    mine.settimeout(None)
    to.serve(mine)


class ControlServer:
    """Answers one client after the other on the thread ``ksmbd/control``."""

    def __init__(self, path: str, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._loop, name="ksmbd/control", daemon=True)
        self._client: socket.socket | None = None  # the one being answered
        self._closed = False

    def start(self) -> None:
        """Bind and serve.  Raises OSError.

        The caller holds the run directory's lock: a socket that is there is a leftover.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(sock.fileno(), 0o600)  # bind takes the mode over: never open to all
            sock.bind(self._path)
            sock.listen(8)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        self._thread.start()

    def close(self) -> None:
        """Stop serving and remove the socket; a command that is running is not waited for long."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._closed = True
        # Whoever is being answered gets the answer; a "kill" brought us here, as a rule.
        for each, how in ((sock, socket.SHUT_RDWR), (self._client, socket.SHUT_RD)):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(how)
        if threading.current_thread() is not self._thread:
            self._thread.join(0.5)
        sock.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _loop(self) -> None:
        sock = self._socket
        while sock is not None and not self._closed:
            try:
                client, _ = sock.accept()
            except OSError as error:
                if not self._closed:
                    log.error("the control socket failed: %s", error)
                return
            with client:
                self._client = client
                try:
                    self._serve(client)
                except OSError as error:
                    log.debug("control client: %s", error)

    def _serve(self, client: socket.socket) -> None:
        """Answer every line of one client."""
        client.settimeout(CLIENT_TIMEOUT_S)
        raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(raw)
        if uid not in (0, os.geteuid()):
            log.warning("process %d of uid %d may not control the server", pid, uid)
            return
        with client.makefile("rb") as lines:
            while line := lines.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    log.warning("process %d sent a line of more than %d bytes", pid, MAX_LINE)
                    return
                answer = self._answer(line)
                result = answer.get("result")
                if isinstance(result, HandOver):
                    _hand_over(client, result)
                    return
                client.sendall(_line(answer))

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"ok": False, "error": "the request is not JSON"}
        if not isinstance(request, dict):
            return {"ok": False, "error": "the request is no object"}
        name = request.get("command")
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            return {"ok": False, "error": f"unknown command {name!r}"}
        log.debug("control: %s", name)
        try:
            return {"ok": True, "result": command(request)}
        except ControlError as refused:
            return {"ok": False, "error": str(refused)}
        except Exception:
            log.exception("control command %s: a bug in the server", name)
            return {"ok": False, "error": "a bug in the server; its log says more"}
