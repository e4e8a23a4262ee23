"""python -m bench.inside: what one request costs inside the server, without a network.

The real transport, reader, dispatch, commands and vfs in this thread, on a socket that has
prepared frames and takes every reply; of many short batches the fastest counts, so that other work
on the machine does not matter.  ``--profile ROW`` shows where the time of a row goes.

It runs on the compiled modules, too, row by row the same: docs/performance.md, "Compiled".
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, cast

import ksmbd.compiled
from ksmbd import interpreter
from ksmbd.server import dispatch
from ksmbd.server.loop import Loop
from ksmbd.server.reader import Reader
from ksmbd.server.tcp import TcpTransport
from ksmbd.server.watchdog import Role, Watchdog
from ksmbd.vfs import credentials
from ksmbd.wire.access import (
    DELETE,
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_LIST_DIRECTORY,
    FILE_READ_ATTRIBUTES,
    GENERIC_READ,
)
from ksmbd.wire.base import Buffer
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, UNLOCK
from ksmbd.wire.query_directory import RESTART_SCANS
from tests.support.client import Client
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.mountd import DISK, share

BATCH: Final = 200  # requests that are timed together
LISTED: Final = 10_000
_LENGTH: Final = struct.Struct(">I")
_MESSAGE_ID: Final = struct.Struct("<Q")
_FILE_ID: Final = struct.Struct("<QQ")
_OPENED_AT: Final = 4 + 64 + 64  # of the FileId in a CREATE response, from the frame's length
_CLOSED_AT: Final = 64 + 8  # of the FileId in a CLOSE request
_NEXT: Final = struct.Struct("<20xI")

Frames = Iterator[bytearray]


class Socket:
    """Both ends of the connection: frames from *source*, one to a call, and replies to nobody.

    A stand-in for the socket, and not for the transport: compiled modules take only what they
    declare of their own classes.
    """

    family = socket.AF_UNIX

    def __init__(self, source: Frames) -> None:
        self._source = source
        self._rest = memoryview(b"")  # of a frame that did not fit
        self.reply: Sequence[Buffer] = ()

    def fileno(self) -> int:
        return -1

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.7", 49152

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.1", 445

    def setblocking(self, flag: bool) -> None:
        """Nothing is ever waited for."""

    def setsockopt(self, *option: object) -> None:
        """There is no kernel to be told."""

    def recv_into(self, buffer: bytearray | memoryview, size: int, flags: int) -> int:
        """The next frame, or the rest of one; 0, the end of the stream, after the last."""
        rest = self._rest
        if not rest:
            frame = next(self._source, None)
            if frame is None:
                return 0
            rest = memoryview(_LENGTH.pack(len(frame)) + frame)
        count = min(len(rest), len(buffer))
        buffer[:count] = rest[:count]
        self._rest = rest[count:]
        return count

    def sendmsg(self, parts: Sequence[Buffer], ancillary: object = (), flags: int = 0) -> int:
        self.reply = parts
        return sum(map(len, parts))

    def shutdown(self, how: int) -> None:
        """The next row goes on with the same connection."""

    def close(self) -> None:
        """Likewise."""


class Queue:
    """The kworkers, in this thread."""

    def run(self, fn: Callable[..., object], *args: object) -> None:
        fn(*args)


class Bench:
    """One logged-on connection, and what the rows need on the share."""

    def __init__(self, folder: Path) -> None:
        config = share("data", str(folder), DISK, vfs_objects=("acl_xattr",))
        self.engine = Engine(folder, shares=[config])
        self.client = Client(self.engine)
        self.client.negotiate()
        session = self.client.log_on()
        self.client.connect("data")  # 3.1.1 insists that this one is signed
        session.signing = False
        self.engine.make_file("file", os.urandom(1 << 20))
        (folder / "new").mkdir(mode=0o777)
        (folder / "new").chmod(0o777)
        self.socket = Socket(iter(()))
        self.loop = Loop(Watchdog(threaded=False), Queue())

    def packed(self, *frames: Frame) -> bytearray:
        """A PDU to be sent once it is numbered; no message id is lost on it."""
        before = self.client.next_id
        pdu = self.client.pack(*frames)
        self.client.next_id = before
        return pdu

    def numbered(self, pdu: bytearray) -> bytearray:
        """A PDU once more, with fresh message ids."""
        again = bytearray(pdu)
        at = 0
        while True:
            _MESSAGE_ID.pack_into(again, at + 24, self.client.next_id)
            self.client.next_id += max(again[at + 6], 1)
            (step,) = _NEXT.unpack_from(again, at)
            if not step:
                return again
            at += step

    def opened(self) -> tuple[int, int]:
        """The FileId in the reply to CREATE."""
        persistent, volatile = _FILE_ID.unpack_from(bytes(self.socket.reply[0]), _OPENED_AT)
        return persistent, volatile

    def timed(self, count: int, frames: Callable[[], Frames]) -> float:
        """Seconds of this thread's processor time for what *frames* yields."""
        self.socket = Socket(frames())
        connection = self.client.connection
        transport = TcpTransport(
            cast(socket.socket, self.socket), self.engine.server.buffers, spare=self.loop.spare
        )
        transport.limit = lambda: connection.max_frame
        before, connection.transport = connection.transport, transport
        reader = Reader(
            connection,
            transport,
            dispatch=dispatch,
            pool=Queue(),
            loop=self.loop,
            lost=lambda _connection: None,
        )
        role = Role(self.loop.promote)
        start = time.thread_time()
        while not reader.ended:
            reader.turn(role)
            self.engine.scheduler.drain()  # what was passed on to a kworker
        taken = time.thread_time() - start
        connection.transport = before
        credentials.become(None)
        return taken / count


