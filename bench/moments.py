"""What happens once and takes a while: how long, how much memory, and how others fare meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bench import cpu
from ksmbd.wire.status import NtStatus
from tests.support.client import Client
from tests.support.peers import Peer

Done = Callable[[], bool]  # whether it is over


class Moment(NamedTuple):
    """One event, and the slowest of another client's opens and closes until it was over."""

    subject: str
    seconds: float
    others_ms: float
    most_mib: float  # PSS of the server, all processes


def moment(subject: str, peer: Peer, witness: Client, begin: Callable[[], Done]) -> Moment:
    """Begin it, and have the *witness* open and close a file of its own until it is over."""
    attempt(witness)  # the first one has more to do
    begun = time.perf_counter()
    done = begin()
    slowest = most = 0.0
    looked = begun
    while True:
        over, now = done(), time.perf_counter()
        if over or now - looked > 1.0:
            most, looked = max(most, cpu.memory_mib(peer.pid)), now
        if over:
            return Moment(subject, now - begun, slowest * 1e3, most)
        attempt(witness)
        slowest = max(slowest, time.perf_counter() - now)


def attempt(witness: Client) -> None:
    """An open and a close."""
    file = witness.open("witness")
    if (status := witness.status(file.frames.close())) is not NtStatus.SUCCESS:
        raise SystemExit(f"another client's close: {status!r}")


def descriptors(pid: int) -> int:
    """How many a process has; the size of the folder tells since Linux 6.2."""
    folder = f"/proc/{pid}/fd"
    return os.stat(folder).st_size or len(os.listdir(folder))


def markdown(moments: Iterable[Moment]) -> str:
    lines = ["| | took | another's slowest open and close | MiB at most |", "|---|--:|--:|--:|"]
    lines += [
        f"| {one.subject} | {one.seconds:,.2f} s | {one.others_ms:,.0f} ms | {one.most_mib:.1f} |"
        for one in moments
    ]
    return "\n".join(lines) + "\n"
