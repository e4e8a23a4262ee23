"""python -m bench.fairness: what one client's load does to another client's echo.

An echo goes alone, and then beside a client that has as many large requests outstanding as its
credits allow, or that asks for much and fetches nothing.  Latencies are the client's; where the
machine has two processors, the greedy client's own work takes its share of them.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import load
from bench.__main__ import BLOCK
from bench.bulk import CREDITS
from bench.client import connect, earn, framed
from bench.contenders import CONTENDERS, OURS, REFERENCE
from ksmbd.wire.access import GENERIC_READ
from tests.support.peers import Peer

FILE_MIB: Final = 64
SETTLED_S: Final = 0.5  # after which the greedy client is at work
READS: Final = ("-S", str(FILE_MIB), "-q", "64", "-b", str(8 << 20), "read")
GREEDY: Final[dict[str, tuple[str, ...]]] = {  # words for the load generator
    "nobody": (),
    "8 MiB reads, all that credits allow": READS,
    "8 MiB writes, all that credits allow": (*READS[:-1], "write"),
    "4 KiB reads, 256 outstanding": ("-S", str(FILE_MIB), "-q", "256", "-b", "4096", "randread"),
    "8 connections of eight 8 MiB reads": ("-n", "8", *READS[:3], "8", *READS[4:]),
}
UNREAD: Final = "reads whose replies nobody fetches"


@contextlib.contextmanager
def beside(
    generator: Sequence[str], peer: Peer, words: Sequence[str], seconds: float
) -> Iterator[None]:
    """A greedy client at work for the time of the block; LoadError if it has given up."""
    if not words:
        yield
        return
    command = load.command_line(generator, peer, words, seconds + 4 * SETTLED_S)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            time.sleep(SETTLED_S)
            yield
            if process.poll() is not None:
                raise load.LoadError(f"the greedy client ended: {words}")
        finally:
            process.kill()


@contextlib.contextmanager
def unread(peer: Peer) -> Iterator[None]:
    """A client that has asked for as much as it may, and fetches nothing."""
    client, link = connect(peer)
    with contextlib.closing(link):
        earn(client, CREDITS)
        file = client.open("bench_big.dat", desired_access=GENERIC_READ, share_access=7)
        while client.credits > BLOCK >> 16:
            link.socket.sendall(framed(client.pack(file.frames.read(BLOCK, 0))))
        time.sleep(SETTLED_S)
        yield


def measure(peers: Mapping[str, Peer], seconds: float) -> Iterator[tuple[str, list[load.Load]]]:
    """For each greedy client what an echo saw beside it, of one server after the other."""
    generator = load.generator()
    for peer in peers.values():
        (peer.path() / "bench_big.dat").write_bytes(bytes(FILE_MIB << 20))
    for name, words in GREEDY.items():
        seen = []
        for peer in peers.values():
            with beside(generator, peer, words, seconds):
                seen.append(load.run(generator, peer, ["echo"], seconds))
        yield name, seen
    seen = []
    for peer in peers.values():
        with unread(peer):
            seen.append(load.run(generator, peer, ["echo"], seconds))
    yield UNREAD, seen


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each cell")
    parser.add_argument("--only", choices=(OURS, REFERENCE), help="one server alone")
    chosen = parser.parse_args(arguments)
    names = [chosen.only] if chosen.only else [REFERENCE, OURS]
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="ksmbd-fair-")))
        peers = {name: running.enter_context(CONTENDERS[name](folder / name)) for name in names}
        print("| echo beside | " + " | ".join(f"{n}: median | 99 of 100" for n in peers) + " |")
        print("|---|" + "--:|--:|" * len(peers), flush=True)
        for name, seen in measure(peers, chosen.seconds):
            cells = [f"{one.median_us / 1e3:.2f} ms | {one.late_us / 1e3:.2f} ms" for one in seen]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
