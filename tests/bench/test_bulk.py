"""bench/bulk.py: figures of what was transferred, and that nonsense is no result."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import cast

import pytest

from bench.bulk import BLOCK, WAYS, Stream, run, summary
from bench.client import Link
from bench.load import LoadError
from tests.support.peers import Peer


def test_a_summary_counts_blocks() -> None:
    found = summary([0.003, 0.001, 0.002], wall=2.0, own=0.5)
    assert (found.operations, found.rate, found.median_us) == (3, 1.5, 2000.0)
    assert found.megabytes == pytest.approx(3 * BLOCK / 2e6)


def test_nothing_done_is_no_result() -> None:
    with pytest.raises(LoadError):
        summary([], wall=1.0, own=0.0)


def test_a_server_that_goes_in_the_middle_of_a_reply_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    stream = Stream.__new__(Stream)
    stream.link, stream.left = cast(Link, SimpleNamespace(socket=ours)), 100
    theirs.close()
    with ours, pytest.raises(ConnectionError):
        stream.receive(0.0)


def test_a_file_that_is_too_short_is_noticed(live: Peer) -> None:
    (live.path() / "bench_big.dat").write_bytes(b"short")
    (live.path() / "bench_big.dat").chmod(0o777)
    with pytest.raises(LoadError, match="not the first block"):
        run(
            live,
            WAYS["GMAC"],
            writing=False,
            clients=1,
            blocks=2,
            seconds=0.1,
            used_s=lambda: 0.0,
        )
