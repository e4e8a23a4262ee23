"""state/server.py: connections, sessions, trees and their ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.state.server import Server
from ksmbd.state.session import SessionState
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.support.client import Client, ready
from tests.support.engine import Engine


@pytest.fixture
def server(engine: Engine) -> Server:
    return engine.server


def test_connections_are_numbered_and_forgotten(engine: Engine, server: Server) -> None:
    first, second = engine.connection()[0], engine.connection()[0]
    assert server.connections == {first.number: first, second.number: second}
    assert first.number != second.number
    engine.lose(first)
    engine.lose(first)
    assert server.connections == {second.number: second}


def test_a_session_begins_in_progress_and_in_both_tables(engine: Engine, server: Server) -> None:
    connection, _ = engine.connection()
    session = server.new_session(connection)
    assert session.state is SessionState.IN_PROGRESS
    assert server.sessions[session.session_id] is session
    assert connection.sessions[session.session_id] is session


def test_an_id_in_use_or_with_a_meaning_is_not_given(engine: Engine, server: Server) -> None:
    connection, _ = engine.connection()
    rolls = iter([b"\1\0\0\0", bytes(4), b"\xff" * 4, b"\1\0\0\0", b"\2\0\0\0"])
    server.random = lambda length: next(rolls)
    assert server.new_session(connection).session_id == 1
    assert server.new_session(connection).session_id == 2


def test_no_more_sessions_than_allowed(folder: Path) -> None:
    engine = Engine(folder, max_sessions=2)
    connection, _ = engine.connection()
    engine.server.new_session(connection)
    session = engine.server.new_session(connection)
    with pytest.raises(NtStatusError) as refused:
        engine.server.new_session(connection)
    assert refused.value.status is NtStatus.TOO_MANY_SESSIONS
    engine.server.end_session(session)
    engine.server.new_session(connection)


def test_a_session_ends_once(client: Client) -> None:
    """A log-off and a lost connection may come together; mountd counts sessions."""
    engine = client.engine
    client.open("file")
    (session,) = engine.server.sessions.values()
    with engine.acting():
        engine.server.end_session(session)
        engine.server.end_session(session)
    assert engine.mountd.logouts == [("joe", 0)]
    client.lose()
    engine.assert_idle()
    assert engine.mountd.logouts == [("joe", 0)]


def test_a_log_on_that_was_not_finished_is_no_log_off(engine: Engine, server: Server) -> None:
    connection, _ = engine.connection()
    server.end_session(server.new_session(connection))
    assert engine.mountd.logouts == []


def test_a_lost_connection_ends_its_sessions_only(engine: Engine) -> None:
    first, second = ready(engine), ready(engine)
    first.open("one")
    second.open("two")
    first.lose()
    assert set(engine.server.sessions) == {second.frames.session_id}
    second.open("three")


def test_a_tree_ends_with_its_opens(client: Client) -> None:
    engine = client.engine
    client.open("file")
    (session,) = engine.server.sessions.values()
    tree = session.find_tree(client.frames.tree_id)
    with engine.acting():
        engine.server.end_tree(tree)
        engine.server.end_tree(tree)
    assert len(engine.server.opens) == 0
    assert not tree.connected
    assert engine.mountd.trees == {}


def test_a_pipe_number_is_not_used_twice_soon(client: Client) -> None:
    client.connect("IPC$")
    for _ in range(5):
        client.open("srvsvc")
    assert len(client.engine.mountd.pipes) == 5


def test_shares_are_kept_under_any_spelling(client: Client, server: Server) -> None:
    share = server.cached_share("DATA")
    assert share is not None
    assert server.cached_share("data") is share
    server.forget_shares()
    assert server.cached_share("data") is None
    client.open("still there")
