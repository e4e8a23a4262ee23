"""state/session.py: channels and trees of one log-on."""

from __future__ import annotations

import pytest

from ksmbd.crypto.signing import Signer
from ksmbd.state import session as module
from ksmbd.state.session import Session, SessionState
from ksmbd.state.share import Share
from ksmbd.state.tree import TreeConnect
from ksmbd.wire.negotiate import AES_CMAC
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.support.engine import Engine


@pytest.fixture
def session(engine: Engine) -> Session:
    return engine.server.new_session(engine.connection()[0])


def tree(session: Session, tree_id: int, **changes: object) -> TreeConnect:
    settings = {"writable": True, "maximal_access": 0, "credentials": None, "token": None}
    share = Share(name="data")
    return TreeConnect(tree_id, session, share, now=0.0, **{**settings, **changes})  # type: ignore[arg-type]


def test_a_new_session_is_nobodys(session: Session) -> None:
    assert session.state is SessionState.IN_PROGRESS
    assert session.account == ""
    assert session.signer_on(session.connection) is None
    assert not session.signing_required


def test_each_channel_has_its_own_key(engine: Engine, session: Session) -> None:
    other = engine.connection()[0]
    first, second = Signer(AES_CMAC, bytes(16)), Signer(AES_CMAC, bytes(16))
    session.add_channel(session.connection, first)
    session.add_channel(other, second)
    assert session.signer_on(session.connection) is first
    assert session.signer_on(other) is second
    assert not session.remove_channel(other)
    assert session.signer_on(other) is None
    assert session.remove_channel(session.connection)


def test_trees_come_and_go(session: Session) -> None:
    made = tree(session, session.new_tree_id())
    session.add_tree(made)
    assert session.find_tree(made.tree_id) is made
    assert session.remove_tree(made.tree_id) is made
    assert session.remove_tree(made.tree_id) is None
    with pytest.raises(NtStatusError) as refused:
        session.find_tree(made.tree_id)
    assert refused.value.status is NtStatus.NETWORK_NAME_DELETED


def test_tree_ids_go_round_and_leave_out_those_in_use(session: Session) -> None:
    for taken in (1, 3):
        session.add_tree(tree(session, taken))
    session._next_tree_id = 0xFFFF_FFF0
    assert [session.new_tree_id() for _ in range(3)] == [0xFFFF_FFF0, 2, 4]


def test_no_more_trees_than_allowed(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TREES", 1)
    session.add_tree(tree(session, session.new_tree_id()))
    with pytest.raises(NtStatusError) as refused:
        session.new_tree_id()
    assert refused.value.status is NtStatus.INSUFFICIENT_RESOURCES
