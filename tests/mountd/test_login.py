from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.ipc import NO_ID, LoginResponse, TreeConnectResponse, TreeStatus
from mountd import krb5, login
from mountd.params import GlobalParams
from mountd.state import State
from mountd.system import Identity
from tests.mountd.fakes import HASH, Clock, make_state

GUEST = ipc.USER_OK | ipc.USER_GUEST
NOBODY = 65534
PEER = "10.0.0.1"


def state_of(folder: Path, globals_: str = "", share: str = "") -> State:
    return make_state(folder, f"[global]\n{globals_}\n[data]\npath={folder}\n{share}\n")


def connect(state: State, **changes: Any) -> TreeConnectResponse:
    values: dict[str, Any] = {
        "handle": 1,
        "account_flags": ipc.USER_OK,
        "flags": ipc.PEER_SMB2,
        "session_id": 1,
        "connect_id": 1,
        "account": "alice",
        "share": "data",
        "peer": PEER,
    }
    return login.tree_connect(state, ipc.TreeConnectRequest(**(values | changes)))


# -- log-in ------------------------------------------------------------------------------


def test_an_account_is_told_with_hash_ids_and_groups(tmp_path: Path) -> None:
    assert login.login(state_of(tmp_path), 5, "ALICE", PEER) == LoginResponse(
        handle=5,
        status=ipc.USER_OK,
        uid=1000,
        gid=1000,
        account="alice",
        hash=HASH,
        groups=(1000, 50),
    )


@pytest.mark.parametrize(
    ("globals_", "account", "status", "uid"),
    [
        ("", "stranger", ipc.USER_BAD_USER, NO_ID),
        ("map to guest = bad user", "stranger", GUEST, NOBODY),
        ("map to guest = bad password", "stranger", GUEST, NOBODY),
        ("map to guest = bad uid", "stranger", ipc.USER_BAD_USER, NO_ID),
        ("map to guest = bad user\nguest account = bob", "stranger", GUEST, 1001),
        ("map to guest = bad user\nguest account = x", "stranger", ipc.USER_BAD_USER, NO_ID),
        ("map to guest = bad user\ndefault unix user = bob", "stranger", GUEST, NOBODY),
        ("", "", GUEST, NOBODY),
        ("guest account = x", "", ipc.USER_BAD_USER, NO_ID),
        ("", "eve", ipc.USER_BAD_UID, NO_ID),
        ("default unix user = bob", "eve", ipc.USER_OK, 1001),
        ("default unix user = x", "eve", ipc.USER_BAD_UID, NO_ID),
        ("map to guest = bad uid", "eve", ipc.USER_OK | ipc.USER_BAD_UID, NOBODY),
        ("map to guest = bad uid\nguest account = x", "eve", ipc.USER_BAD_UID, NO_ID),
        ("map to guest = bad user", "eve", ipc.USER_BAD_UID, NO_ID),
    ],
)
def test_who_is_a_guest_and_who_is_refused(
    tmp_path: Path, globals_: str, account: str, status: int, uid: int
) -> None:
    response = login.login(state_of(tmp_path, globals_), 1, account, PEER)
    assert (response.status, response.uid) == (status, uid)


def test_a_guest_has_no_hash_but_one_by_bad_uid_has(tmp_path: Path) -> None:
    state = state_of(tmp_path, "map to guest = bad uid")
    guest = login.login(state, 1, "", PEER)
    assert (guest.account, guest.hash) == ("nobody", b"")
    mapped = login.login(state, 1, "eve", PEER)
    assert (mapped.account, mapped.hash) == ("nobody", HASH)


