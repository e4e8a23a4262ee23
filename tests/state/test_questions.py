"""state/questions.py: breaks whose channel dies before the client has answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ksmbd.state import oplock
from ksmbd.state.questions import LOOK_S, MAX_RESENT
from ksmbd.wire import create_context as wire
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_II, OPLOCK_LEASE, CreateResponse
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine

SUCCESS = NtStatus.SUCCESS
LEASE = wire.RequestLeaseV2(lease_key=b"key".ljust(16), lease_state=7)


@pytest.fixture
def engine(folder: Path) -> Engine:
    return Engine(folder, multichannel=True)


@pytest.fixture
def one(engine: Engine) -> Client:
    client = Client(engine)
    client.negotiate(client_guid=b"A" * 16)
    client.log_on()
    client.connect()
    return client


@pytest.fixture
def two(engine: Engine, one: Client) -> Client:
    """Another channel of the session."""
    client = Client(engine)
    client.negotiate(client_guid=b"A" * 16)
    client.bind(one.sessions[one.frames.session_id])
    client.frames.tree_id = one.frames.tree_id
    return client


@pytest.fixture
def other(engine: Engine) -> Client:
    """Who opens what the session caches."""
    return ready(engine)


def cached(client: Client, **changes: Any) -> File:
    return client.open("file", **(changes or {"requested_oplock_level": OPLOCK_BATCH}))


def told(client: Client) -> int:
    """How many breaks have come."""
    client.receive()
    count = len(client.unsolicited)
    client.unsolicited.clear()
    return count


def opening(other: Client) -> None:
    other.pend(other.frames.create("file"))


def opened(other: Client) -> bool:
    replies = other.receive()
    if not replies:
        return False
    assert replies[0].status is SUCCESS
    return replies[0].body(CreateResponse).file_attributes != 0


def test_a_question_moves_to_another_channel(one: Client, two: Client, other: Client) -> None:
    file = cached(one)
    opening(other)
    assert (told(one), told(two)) == (1, 0)
    one.lose()
    assert told(two) == 1
    assert not opened(other)
    two.call(two.frames.on(*file.ids).oplock_break(OPLOCK_II))
    assert opened(other)


def test_that_of_a_lease_moves_too(one: Client, two: Client, other: Client) -> None:
    cached(
        one,
        contexts=[(wire.REQUEST_LEASE, LEASE.pack())],
        requested_oplock_level=OPLOCK_LEASE,
    )
    opening(other)
    assert (told(one), told(two)) == (1, 0)
    one.lose()
    assert told(two) == 1
    two.call(two.frames.lease_break(LEASE.lease_key, 3))
    assert opened(other)


def test_what_was_answered_is_not_asked_again(one: Client, two: Client, other: Client) -> None:
    file = cached(one)
    opening(other)
    assert told(one) == 1
    assert one.connection.questions
    one.call(one.frames.on(*file.ids).oplock_break(OPLOCK_II))
    assert opened(other)
    assert not one.connection.questions
    one.lose()
    assert told(two) == 0


def test_the_time_runs_from_the_first_question(
    engine: Engine, one: Client, two: Client, other: Client
) -> None:
    cached(one)
    opening(other)
    engine.advance(oplock.TIMEOUT_S - 1)
    one.lose()
    assert told(two) == 1
    assert not opened(other)
    engine.advance(1)
    assert opened(other)


def test_with_the_last_channel_the_question_is_over(
    one: Client, two: Client, other: Client
) -> None:
    cached(one)
    opening(other)
    one.lose()
    two.lose()
    assert opened(other)


def test_a_peer_that_acknowledges_nothing_is_taken_for_gone(
    engine: Engine, one: Client, two: Client, other: Client
) -> None:
    cached(one)
    one.transport.unacknowledged = 0
    opening(other)
    engine.advance(LOOK_S)
    assert not one.closed
    one.transport.unacknowledged = MAX_RESENT
    engine.advance(LOOK_S)
    assert one.transport.aborted
    one.lose()
    assert told(two) == 1


def test_a_peer_that_has_the_message_may_take_its_time(
    engine: Engine, one: Client, two: Client, other: Client
) -> None:
    cached(one)
    opening(other)
    engine.advance(LOOK_S)
    one.transport.unacknowledged = MAX_RESENT  # of something else, later
    engine.advance(LOOK_S * 10)
    assert not one.closed
    assert told(two) == 0


def test_the_only_channel_is_left_to_tcp(engine: Engine, one: Client, other: Client) -> None:
    cached(one)
    one.transport.unacknowledged = MAX_RESENT
    opening(other)
    engine.advance(LOOK_S * 10)
    assert not one.closed


def test_a_channel_that_has_become_the_last_is_left_to_tcp(
    engine: Engine, one: Client, two: Client, other: Client
) -> None:
    cached(one)
    one.transport.unacknowledged = 0
    opening(other)
    two.lose()
    one.transport.unacknowledged = MAX_RESENT
    engine.advance(LOOK_S * 10)
    assert not one.transport.aborted
    assert not one.closed


def test_a_message_that_wants_no_answer_is_no_question(
    one: Client, two: Client, other: Client
) -> None:
    cached(one, requested_oplock_level=OPLOCK_II)
    file = other.open("file")
    assert other.status(file.frames.write(b"new")) is SUCCESS
    assert told(one) == 1
    assert not one.connection.questions


def test_a_create_that_waits_outlives_its_channel(
    engine: Engine, one: Client, two: Client, other: Client
) -> None:
    """For its replay over another one: smb2.replay.dhv2-pending2n-vs-oplock-sane."""
    file = other.open("file", requested_oplock_level=OPLOCK_BATCH)
    two.pend(two.frames.create("file"))
    two.lose()
    assert told(other) == 1
    other.call(file.frames.oplock_break(OPLOCK_II))
    (session,) = [s for s in engine.server.sessions.values() if one.connection.number in s.channels]
    assert [open.path for open in session.opens.values()] == ["file"]
    one.lose()
    assert not session.opens


def test_nothing_is_left_in_the_end(
    engine: Engine, one: Client, two: Client, other: Client
) -> None:
    cached(one)
    opening(other)
    for client in (one, two, other):
        client.lose()
    engine.advance(LOOK_S)
    engine.assert_idle()
