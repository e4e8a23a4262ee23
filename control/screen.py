"""A terminal for a program that shows pictures and hears keys: put right again at its end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import termios
import tty
from types import TracebackType
from typing import Final, Self

RESIZED: Final = "resized"  # instead of a key
GONE: Final = ""  # the terminal is
# the other screen, no cursor, no line goes on in the next; and back
_BEGIN: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_END: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"


class Screen:
    """The terminal of two descriptors, while it is entered."""

    def __init__(self, keys: int, output: int) -> None:
        self._keys = keys
        self._output = output

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._keys)
        self._heard, self._tell = socket.socketpair()
        self._tell.setblocking(False)
        self._handler = signal.signal(signal.SIGWINCH, self._resized)
        tty.setcbreak(self._keys)
        self._write(_BEGIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGWINCH, self._handler)
        self._heard.close()
        self._tell.close()
        with contextlib.suppress(OSError, termios.error):  # the terminal is gone
            self._write(_END)
            termios.tcsetattr(self._keys, termios.TCSAFLUSH, self._before)

    @property
    def height(self) -> int:
        """In lines."""
        return os.get_terminal_size(self._output).lines

    def draw(self, lines: list[str]) -> None:
        """As many of *lines* as there is room for, in the place of what was there."""
        shown = lines[: self.height]
        self._write("\x1b[H" + "\n".join(f"{line}\x1b[K" for line in shown) + "\x1b[J")

    def key(self, seconds: float) -> str | None:
        """The next key within so many seconds, RESIZED, or GONE; None: nothing."""
        heard = self._heard.fileno()
        ready, _, _ = select.select([self._keys, heard], [], [], seconds)
        if heard in ready:
            self._heard.recv(64)
            return RESIZED
        if not ready:
            return None
        try:
            return os.read(self._keys, 1).decode("ascii", "replace")
        except OSError:
            return GONE

    def _resized(self, *_: object) -> None:
        try:
            self._tell.send(b"\0")
        except BlockingIOError:  # it has been told often enough
            return

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._output, data) :]
