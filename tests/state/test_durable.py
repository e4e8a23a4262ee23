"""state/durable.py and state/absence.py: how long, how many, and who makes room."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.vfs import credentials
from ksmbd.wire import fsctl
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File
from tests.support.durable import (
    RH,
    RWH,
    V1,
    Context,
    ask,
    back_v1,
    back_v2,
    connected,
    durable,
    lease,
    v2,
)
from tests.support.engine import Engine

OK = NtStatus.SUCCESS
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND


def guid(number: int) -> bytes:
    return number.to_bytes(16, "little")


def opened(client: Client, count: int, first: int = 1) -> list[File]:
    numbers = range(first, first + count)
    return [durable(client, v2(guid(n)), name=f"file{n}") for n in numbers]


@pytest.mark.parametrize(("asked", "seconds"), [(V1, 960.0), (v2(), 60.0), (v2(timeout=5000), 5.0)])
def test_it_waits_so_long(engine: Engine, asked: Context, seconds: float) -> None:
    client = connected(engine)
    file = durable(client, asked)
    client.lose()
    engine.advance(seconds - 0.5)
    client = connected(engine)
    assert ask(client, back_v1(file)).status is OK
    client.lose()
    engine.advance(seconds)
    assert ask(connected(engine), back_v1(file)).status is NOT_FOUND


def test_one_timer_is_enough_for_all_and_none_is_left(engine: Engine) -> None:
    client = connected(engine)
    for number, seconds in enumerate((50, 10, 30), start=1):
        durable(client, v2(guid(number), timeout=seconds * 1000), name=f"file{number}")
    client.lose()
    assert engine.scheduler.pending_timers == 1
    for passed, left in ((10, 2), (20, 1), (20, 0)):
        engine.advance(passed)
        assert len(engine.server.durables) == left
    engine.assert_idle()


def test_who_is_back_needs_no_timer(engine: Engine) -> None:
    client = connected(engine)
    (file,) = opened(client, 1)
    client.lose()
    client = connected(engine)
    assert ask(client, back_v2(file, guid(1)), name="file1").status is OK
    engine.advance(3600.0)
    assert client.status(client.frames.on(*file.ids).write(b"1")) is OK


def test_so_many_of_one_user_may_be_away(folder: Path) -> None:
    engine = Engine(folder, max_open_files=16)
    client = connected(engine)
    opened(client, 6)
    client.lose()
    assert len(engine.server.durables) == 4
    assert len(engine.server.opens) == 4
    jane = connected(engine, user="jane")
    durable(jane, name="jane's")
    jane.lose()
    assert len(engine.server.durables) == 5


def test_so_many_may_be_away_in_all(folder: Path) -> None:
    engine = Engine(folder, max_open_files=4)
    for user in ("joe", "jane"):
        client = connected(engine, user=user)
        durable(client, v2(user.encode().ljust(16)), name=user)
        client.lose()
    client = connected(engine)
    durable(client, name="third")
    client.lose()
    assert len(engine.server.durables) == 2


def test_who_is_here_needs_room_and_gets_it(folder: Path) -> None:
    engine = Engine(folder, max_open_files=4)
    client = connected(engine)
    (file,) = opened(client, 1)
    client.lose()
    client = connected(engine)
    for number in range(4):
        client.open(f"mine{number}")
    assert ask(client, back_v2(file, guid(1)), name="file1").status is NOT_FOUND
    assert client.status(client.frames.create("fifth")) is NtStatus.TOO_MANY_OPENED_FILES


def test_who_closes_others_opens_goes_on_as_itself(engine: Engine) -> None:
    """The main thread, at the end: what follows is not the user's to do."""
    client = connected(engine)
    opened(client, 2)
    client.lose()
    credentials.become(None)
    assert engine.server.durables.make_room()
    assert credentials.current() is None
    engine.server.durables.close_all()
    assert credentials.current() is None
    engine.assert_idle()


def test_a_blocked_lock_ends_with_the_session(engine: Engine) -> None:
    """The connection lives on, so that the request wants an answer."""
    client = connected(engine)
    file = durable(client)
    assert client.status(file.frames.lock()) is OK
    client.pend(file.frames.lock((0, 10, 2)))
    connected(engine, previous=client.frames.session_id)
    (response,) = client.receive()
    assert response.status is NtStatus.RANGE_NOT_LOCKED


def test_a_reconnect_that_loses_its_tree_leaves_nothing(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    client.lose()
    client = connected(engine)
    (open,) = engine.server.opens.all()
    session = engine.server.sessions[client.frames.session_id]
    session.trees[client.frames.tree_id].connected = False
    assert ask(client, back_v2(file)).status is NtStatus.NETWORK_NAME_DELETED
    assert open.tree.session is not session
    session.trees[client.frames.tree_id].connected = True
    assert ask(client, back_v2(file)).status is OK


# -- resilient opens: what they hold is decided for them ---------------------------------


def resilient(client: Client, *contexts: Context) -> File:
    file = client.file(ask(client, *contexts))
    data = fsctl.NetworkResiliencyRequest(timeout=300_000).pack()
    assert client.status(file.frames.ioctl(fsctl.LMR_REQUEST_RESILIENCY, data)) is OK
    return file


def test_a_resilient_open_is_kept_without_anything(engine: Engine) -> None:
    client = connected(engine)
    file = client.open()
    data = fsctl.NetworkResiliencyRequest(timeout=1000).pack()
    assert client.status(file.frames.ioctl(fsctl.LMR_REQUEST_RESILIENCY, data)) is OK
    client.lose()
    other = connected(engine, guid=b"b" * 16)
    assert other.status(other.open().frames.write(b"other's")) is OK
    assert ask(connected(engine), back_v1(file)).status is OK


def test_what_a_resilient_open_caches_goes_down_at_once(engine: Engine) -> None:
    client = connected(engine)
    file = resilient(client, lease(RWH))
    client.lose()
    other = connected(engine, guid=b"b" * 16)
    other.open()
    response = ask(connected(engine), back_v1(file), lease(RWH))
    assert response.status is OK
    ((_, data),) = response.contexts().items()
    assert data[16] == RH


def test_a_break_that_nobody_answers_any_more_is_over(engine: Engine) -> None:
    client = connected(engine)
    file = resilient(client, lease(RWH))
    other = connected(engine, guid=b"b" * 16)
    other.pend(other.frames.create())
    client.lose()
    (response,) = other.receive()
    assert response.status is OK
    assert ask(connected(engine), back_v1(file), lease()).status is OK


def test_a_share_mode_of_a_resilient_open_counts_while_its_client_is_away(engine: Engine) -> None:
    client = connected(engine)
    file = resilient(client)
    client.lose()
    other = connected(engine, guid=b"b" * 16)
    frame = other.frames.create(share_access=0)
    assert other.status(frame) is NtStatus.SHARING_VIOLATION
    assert ask(connected(engine), back_v1(file)).status is OK
