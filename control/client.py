"""Talking to the running ksmbd over its control socket: one JSON object per line each way."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

SOCKET_NAME: Final = "control.sock"  # in the run directory
TIMEOUT_S: Final = 30.0  # ten thousand open files are told in seconds, on a busy machine
PIECE: Final = 256 << 10  # bytes received at a time; more than the buffer of a file object
MAX_ANSWER: Final = 64 << 20  # bytes; a status with ten thousand open files has some megabytes


class NotRunning(Exception):
    """Nobody listens; the text says where."""


class Refused(Exception):
    """The server said no; the text is its reason."""


class Client:
    """One connection to the server of a run directory."""

    def __init__(self, run_dir: Path) -> None:
        """Raises NotRunning, or OSError if we may not connect."""
        path = run_dir / SOCKET_NAME
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            self._socket.close()
            raise NotRunning(f"ksmbd is not running: nobody listens on {path}") from None
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")

    def ask(self, command: str, **arguments: Any) -> Any:
        """The result of a command.  Raises Refused, NotRunning if the server ended meanwhile."""
        request = {"command": command, **arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._lines.readline(MAX_ANSWER)
        except ConnectionError:
            line = b""
        except TimeoutError:
            raise Refused(f"ksmbd does not answer within {TIMEOUT_S:g} s") from None
        if not line:
            raise NotRunning("ksmbd ended the connection; its log may say why")
        answer = json.loads(line)
        if not answer["ok"]:
            raise Refused(answer["error"])
        return answer["result"]

    def receive(self) -> bytes:
        """What the server sends behind an answer, as it comes; waits for it.  Empty: the end.

        All that is here is handed out: ``select`` tells whether more has come.
        """
        self._socket.settimeout(None)
        try:
            return self._lines.read1(PIECE)
        except ConnectionError:
            return b""

    def say_no_more(self) -> None:
        """Tell the server that this was all."""
        with contextlib.suppress(OSError):  # it has ended
            self._socket.shutdown(socket.SHUT_WR)

    def fileno(self) -> int:
        return self._socket.fileno()

    def wait_ended(self) -> bool:
        """Wait until the server has ended, or dropped us; False if it did neither."""
        try:
            return not self._lines.readline(MAX_ANSWER)
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
