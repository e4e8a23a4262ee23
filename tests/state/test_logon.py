"""state/logon.py: the accounts behind a proof.  Whole log-ons: test_session_setup.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ksmbd.state.logon import LoggedOn, Logon, LogonFailed
from ksmbd.wire import ipc
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.auth import client as ntlm
from tests.support.client import nobody
from tests.support.engine import PEER, Engine
from tests.support.mountd import GUEST, User


def log_on(engine: Engine, side: ntlm.Client) -> LoggedOn:
    logon = Logon(engine.server, PEER)
    first = logon.step(side.negotiate())
    assert first.logged_on is None
    last = logon.step(side.authenticate(first.token))
    assert last.logged_on is not None
    return last.logged_on


def refusal(engine: Engine, side: ntlm.Client) -> NtStatusError:
    with pytest.raises(NtStatusError) as refused:
        log_on(engine, side)
    return refused.value


def test_an_account_is_who_mountd_says(engine: Engine) -> None:
    engine.mountd.users["joe"] = User("Joe", uid=7, gid=8, groups=(9,))
    who = log_on(engine, ntlm.Client("JOE", domain="ANY"))
    identity = who.identity
    assert (identity.account, identity.domain) == ("Joe", "ANY")
    assert (identity.uid, identity.gid, identity.groups) == (7, 8, (9,))
    assert not identity.guest
    assert not identity.anonymous
    assert identity.can_sign
    assert who.login.status == ipc.USER_OK


def test_the_key_is_the_one_the_client_has(engine: Engine) -> None:
    side = ntlm.Client()
    assert log_on(engine, side).identity.session_key == side.key


def test_a_wrong_password_is_counted_and_held_back(engine: Engine) -> None:
    engine.mountd.users["joe"] = User("joe", delay_s=2.5)
    refused = refusal(engine, ntlm.Client(password="wrong"))
    assert isinstance(refused, LogonFailed)
    assert (refused.status, refused.delay_s) == (NtStatus.LOGON_FAILURE, 2.5)
    assert engine.mountd.logouts == [("joe", ipc.USER_BAD_PASSWORD)]


@pytest.mark.parametrize("status", [ipc.USER_BAD_USER, ipc.USER_BAD_UID, ipc.USER_BAD_PASSWORD])
def test_whom_mountd_refuses_is_refused(engine: Engine, status: int) -> None:
    engine.mountd.users["joe"] = User("joe", status=status)
    assert refusal(engine, ntlm.Client()).status is NtStatus.LOGON_FAILURE


def test_a_password_that_was_not_looked_at_is_not_counted(engine: Engine) -> None:
    status = ipc.USER_BAD_USER | ipc.USER_DELAY_SESSION
    engine.mountd.users["joe"] = User("joe", status=status, delay_s=5.0)
    refused = refusal(engine, ntlm.Client())  # the right one
    assert isinstance(refused, LogonFailed)
    assert (refused.status, refused.delay_s) == (NtStatus.LOGON_FAILURE, 5.0)
    assert engine.mountd.logouts == []


def test_a_user_without_a_uid_is_a_guest_once_he_has_proven_himself(engine: Engine) -> None:
    """map to guest = bad uid"""
    engine.mountd.users["joe"] = User("nobody", status=ipc.USER_OK | ipc.USER_BAD_UID)
    who = log_on(engine, ntlm.Client())
    assert who.identity.guest
    assert who.login.status & ipc.USER_GUEST
    refused = refusal(engine, ntlm.Client(password="wrong"))
    assert refused.status is NtStatus.LOGON_FAILURE


def test_an_unknown_user_is_a_guest_where_mountd_says_so(engine: Engine) -> None:
    engine.mountd.guest = replace(GUEST, uid=65534)
    identity = log_on(engine, ntlm.Client("stranger", password="x")).identity
    assert (identity.account, identity.uid, identity.guest) == ("nobody", 65534, True)
    assert not identity.can_sign


def test_a_guest_needs_no_hash_and_none_proves_anything(engine: Engine) -> None:
    """A guest's reply has no hash: the empty password must not be one."""
    engine.mountd.guest = replace(GUEST)
    assert log_on(engine, ntlm.Client("stranger", password="")).identity.guest


def test_a_wrong_password_is_a_guest_only_where_the_administrator_says_so(folder: Path) -> None:
    engine = Engine(folder)
    assert refusal(engine, ntlm.Client(password="x")).status is NtStatus.LOGON_FAILURE
    engine = Engine(folder, wrong_password_is_guest=True)
    engine.mountd.anonymous = None
    assert refusal(engine, ntlm.Client(password="x")).status is NtStatus.LOGON_FAILURE
    engine.mountd.guest = replace(GUEST)
    engine.mountd.logouts.clear()
    assert log_on(engine, ntlm.Client(password="x")).identity.guest
    assert engine.mountd.logouts == [("joe", ipc.USER_BAD_PASSWORD)]


def test_from_some_hosts_nobody_logs_on(engine: Engine) -> None:
    engine.mountd.users["joe"] = User("joe", status=ipc.USER_HOST_DENIED)
    engine.mountd.anonymous = User("", status=ipc.USER_HOST_DENIED)
    for side in (ntlm.Client(), nobody()):
        assert refusal(engine, side).status is NtStatus.ACCESS_DENIED
    assert engine.mountd.logouts == []


def test_nobody_is_anonymous(engine: Engine) -> None:
    who = log_on(engine, nobody())
    assert who.identity.anonymous
    assert not who.identity.guest
    assert who.login.status & ipc.USER_GUEST


def test_nobody_can_be_refused(engine: Engine) -> None:
    engine.mountd.anonymous = None
    assert refusal(engine, nobody()).status is NtStatus.ACCESS_DENIED


def test_without_mountd_nobody_is_anybody(engine: Engine) -> None:
    engine.mountd.away = True
    for side in (ntlm.Client(), nobody()):
        assert refusal(engine, side).status is NtStatus.NO_LOGON_SERVERS
