"""``ksmbd-control capture``: what a client sends and is sent, for Wireshark.

The server writes pcapng blocks into the control socket; they go on, whole, into a file or to the
standard output.  When it is enough the server is told so, and what it had still to say comes, with
the figures at the end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from control.client import Client, Refused
from ksmbd.wire import pcapng
from ksmbd.wire.base import WireError

log = logging.getLogger("ksmbd.control")

STDOUT: Final = "-"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Limits(NamedTuple):
    """When it is enough; 0: never."""

    seconds: float = 0
    size: int = 0  # bytes of the file


class Recorded(NamedTuple):
    """How a capture ended."""

    packets: int
    size: int  # bytes written
    dropped: int | None  # messages that are missing; None: the server ended in its midst


def capture(
    run_dir: Path, file: str, whom: dict[str, Any], *, decrypted: bool, limits: Limits
) -> str:
    """Capture into *file* until interrupted or the limits are reached; nothing to print.

    Raises NotRunning, Refused, or OSError.
    """
    with Client(run_dir) as client, _opened(file) as fd, _interrupts() as interrupted:
        client.ask("capture", decrypted=decrypted, **whom)
        done = record(client, fd, limits, interrupted)
    if done.dropped is None:
        raise Refused(f"ksmbd ended the capture; {done.packets} packets of it are there")
    lost = f", {done.dropped} messages were dropped for want of room" if done.dropped else ""
    log.info("%d packets in %d bytes%s", done.packets, done.size, lost)
    return ""


def record(
    client: Client,
    fd: int,
    limits: Limits,
    interrupted: socket.socket,
    clock: Callable[[], float] = time.monotonic,
) -> Recorded:
    """Write what comes to *fd* until it is enough, which it also is when *interrupted* says so."""
    end = clock() + limits.seconds if limits.seconds else None
    packets, size = 0, 0
    pending = bytearray()
    sources = [client.fileno(), interrupted.fileno()]
    stopped = False
    while piece := client.receive():  # the first is on its way already
        pending += piece
        blocks, full = _take(pending, limits.size - size if limits.size else None)
        _write(fd, b"".join(blocks))
        packets += sum(pcapng.kind_of(block) == pcapng.PACKET for block in blocks)
        size += sum(map(len, blocks))
        if blocks and pcapng.kind_of(blocks[-1]) == pcapng.STATISTICS:
            return Recorded(packets, size, pcapng.statistics_of(blocks[-1]).dropped)
        while not stopped:
            left = None if end is None else max(end - clock(), 0)
            ready = [] if full else select.select(sources, [], [], left)[0]
            if ready == sources[:1]:
                break
            stopped = True
            client.say_no_more()
    return Recorded(packets, size, None)


def _take(pending: bytearray, room: int | None) -> tuple[list[bytes], bool]:
    """The whole blocks of *pending*, without packets that find no *room*, and whether it is full.

    Raises Refused.
    """
    try:
        blocks, length = pcapng.split(pending)
    except WireError as wrong:
        raise Refused(f"ksmbd sends what is no capture: {wrong}") from None
    del pending[:length]
    if room is None:
        return blocks, False
    kept: list[bytes] = []
    full = False
    for block in blocks:
        if pcapng.kind_of(block) == pcapng.PACKET:
            full = full or len(block) > room
            if full:
                continue
        room -= len(block)
        kept.append(block)
    return kept, full


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextlib.contextmanager
def _opened(file: str) -> Iterator[int]:
    """The descriptor to write to; a file is for its owner's eyes only."""
    if file == STDOUT:
        if sys.stdout.isatty():
            raise Refused("a capture is nothing for a terminal: name a file, or pipe it")
        yield sys.stdout.fileno()
        return
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode):
            if found.st_uid != os.geteuid():
                raise Refused(f"{file} is another user's, who could read the capture")
            os.fchmod(fd, 0o600)
            os.ftruncate(fd, 0)
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _interrupts() -> Iterator[socket.socket]:
    """What can be read from when the user interrupts; the second time that ends the process."""
    heard, tell = socket.socketpair()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def interrupt(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        tell.send(b"\0")

    for number in _SIGNALS:
        signal.signal(number, interrupt)
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.close()
        tell.close()