Row = Callable[[Bench], Callable[[int], Frames]]


def repeated(bench: Bench, *frames: Frame) -> Callable[[int], Frames]:
    pdu = bench.packed(*frames)

    def source(count: int) -> Frames:
        for _ in range(count):
            yield bench.numbered(pdu)

    return source


def pairs(bench: Bench, create: Callable[[int], Frame]) -> Callable[[int], Frames]:
    """CREATE, then the CLOSE of what it opened."""
    close = bench.packed(bench.client.frames.close())

    def source(count: int) -> Frames:
        for number in range(count):
            yield bench.numbered(bench.packed(create(number)))
            again = bench.numbered(close)
            _FILE_ID.pack_into(again, _CLOSED_AT, *bench.opened())
            yield again

    return source


def echo(bench: Bench) -> Callable[[int], Frames]:
    return repeated(bench, bench.client.frames.echo())


def query_info(bench: Bench) -> Callable[[int], Frames]:
    return repeated(bench, bench.client.open("file").frames.query_info(FileInfo.ALL))


def small_read(bench: Bench) -> Callable[[int], Frames]:
    return repeated(bench, bench.client.open("file").frames.read(4096, 8192))


def small_write(bench: Bench) -> Callable[[int], Frames]:
    return repeated(bench, bench.client.open("file").frames.write(bytes(4096), 8192))


def large_read(bench: Bench) -> Callable[[int], Frames]:
    return repeated(bench, bench.client.open("file").frames.read(1 << 20, 0))


def lock_unlock(bench: Bench) -> Callable[[int], Frames]:
    """A range locked, then unlocked."""
    make = bench.client.open("file").frames
    lock = bench.packed(make.lock((0, 16, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)))
    unlock = bench.packed(make.lock((0, 16, UNLOCK)))

    def source(count: int) -> Frames:
        for _ in range(count):
            yield bench.numbered(lock)
            yield bench.numbered(unlock)

    return source


def open_close(bench: Bench) -> Callable[[int], Frames]:
    make = bench.client.frames
    return pairs(bench, lambda _number: make.open("file", desired_access=GENERIC_READ))


def compound(bench: Bench) -> Callable[[int], Frames]:
    make = bench.client.frames
    related = make.related()
    return repeated(
        bench,
        make.open("file", desired_access=FILE_READ_ATTRIBUTES),
        related.query_info(FileInfo.ALL),
        related.close(),
    )


def create_close(bench: Bench) -> Callable[[int], Frames]:
    """A new file each time, which goes with its close."""
    make = bench.client.frames
    return pairs(
        bench,
        lambda number: make.create(
            f"new\\{number}",
            create_disposition=FILE_CREATE,
            desired_access=GENERIC_READ | DELETE,
            create_options=FILE_DELETE_ON_CLOSE,
        ),
    )


def listing(bench: Bench) -> Callable[[int], Frames]:
    """The first part of a large directory."""
    folder = bench.engine.folder / "many"
    if not folder.exists():
        bench.engine.make_directory("many")
        for number in range(LISTED):
            (folder / f"file{number:06}").touch()
        time.sleep(0.1)  # until the time stamps are settled, as those of most files are
    opened = bench.client.open(
        "many", desired_access=FILE_LIST_DIRECTORY, create_options=FILE_DIRECTORY_FILE
    )
    first = bench.packed(opened.frames.query_directory(flags=RESTART_SCANS))
    following = repeated(bench, opened.frames.query_directory())

    def source(count: int) -> Frames:
        yield bench.numbered(first)
        yield from following(count - 1)

    return source


ROWS: Final[dict[str, tuple[Row, int]]] = {  # with how many requests make a batch
    "echo": (echo, BATCH),
    "query-info": (query_info, BATCH),
    "read-4k": (small_read, BATCH),
    "write-4k": (small_write, BATCH),
    "read-1m": (large_read, 40),
    "lock-unlock": (lock_unlock, BATCH),
    "open-close": (open_close, BATCH),
    "stat-compound": (compound, BATCH),
    "create-delete": (create_close, 100),
    "list-64k": (listing, 8),
}


def measure(name: str, bench: Bench, seconds: float) -> float:
    """Microseconds for each of the row's rounds: the best batch of some."""
    row, count = ROWS[name]
    best = float("inf")
    source = row(bench)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        best = min(best, bench.timed(count, lambda: source(count)))
    return best * 1e6


def profile(name: str, bench: Bench, seconds: float) -> pstats.Stats:
    profiler = cProfile.Profile()
    profiler.enable()
    measure(name, bench, seconds)
    profiler.disable()
    return pstats.Stats(profiler).sort_stats("tottime")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.inside", description=__doc__)
    parser.add_argument("rows", nargs="*", help=", ".join(ROWS))
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="inside-") as name:
        os.chmod(name, 0o755)
        bench = Bench(Path(name))
        print(f"{interpreter.describe()}{ksmbd.compiled.about()}", flush=True)
        for row in chosen.rows or ROWS:
            if chosen.profile:
                profile(row, bench, chosen.seconds).print_stats(40)
            else:
                print(f"{row:16} {measure(row, bench, chosen.seconds):10.2f} us", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
