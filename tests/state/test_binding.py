"""state/binding.py and what a session and a connection lost in the middle make of it."""

from __future__ import annotations

import pytest

from ksmbd.state.binding import begin, forget
from ksmbd.state.connection import MAX_PENDING_SESSIONS
from ksmbd.state.session import MAX_CHANNELS, Session
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError
from tests.support.engine import Engine


@pytest.fixture
def session(engine: Engine) -> Session:
    return engine.server.new_session(engine.connection()[0])


def refused(engine: Engine, session: Session) -> NtStatus:
    with pytest.raises(NtStatusError) as raised:
        session.add_channel(engine.connection()[0], None)
    return raised.value.status


def test_an_exchange_goes_on_until_it_is_forgotten(engine: Engine, session: Session) -> None:
    connection = engine.connection()[0]
    begun = begin(session, connection)
    assert begin(session, connection) is begun
    forget(begun, connection)
    assert begin(session, connection) is not begun


def test_two_connections_bind_independently(engine: Engine, session: Session) -> None:
    one, two = engine.connection()[0], engine.connection()[0]
    assert begin(session, one) is not begin(session, two)
    begin(session, two).preauth_integrity_hash_value = b"two"
    assert begin(session, one).preauth_integrity_hash_value != b"two"


def test_what_is_left_of_ended_sessions_takes_no_room(engine: Engine, session: Session) -> None:
    connection = engine.connection()[0]
    ended = [engine.server.new_session(engine.connection()[0]) for _ in range(MAX_PENDING_SESSIONS)]
    for each in ended:
        begin(each, connection)
    with pytest.raises(NtStatusError) as raised:
        begin(session, connection)
    assert raised.value.status is NtStatus.REQUEST_NOT_ACCEPTED
    for each in ended:
        engine.server.end_session(each)
    begin(session, connection)
    assert list(connection.preauth_sessions) == [session.session_id]


def test_nothing_joins_a_session_that_has_ended(engine: Engine, session: Session) -> None:
    engine.server.end_session(session)
    assert refused(engine, session) is NtStatus.USER_SESSION_DELETED
    assert not session.channels


def test_a_session_has_so_many_channels(engine: Engine, session: Session) -> None:
    for _ in range(MAX_CHANNELS):
        session.add_channel(engine.connection()[0], None)
    assert refused(engine, session) is NtStatus.INSUFFICIENT_RESOURCES


def test_the_last_connection_that_is_lost_ends_the_session(
    engine: Engine, session: Session
) -> None:
    other = engine.connection()[0]
    for connection in (session.connection, other):
        session.add_channel(connection, None)
        connection.add_session(session)
    engine.lose(session.connection)
    assert not session.ended
    engine.lose(other)
    assert session.ended
    assert not engine.server.sessions


def test_a_lost_connection_gets_no_session(engine: Engine, session: Session) -> None:
    connection = engine.connection()[0]
    engine.lose(connection)
    assert not connection.add_session(session)
    with pytest.raises(Disconnect):
        engine.server.new_session(connection)
    assert list(engine.server.sessions) == [session.session_id]
