"""Bulk transfer under every signature and cipher, by a client that costs next to nothing.

What loads a server must not be what limits it.  Requests are made, signed and sealed before the
clock starts, and of the replies only the lengths are looked at: the kernel throws their bytes away
(MSG_TRUNC).  So nearly all processor time of the machine is the server's, and two clients show
whether it uses more than one core.  Before the clock starts one reply is opened and compared with
the file, and after it has stopped the file is compared with what was written.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from bench.client import NBSS, TIMEOUT_S, connect, earn, framed
from bench.load import Load, LoadError
from ksmbd.wire.access import GENERIC_READ, GENERIC_WRITE
from ksmbd.wire.header import SIGNED, TRANSFORM_SIZE
from ksmbd.wire.negotiate import (
    AES_128_CCM,
    AES_128_GCM,
    AES_256_CCM,
    AES_256_GCM,
    AES_CMAC,
    AES_GMAC,
)
from ksmbd.wire.read import ReadResponse
from ksmbd.wire.status import NtStatus
from tests.support.frames import Frame
from tests.support.peers import Peer

BLOCK: Final = 1 << 20
DEPTH: Final = 4  # requests in flight on each connection
CREDITS: Final = 256  # more than DEPTH blocks take
SMALL: Final = 512  # a reply of no more may be an interim one
AROUND: Final = 4  # times the file is written, unless the time is over before
MANY: Final = 8192  # read requests made beforehand: more than a round does
SCRATCH: Final = bytearray(BLOCK + SMALL)  # what the kernel throws away is as if it came here


class Way(NamedTuple):
    """How messages are protected."""

    signing: int = AES_CMAC
    cipher: int = 0
    signed: bool = False


WAYS: Final = {
    "unsigned": Way(),
    "CMAC": Way(AES_CMAC, signed=True),
    "GMAC": Way(AES_GMAC, signed=True),
    "AES-128-CCM": Way(cipher=AES_128_CCM),
    "AES-128-GCM": Way(cipher=AES_128_GCM),
    "AES-256-CCM": Way(cipher=AES_256_CCM),
    "AES-256-GCM": Way(cipher=AES_256_GCM),
}


class Stream:
    """One connection with its requests ready, and what is still to come of a reply."""

    def __init__(self, peer: Peer, way: Way, writing: bool, index: int, blocks: int) -> None:
        self.client, self.link = connect(
            peer,
            signing=way.signing,
            ciphers=[way.cipher] if way.cipher else [],
            signed=way.signed,
        )
        self.writing, self.blocks = writing, blocks
        self.path = peer.path() / (f"bench_bulk{index}.dat" if writing else "bench_big.dat")
        self.pattern = os.urandom(BLOCK)
        self.sent_at: deque[float] = deque()
        self.latencies: list[float] = []
        self.left = 0  # bytes of a reply that are still to come

    def prepare(self, way: Way) -> None:
        """Open the file, try one request, make the others ready."""
        earn(self.client, CREDITS)
        access = GENERIC_READ | (GENERIC_WRITE if self.writing else 0)
        self.file = self.client.open(self.path.name, desired_access=access)
        if self.writing:
            self._fill()
        self.expected = self._try_one(way)
        self.requests = self._ready()

    def fileno(self) -> int:
        return self.link.socket.fileno()

    def submit(self, until: float) -> None:
        """One request more, unless the time is over or none is left."""
        now = time.perf_counter()
        request = next(self.requests, None) if now < until else None
        if request is not None:
            self.sent_at.append(now)
            self.link.socket.sendall(request)

    def receive(self, until: float) -> None:
        """What there is of a reply; LoadError when it is not as long as a good one."""
        if not self.left:
            self.left = self._begin()
        if self.left:
            count = self.link.socket.recv_into(SCRATCH, self.left, socket.MSG_TRUNC)
            if not count:
                raise ConnectionError("the server closed the connection")
            self.left -= count
            if not self.left:
                self.latencies.append(time.perf_counter() - self.sent_at.popleft())
                self.submit(until)

    def close(self) -> None:
        self.link.close()

    def check(self) -> None:
        """LoadError when the file is not what was written to it."""
        count = min(len(self.latencies), self.blocks) if self.writing else 0
        written = islice(_blocks(self.path), count)
        if any(block != self.pattern for block in written):
            raise LoadError("what is in the file is not what was written")

    def _begin(self) -> int:
        """The length of a reply that has begun to come; 0: it was an interim one."""
        length = int.from_bytes(self.link.read_exactly(NBSS), "big")
        if length == self.expected:
            return length
        if length > SMALL:
            raise LoadError(f"a reply of {length} bytes, expected {self.expected}")
        self.link.put(self.link.read_exactly(length))
        (response,) = self.client.receive()
        if response.status is not NtStatus.PENDING:
            raise LoadError(f"a reply with {response.status!r}")
        return 0

    def _try_one(self, way: Way) -> int:
        """The length of a good reply; LoadError when it is not protected or brings other data."""
        response = self.client.call(self._frame(0))
        while response.status is NtStatus.PENDING:
            self.link.await_more()
            (response,) = self.client.receive()
        if response.status is not NtStatus.SUCCESS:
            raise LoadError(f"the first request of {BLOCK} bytes: {response.status!r}")
        if way.signed and not response.header.flags & SIGNED:
            raise LoadError("the server does not sign")
        if way.cipher and not all(self.client.sealed):
            raise LoadError("the server does not encrypt")
        if not self.writing:
            at = response.body(ReadResponse).data_offset
            data = response.raw[at : at + BLOCK]
            if len(data) != BLOCK or data != next(_blocks(self.path)):
                raise LoadError("what is read is not the first block of the file")
        return len(response.raw) + (TRANSFORM_SIZE if self.client.ciphers else 0)

    def _frame(self, number: int) -> Frame:
        offset = number % self.blocks * BLOCK
        frames = self.file.frames
        return frames.write(self.pattern, offset) if self.writing else frames.read(BLOCK, offset)

    def _fill(self) -> None:
        """Have the file in memory: the first use of a page may cost more than all that follows."""
        with self.path.open("r+b") as file:
            for _ in range(self.blocks):
                file.write(SCRATCH[:BLOCK])

    def _ready(self) -> Iterator[bytes]:
        count = AROUND * self.blocks if self.writing else MANY
        return iter([framed(self.client.pack(self._frame(n))) for n in range(count)])


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def run(
    peer: Peer,
    way: Way,
    *,
    writing: bool,
    clients: int,
    blocks: int,
    seconds: float,
    used_s: Callable[[], float],
) -> tuple[Load, float]:
    """Read or write for so long, each of the clients; and what the server used meanwhile.

    ``used_s`` says the processor seconds of the server so far.  LoadError when a reply is not what
    it should be.
    """
    streams = []
    try:
        for index in range(clients):
            streams.append(Stream(peer, way, writing, index, blocks))
            streams[-1].prepare(way)
        before, own, started = used_s(), time.process_time(), time.perf_counter()
        pump(streams, started + seconds)
        wall, own = time.perf_counter() - started, time.process_time() - own
        server_s = used_s() - before
        for stream in streams:
            stream.check()
    except (OSError, AssertionError) as failed:
        raise LoadError(f"{type(failed).__name__}: {failed}") from failed
    finally:
        for stream in streams:
            stream.close()
    return summary([s for stream in streams for s in stream.latencies], wall, own), server_s


def pump(streams: Sequence[Stream], until: float) -> None:
    """Keep DEPTH requests in flight on each until then, and take what is still to come."""
    poller = select.poll()
    by_fd = {stream.fileno(): stream for stream in streams}
    for stream in streams:
        poller.register(stream, select.POLLIN)
        for _ in range(DEPTH):
            stream.submit(until)
    while any(stream.sent_at for stream in streams):
        ready = poller.poll(1000 * TIMEOUT_S)
        if not ready:
            raise LoadError("the server does not answer")
        for fd, _ in ready:
            by_fd[fd].receive(until)


def summary(latencies: list[float], wall: float, own: float) -> Load:
    if not latencies:
        raise LoadError("nothing was done")
    latencies.sort()
    count = len(latencies)
    return Load(
        operations=count,
        wall_s=wall,
        rate=count / wall,
        megabytes=count * BLOCK / wall / 1e6,
        median_us=1e6 * latencies[count // 2],
        late_us=1e6 * latencies[count * 99 // 100],
        client_cpu_s=own,
    )