def test_beside_an_unprivileged_ksmbd_every_account_is_let_in(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    state.server_identity = Identity(77, 78)
    response = login.login(state, 1, "eve", PEER)
    assert (response.status, response.uid) == (ipc.USER_OK, 77)


def fail(state: State, times: int, account: str = "Alice", peer: str = PEER) -> None:
    for _ in range(times):
        login.logout(state, account, ipc.USER_BAD_PASSWORD, peer)


def test_wrong_passwords_hold_back_the_next_until_one_is_right(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    fail(state, 10)
    answers = [login.login(state, 1, "alice", PEER) for _ in range(4)]
    assert [(r.status, r.delay_ms) for r in answers] == [
        (ipc.USER_OK, 0),
        (ipc.USER_OK, 1000),
        (ipc.USER_OK, 3000),
        (ipc.USER_BAD_USER | ipc.USER_DELAY_SESSION, 5000),
    ]
    assert answers[-1].hash == b""
    assert login.login(state, 1, "bob", PEER).delay_ms == 0
    assert connect(state).status == TreeStatus.OK
    assert login.login(state, 1, "alice", PEER).delay_ms == 0


def test_an_account_that_is_not_there_is_held_back_like_one_that_is(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    fail(state, 10, "stranger")
    answers = [login.login(state, 1, "Stranger", PEER) for _ in range(4)]
    assert [r.delay_ms for r in answers] == [0, 1000, 3000, 5000]
    assert all(r.status & ipc.USER_BAD_USER for r in answers)


def test_how_many_are_free_and_for_how_long_they_count_is_configured(tmp_path: Path) -> None:
    clock = Clock()
    conf = "[global]\nmax failed logons = 2\nfailed logon window = 1\n"
    state = make_state(tmp_path, conf, clock=clock)
    fail(state, 2)
    assert [login.login(state, 1, "alice", PEER).delay_ms for _ in range(2)] == [0, 1000]
    clock.now += 61
    assert [login.login(state, 1, "alice", PEER).delay_ms for _ in range(2)] == [0, 0]
    (tmp_path / "ksmbd.conf").write_text("[global]\nmax failed logons = 0\n")
    state.reload()
    fail(state, 1000)
    assert [login.login(state, 1, "alice", PEER).delay_ms for _ in range(9)] == [0] * 9


@pytest.mark.parametrize(
    ("globals_", "peer", "denied"),
    [
        ("hosts allow = 10.0.0.", "10.0.0.1", False),
        ("hosts allow = 10.0.0.", "10.0.1.1", True),
        ("hosts deny = 10.0.0.1", "10.0.0.1", True),
        ("hosts deny = ALL EXCEPT LOCAL", "127.0.0.1", False),
        ("", "10.0.0.1", False),
    ],
)
def test_nobody_logs_on_from_a_host_the_server_is_not_for(
    tmp_path: Path, globals_: str, peer: str, denied: bool
) -> None:
    state = state_of(tmp_path, f"{globals_}\nkerberos support = yes", "hosts allow = ALL")
    by_ticket = ipc.SpnegoAuthenRequest(handle=3, token=b"x", peer=peer)
    statuses = [
        login.login(state, 1, "alice", peer).status,
        login.login(state, 1, "", peer).status,
        login.kerberos(state, by_ticket, ticket("alice@EXAMPLE")).status,
    ]
    assert [status == ipc.USER_HOST_DENIED for status in statuses] == [denied] * 3


def test_a_plain_log_off_is_no_failure(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    for _ in range(20):
        login.logout(state, "alice", ipc.USER_OK, PEER)
    assert [login.login(state, 1, "alice", PEER).delay_ms for _ in range(2)] == [0, 0]


def test_a_guest_is_asked_for_no_password_and_waits_for_none(tmp_path: Path) -> None:
    state = state_of(tmp_path, "map to guest = bad user")
    fail(state, 100, "stranger")
    answers = [login.login(state, 1, "stranger", PEER) for _ in range(9)]
    assert {(r.status, r.delay_ms) for r in answers} == {(GUEST, 0)}


# -- Kerberos ----------------------------------------------------------------------------


def ticket(principal: str, lifetime_s: int = 0) -> krb5.Accept:
    def accept(token: bytes, _params: GlobalParams) -> krb5.Ticket:
        return krb5.Ticket(principal, "EXAMPLE", b"k" * 32, b"reply to " + token, lifetime_s)

    return accept


def spnego(state: State, accept: krb5.Accept) -> ipc.SpnegoAuthenResponse:
    return login.kerberos(state, ipc.SpnegoAuthenRequest(handle=3, token=b"x", peer=PEER), accept)


def test_a_ticket_names_an_account(tmp_path: Path) -> None:
    clock = Clock()
    state = make_state(tmp_path, "[global]\nkerberos support = yes\n", clock=clock)
    assert spnego(state, ticket("Alice@EXAMPLE", 3600)) == ipc.SpnegoAuthenResponse(
        handle=3,
        status=ipc.USER_OK,
        uid=1000,
        gid=1000,
        expiry=int(clock.now) + 3600,
        account="alice",
        session_key=b"k" * 32,
        spnego_blob=b"reply to x",
        groups=(1000, 50),
    )


@pytest.mark.parametrize(
    ("conf", "principal", "status"),
    [
        ("kerberos support = yes", "root@EXAMPLE", ipc.USER_BAD_UID),  # by its name alone
        ("kerberos support = yes", "eve@EXAMPLE", ipc.USER_BAD_UID),
        ("kerberos support = yes", "stranger@EXAMPLE", ipc.USER_BAD_UID),
        ("kerberos support = yes\ndefault unix user=bob", "eve@EXAMPLE", ipc.USER_OK),
        ("kerberos support = yes\ndefault unix user=bob", "stranger@X", ipc.USER_BAD_UID),
        ("kerberos support = yes", "alice@ELSEWHERE", ipc.USER_BAD_UID),  # not our alice
        ("kerberos support = yes", "alice@example", ipc.USER_BAD_UID),  # realms have their case
        ("", "alice@EXAMPLE", ipc.USER_BAD_USER),
    ],
)
def test_a_ticket_is_not_enough(tmp_path: Path, conf: str, principal: str, status: int) -> None:
    assert spnego(state_of(tmp_path, conf), ticket(principal)).status == status


def test_a_bad_token_is_refused_with_a_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def accept(_token: bytes, _params: GlobalParams) -> krb5.Ticket:
        raise krb5.KerberosError("no key")

    response = spnego(state_of(tmp_path, "kerberos support = yes"), accept)
    assert response.status == ipc.USER_BAD_USER
    assert "no key" in caplog.text


def test_a_wrong_clock_is_told_apart(tmp_path: Path) -> None:
    def accept(_token: bytes, _params: GlobalParams) -> krb5.Ticket:
        raise krb5.KerberosError("too late", clocks=True)

    response = spnego(state_of(tmp_path, "kerberos support = yes"), accept)
    assert response.status == ipc.USER_CLOCK_SKEW


# -- tree connect ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "account", "rights"),
    [
        ("", "alice", ipc.TREE_READ_ONLY),
        ("read only = no", "alice", ipc.TREE_WRITABLE),
        ("write list = @staff", "alice", ipc.TREE_WRITABLE),
        ("write list = @staff", "bob", ipc.TREE_READ_ONLY),
        ("writable = yes\nread list = alice", "alice", ipc.TREE_READ_ONLY),
        ("read list = alice\nwrite list = alice", "alice", ipc.TREE_WRITABLE),
        ("admin users = bob", "bob", ipc.TREE_READ_ONLY),
        ("valid users = @cooks", "bob", ipc.TREE_READ_ONLY),
        ("guest only = yes", "alice", ipc.TREE_READ_ONLY | ipc.TREE_GUEST),
    ],
)
def test_the_lists_give_the_rights(tmp_path: Path, share: str, account: str, rights: int) -> None:
    response = connect(state_of(tmp_path, share=share), account=account)
    assert response == TreeConnectResponse(
        handle=1,
        status=TreeStatus.OK,
        connection_flags=rights,
        uid=response.uid,
        gid=response.gid,
        groups=response.groups,
    )


def test_administrators_are_the_server_s(tmp_path: Path) -> None:
    flags = [
        connect(state_of(tmp_path, "admin users = bob"), account=name).connection_flags
        for name in ("alice", "bob")
    ]
    assert flags == [ipc.TREE_READ_ONLY, ipc.TREE_READ_ONLY | ipc.TREE_ADMIN]


BY_GUEST = {"account": "nobody", "account_flags": GUEST}


@pytest.mark.parametrize(
    ("globals_", "share", "request_", "status"),
    [
        ("", "", {"share": "none"}, TreeStatus.NO_SHARE),
        ("", "available = no", {}, TreeStatus.NO_SHARE),
        ("", "hosts allow = 11.", {}, TreeStatus.HOST_DENIED),
        ("hosts deny = 10.", "", {"share": "ipc$"}, TreeStatus.HOST_DENIED),
        ("", "invalid users = alice", {}, TreeStatus.INVALID_USER),
        ("", "invalid users = @staff\nvalid users = alice", {}, TreeStatus.INVALID_USER),
        ("", "valid users = bob", {}, TreeStatus.INVALID_USER),
        ("", "force user = x", {}, TreeStatus.ERROR),
        ("", "force group = x", {}, TreeStatus.ERROR),
        ("", "", BY_GUEST, TreeStatus.ERROR),
        ("", "guest ok = yes", BY_GUEST, TreeStatus.OK),
        ("", "guest ok = yes\nvalid users = alice", BY_GUEST, TreeStatus.INVALID_USER),
        ("", "guest ok = yes\nguest account = x", BY_GUEST, TreeStatus.NO_USER),
        ("", "", {**BY_GUEST, "share": "IPC$"}, TreeStatus.OK),
        ("restrict anonymous = 1", "", {**BY_GUEST, "share": "IPC$"}, TreeStatus.ERROR),
        ("restrict anonymous = 2", "guest ok = yes", BY_GUEST, TreeStatus.OK),
        ("", "", {"account_flags": ipc.USER_OK | ipc.USER_BAD_UID}, TreeStatus.ERROR),
        ("", "", {"account_flags": ipc.USER_BAD_PASSWORD}, TreeStatus.INVALID_USER),
        ("", "", {"account": "stranger"}, TreeStatus.NO_USER),
        ("default unix user = bob", "", {"account": "stranger"}, TreeStatus.NO_USER),
        ("", "", {"account": "root"}, TreeStatus.OK),  # by Kerberos: a system user will do
    ],
)
def test_who_is_let_in(
    tmp_path: Path, globals_: str, share: str, request_: dict[str, Any], status: TreeStatus
) -> None:
    state = state_of(tmp_path, globals_, share)
    assert connect(state, **request_).status == status
    assert len(state.sessions) == (status is TreeStatus.OK)


@pytest.mark.parametrize(
    ("share", "request_", "uid"),
    [
        ("", {}, NO_ID),
        ("guest ok = yes", BY_GUEST, NO_ID),
        ("guest ok = yes\nguest account = bob", BY_GUEST, 1001),
        ("guest only = yes", {}, NOBODY),
        ("guest only = yes\nguest account = bob", {}, 1001),
        ("guest ok = yes\nguest account = bob", {}, NO_ID),
    ],
)
def test_the_tree_acts_as_somebody_else_where_the_share_says_so(
    tmp_path: Path, share: str, request_: dict[str, Any], uid: int
) -> None:
    assert connect(state_of(tmp_path, share=share), **request_).uid == uid


def test_the_limits_are_what_they_say(tmp_path: Path) -> None:
    state = state_of(tmp_path, "max active sessions = 2", "max connections = 3")
    ids = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (1, 1)]
    answers = [
        TreeStatus(connect(state, session_id=session, connect_id=number).status)
        for session, number in ids
    ]
    assert answers == [
        TreeStatus.OK,
        TreeStatus.OK,
        TreeStatus.OK,
        TreeStatus.TOO_MANY_CONNS,
        TreeStatus.TOO_MANY_SESSIONS,
        TreeStatus.TOO_MANY_CONNS,
    ]
    state.sessions.remove(2, 1)
    assert connect(state, session_id=1, connect_id=1).status == TreeStatus.CONN_EXIST


def test_a_changed_share_says_so_until_it_is_asked_for(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    assert not connect(state).connection_flags & ipc.TREE_UPDATE
    (tmp_path / "ksmbd.conf").write_text(f"[data]\npath={tmp_path}\ncomment=new\n")
    state.reload()
    assert connect(state, connect_id=2).connection_flags & ipc.TREE_UPDATE


def test_restored_trees_count_but_are_not_refused(tmp_path: Path) -> None:
    state = state_of(tmp_path, "max active sessions = 1")
    for session_id in (1, 2):
        login.restore(
            state,
            ipc.TreeRestore(session_id=session_id, connect_id=1, account="alice", share="data"),
        )
    assert len(state.sessions) == 2
    assert connect(state, session_id=3).status == TreeStatus.TOO_MANY_SESSIONS


def test_a_tree_knows_who_and_since_when(tmp_path: Path) -> None:
    clock = Clock()
    state = make_state(tmp_path, f"[data]\npath={tmp_path}\n", clock=clock)
    connect(state, account="ALICE", share="DATA")
    (tree,) = state.sessions.trees()
    assert (tree.account, tree.share, tree.peer, tree.since) == (
        "alice",
        "data",
        "10.0.0.1",
        clock.now,
    )
