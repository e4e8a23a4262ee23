"""state/identities.py: whom a tree connect acts as."""

from __future__ import annotations

import os

import pytest

from ksmbd.ipc.requests import LoginReply, TreeConnectReply
from ksmbd.state.identities import credentials_for, credentials_of, token_for
from ksmbd.state.session import Session
from ksmbd.state.share import Share
from ksmbd.vfs.credentials import Credentials
from ksmbd.vfs.sid import GUESTS
from ksmbd.wire.ipc import TreeStatus
from tests.support.engine import Engine

JOE = Credentials(1000, 1001, (7, 8))
OWN = TreeConnectReply(TreeStatus.OK, 0)
GUEST = TreeConnectReply(TreeStatus.OK, 0, 65534, 65533, (9,))
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as others")


@pytest.fixture
def session(engine: Engine) -> Session:
    session = engine.server.new_session(engine.connection()[0])
    session.credentials = JOE
    return session


def test_an_account_is_who_mountd_says_it_is() -> None:
    assert credentials_of(LoginReply(1, 5, 6, (7,), b"", "joe")) == Credentials(5, 6, (7,))


@pytest.mark.parametrize(
    ("share", "decision", "expected"),
    [
        ({}, OWN, JOE),
        ({}, GUEST, Credentials(65534, 65533, (9,))),
        ({"force_gid": 50}, OWN, Credentials(1000, 50, (7, 8))),
        ({"force_gid": 50}, GUEST, Credentials(65534, 50, (9,))),
        ({"force_uid": 60, "force_groups": (61,)}, OWN, Credentials(60, 1001, (61,))),
        ({"force_uid": 60, "force_gid": 50}, GUEST, Credentials(60, 50, ())),
        ({"force_uid": 0, "force_gid": 0}, OWN, Credentials(0, 0, ())),
    ],
)
def test_force_user_and_group_and_guests(
    session: Session,
    share: dict[str, object],
    decision: TreeConnectReply,
    expected: Credentials,
) -> None:
    assert credentials_for(session, Share(name="x", **share), decision) == expected  # type: ignore[arg-type]


def test_nobody_acts_as_the_process(session: Session) -> None:
    session.credentials = None
    assert credentials_for(session, Share(name="x"), OWN) is None


@root_only
def test_the_token_is_of_whom_is_acted_as(engine: Engine, session: Session) -> None:
    found = token_for(engine.server, session, JOE)
    domain = engine.server.domain
    assert found.user == domain.uid_to_sid(1000)
    assert not found.privileged
    for gid in (1001, 7, 8):
        assert set(domain.names_of_group(gid)) <= found.sids
    assert token_for(engine.server, session, Credentials(0, 0)).privileged


def test_a_guest_is_one_in_the_token_too(engine: Engine, session: Session) -> None:
    session.is_guest = True
    assert GUESTS in token_for(engine.server, session, JOE).sids
    assert not token_for(engine.server, session, Credentials(0, 0)).privileged
