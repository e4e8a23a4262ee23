"""What is seen of requests while somebody watches."""

from __future__ import annotations

import itertools
import re

import pytest

from ksmbd import debug
from ksmbd.server import dispatch, observe
from ksmbd.server.counters import WIDTH, Counters, Counts
from ksmbd.server.observe import Observer
from ksmbd.wire.close import CloseResponse
from ksmbd.wire.header import Command
from ksmbd.wire.lock import EXCLUSIVE_LOCK, UNLOCK, LockResponse
from ksmbd.wire.read import ReadResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.write import WriteResponse
from tests.support import engine as support
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.sealing import sealing


@pytest.fixture
def observer(monkeypatch: pytest.MonkeyPatch) -> Observer:
    """Watches all that the engine is given from now on."""
    made = Observer()
    made.counts = Counts()
    monkeypatch.setattr(support, "dispatch", made._observing)
    return made


def requests(counters: Counters, command: Command) -> int:
    return sum(counters.buckets[command * WIDTH : (command + 1) * WIDTH])


def total(observer: Observer) -> Counters:
    assert observer.counts is not None
    return observer.counts.total()


def test_nobody_is_in_the_way_of_a_connection_that_nobody_watches(engine: Engine) -> None:
    connection, _ = engine.connection()
    assert Observer().dispatch_for(connection) is dispatch


def test_requests_are_counted_by_command_and_share(observer: Observer, engine: Engine) -> None:
    client = ready(engine)
    engine.make_file("a", b"0123456789")
    opened = client.open("a")
    client.ok(opened.frames.read(4, 0), ReadResponse)
    client.ok(opened.frames.write(b"abc", 0), WriteResponse)
    client.ok(opened.frames.close(), CloseResponse)
    seen = total(observer)
    for command in (Command.TREE_CONNECT, Command.CREATE, Command.READ, Command.CLOSE):
        assert requests(seen, command) == 1, command.name
    assert seen.ns[Command.CREATE] > 0
    assert seen.shares["data"] == [5, 4, 3]


def test_refusals_are_counted_by_status(observer: Observer, engine: Engine) -> None:
    client = ready(engine)
    assert client.status(client.frames.open("nothing")) is NtStatus.OBJECT_NAME_NOT_FOUND
    assert client.status(client.frames.close()) is NtStatus.FILE_CLOSED
    seen = total(observer)
    assert seen.statuses[NtStatus.OBJECT_NAME_NOT_FOUND] == 1
    assert seen.statuses[NtStatus.FILE_CLOSED] == 1


def test_every_command_of_a_compound_counts_by_itself(observer: Observer, engine: Engine) -> None:
    client = ready(engine)
    engine.make_file("a", b"x")
    related = client.frames.related()
    client.send(client.frames.open("a"), related.read(1, 0), related.close())
    seen = total(observer)
    assert [requests(seen, c) for c in (Command.CREATE, Command.READ, Command.CLOSE)] == [1, 1, 1]


def test_what_waits_counts_once_when_it_is_answered(observer: Observer, engine: Engine) -> None:
    client = ready(engine)
    engine.make_file("a", b"x")
    one, two = client.open("a"), client.open("a")
    client.ok(one.frames.lock((0, 1, EXCLUSIVE_LOCK)), LockResponse)
    client.pend(two.frames.lock((0, 1, EXCLUSIVE_LOCK)))
    assert requests(total(observer), Command.LOCK) == 1
    client.send(one.frames.lock((0, 1, UNLOCK)))
    assert requests(total(observer), Command.LOCK) == 3


def test_what_a_reader_hands_over_counts_once(observer: Observer, engine: Engine) -> None:
    client = sealing(engine)
    file = client.open("new")
    pdu = client.pack(file.frames.write(bytes(100_000)), file.frames.flush())
    observing = observer._observing
    work = observing.receive(client.connection, memoryview(pdu))
    assert work is not None
    work.direct = True
    with engine.acting():
        observing.run(work)
        assert requests(total(observer), Command.WRITE) == 0
    seen = total(observer)
    assert [requests(seen, command) for command in (Command.WRITE, Command.FLUSH)] == [1, 1]


