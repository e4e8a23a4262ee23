"""bench/moments.py: how long something takes, and another client meanwhile."""

from __future__ import annotations

import os

import pytest

from bench import moments
from bench.moments import Moment
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.peers import Peer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_slowest_of_another_client_is_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, takes, opened = Clock(), iter((9.0, 0.1, 0.4, 0.2)), []

    def attempt(client: Client) -> None:
        opened.append(client)
        clock.now += next(takes)

    monkeypatch.setattr(moments.time, "perf_counter", clock)
    monkeypatch.setattr(moments, "attempt", attempt)
    monkeypatch.setattr(moments.cpu, "memory_mib", lambda _pid: 7.0)
    witness = ready(engine)

    class Server:
        pid = 1

    peer: Peer = Server()  # type: ignore[assignment]
    found = moments.moment("it", peer, witness, lambda: lambda: len(opened) == 4)
    assert found.seconds == pytest.approx(0.7)
    assert found.others_ms == pytest.approx(400.0)
    assert found.most_mib == 7.0


def test_the_other_client_opens_and_closes(engine: Engine) -> None:
    moments.attempt(ready(engine))
    assert [path.name for path in engine.folder.iterdir()] == ["witness"]
    assert len(engine.server.opens) == 0


def test_descriptors_are_counted() -> None:
    before = moments.descriptors(os.getpid())
    fd = os.open("/", os.O_PATH)
    assert moments.descriptors(os.getpid()) == before + 1
    os.close(fd)


def test_a_moment_is_a_row() -> None:
    assert "| it | 1.50 s | 20 ms | 30.0 |" in moments.markdown([Moment("it", 1.5, 20.0, 30.0)])
