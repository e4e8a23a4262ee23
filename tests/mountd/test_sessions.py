from __future__ import annotations

from ksmbd.wire.ipc import TreeStatus
from mountd.sessions import Limits, Sessions, Tree

ANY = Limits(0, 0)


def tree(session_id: int, connect_id: int, share: str = "Data") -> Tree:
    return Tree(session_id, connect_id, "alice", share, "::1", False, 0.0)


def test_a_limit_of_two_lets_two_connect() -> None:
    sessions = Sessions()
    limits = Limits(0, 2)
    assert sessions.add(tree(1, 1), limits) is TreeStatus.OK
    assert sessions.share_room("data", 2) is TreeStatus.OK
    assert sessions.add(tree(2, 1, "DATA"), limits) is TreeStatus.OK
    assert sessions.share_room("data", 2) is TreeStatus.TOO_MANY_CONNS
    assert sessions.add(tree(3, 1), limits) is TreeStatus.TOO_MANY_CONNS
    assert sessions.count("data") == 2
    sessions.remove(1, 1)
    assert sessions.add(tree(3, 1), limits) is TreeStatus.OK


def test_the_session_limit_is_for_new_sessions() -> None:
    sessions = Sessions()
    limits = Limits(1, 0)
    assert sessions.add(tree(1, 1), limits) is TreeStatus.OK
    assert sessions.add(tree(1, 2), limits) is TreeStatus.OK
    assert sessions.session_room(2, 1) is TreeStatus.TOO_MANY_SESSIONS
    assert sessions.add(tree(2, 1), limits) is TreeStatus.TOO_MANY_SESSIONS
    sessions.remove(1, 1)
    sessions.remove(1, 2)
    assert len(sessions) == 0
    assert sessions.add(tree(2, 1), limits) is TreeStatus.OK


def test_an_id_is_used_once_a_session() -> None:
    sessions = Sessions()
    assert sessions.add(tree(1, 1), ANY) is TreeStatus.OK
    assert sessions.add(tree(1, 1), ANY) is TreeStatus.CONN_EXIST
    assert sessions.add(tree(2, 1), ANY) is TreeStatus.OK
    assert sessions.count("data") == 2


def test_removing_what_is_not_there_changes_nothing() -> None:
    sessions = Sessions()
    sessions.add(tree(1, 1), ANY)
    assert sessions.remove(1, 2) is None
    assert sessions.remove(2, 1) is None
    assert sessions.trees() == [tree(1, 1)]


def test_a_new_ksmbd_begins_with_nothing() -> None:
    sessions = Sessions()
    sessions.add(tree(1, 1), ANY)
    sessions.clear()
    assert sessions.trees() == []
    assert sessions.count("data") == 0