def test_a_work_that_nobody_watches_has_nothing_hung_on_it(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate()
    pdu = client.pack(client.frames.echo())
    work = dispatch.receive(client.connection, memoryview(pdu))
    assert work is not None
    assert work.observed is None
    dispatch.run(work)


SLOW = re.compile(r"slow: (.+): (\d+) ms \(queued \d+, handled \d+, waited (\d+), sent \d+\)")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of requests that take a millisecond; each reading of the clock is two later."""
    made = Observer()
    made.slow_ns = 1_000_000
    clock = itertools.count(0, 2_000_000)
    monkeypatch.setattr(observe, "perf_counter_ns", lambda: next(clock))
    monkeypatch.setattr(support, "dispatch", made._observing)
    lines: list[str] = []
    monkeypatch.setattr(observe.log, "warning", lambda text, *args: lines.append(text % args))
    return lines


def told(lines: list[str]) -> list[str]:
    """What the lines are about."""
    found = [SLOW.fullmatch(line) for line in lines]
    assert all(found), lines
    return [match[1] for match in found if match]


def test_a_slow_request_is_one_line_of_the_log(slow: list[str], engine: Engine) -> None:
    client = ready(engine)
    engine.make_file("a", b"x")
    slow.clear()
    opened = client.open("a")
    client.ok(opened.frames.read(1, 0), ReadResponse)
    client.status(client.frames.open("no\x1bthing"))
    assert told(slow) == [
        "CREATE data/a of joe from 192.0.2.7",
        "READ data/a of joe from 192.0.2.7",
        "CREATE data/no\\x1bthing of joe from 192.0.2.7",
    ]


def test_what_is_fast_enough_is_not_told(slow: list[str], engine: Engine) -> None:
    client = ready(engine)
    slow.clear()
    made = Observer()
    made.slow_ns = 1_000_000_000
    assert made.dispatch_for(client.connection) is not dispatch
    work = made._observing.receive(client.connection, memoryview(client.pack(client.frames.echo())))
    assert work is not None
    made._observing.run(work)
    assert slow == []


def test_what_a_lock_waits_for_does_not_count(slow: list[str], engine: Engine) -> None:
    client = ready(engine)
    engine.make_file("a", b"x")
    one, two = client.open("a"), client.open("a")
    client.ok(one.frames.lock((0, 1, EXCLUSIVE_LOCK)), LockResponse)
    client.pend(two.frames.lock((0, 1, EXCLUSIVE_LOCK)))
    before = len(slow)
    client.send(one.frames.lock((0, 1, UNLOCK)))
    ended = told(slow[before:])
    assert ended == ["LOCK data/a of joe from 192.0.2.7"] * 2  # once each, when it is answered


def test_of_a_slow_compound_the_last_command_is_told(slow: list[str], engine: Engine) -> None:
    client = ready(engine)
    engine.make_file("a", b"x")
    slow.clear()
    related = client.frames.related()
    client.send(client.frames.open("a"), related.read(1, 0))
    assert told(slow) == ["READ (last of a compound) data/a of joe from 192.0.2.7"]


def test_what_is_logged_for_a_traced_client_is_about_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = Observer()
    observer.traced = frozenset({support.PEER})
    client, other = ready(engine), Client(engine, "192.0.2.8")
    assert observer.dispatch_for(other.connection) is dispatch
    monkeypatch.setattr(support, "dispatch", observer.dispatch_for(client.connection))
    about: list[str] = []
    monkeypatch.setattr(
        "ksmbd.server.dispatch.log.debug", lambda *_: about.append(debug._about.client)
    )
    engine.make_file("a", b"x")
    one, two = client.open("a"), client.open("a")
    client.ok(one.frames.lock((0, 1, EXCLUSIVE_LOCK)), LockResponse)
    client.pend(two.frames.lock((0, 1, EXCLUSIVE_LOCK)))
    client.send(client.frames.open("nothing"))
    assert about == [support.PEER]
    client.send(one.frames.close())
    client.send(two.frames.lock((0, 1, EXCLUSIVE_LOCK), (5, 1, UNLOCK)))
    assert set(about) == {support.PEER}
    assert len(about) > 1
    assert not debug._about.client
