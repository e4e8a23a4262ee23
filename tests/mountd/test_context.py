from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.ipc import Message
from mountd.context import RpcContext
from mountd.questions import Questions
from mountd.rpc.interface import (
    DISK,
    IPC,
    SPECIAL,
    Account,
    Caller,
    ConnectionInfo,
    FileInfo,
    SessionInfo,
    Share,
)
from mountd.sessions import Limits, Tree
from mountd.state import State
from tests.mountd.fakes import Clock, make_state

CONF = """[global]
netbios name = N
workgroup = W
server string = S
[data]
path = /srv
comment = C
browseable = no
max connections = 5
[gone]
path = /gone
available = no
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path, clock: Clock) -> State:
    return make_state(tmp_path, CONF, clock=clock)


def test_the_server_describes_itself(state: State, clock: Clock) -> None:
    context = RpcContext(state, Questions())
    assert (context.server_name, context.workgroup, context.server_string) == ("N", "W", "S")
    assert context.sub_authorities == state.sub_authorities
    clock.now += 5
    assert context.clock() == clock.now
    assert context.uptime() == 5
    assert -14 * 60 <= context.minutes_west() <= 14 * 60


def test_shares_are_told_with_their_users(state: State) -> None:
    state.sessions.add(Tree(1, 1, "alice", "data", "::1", False, 0.0), Limits(0, 0))
    comment = "IPC Service (S)"
    assert RpcContext(state, Questions()).shares(Caller("alice")) == [
        Share("data", DISK, "C", "/srv", False, 5, 1),
        Share("IPC$", IPC | SPECIAL, comment, "", True, 0, 0),
    ]


def test_shares_that_look_at_access_say_so_and_show_to_whom_they_let_in(tmp_path: Path) -> None:
    conf = """[a]
path = /a
hide unreadable = yes
[b]
path = /b
access based share enum = yes
valid users = alice
invalid users = bob
[c]
path = /c
guest only = yes
guest ok = yes
"""
    context = RpcContext(make_state(tmp_path, conf), Questions())
    callers = {name: context.caller(name, "::1", guest=name == "") for name in ("alice", "bob", "")}
    shown = {
        name: [share.name for share in context.shares(caller) if share.browseable]
        for name, caller in callers.items()
    }
    assert shown == {
        "alice": ["a", "b", "c", "IPC$"],
        "bob": ["a", "c", "IPC$"],
        "": ["a", "c", "IPC$"],
    }
    by_name = {share.name: share for share in context.shares(callers["bob"])}
    assert [name for name, share in by_name.items() if share.lists_by_access] == ["a"]


def test_sessions_and_connections_have_their_age(state: State, clock: Clock) -> None:
    started = clock.now
    for session_id, connect_id, share, since in (
        (1, 1, "IPC$", started + 4),
        (1, 2, "data", started),
        (2, 3, "data", started + 5),
    ):
        tree = Tree(session_id, connect_id, "alice", share, "::1", session_id == 2, since)
        state.sessions.add(tree, Limits(0, 0))
    clock.now += 10
    context = RpcContext(state, Questions())
    assert context.sessions() == [
        SessionInfo("::1", "alice", time_s=10),
        SessionInfo("::1", "alice", time_s=5, guest=True),
    ]
    assert context.connections() == [
        ConnectionInfo(1, "IPC$", "::1", "alice", IPC | SPECIAL, time_s=6),
        ConnectionInfo(2, "data", "::1", "alice", DISK, time_s=10),
        ConnectionInfo(3, "data", "::1", "alice", DISK, time_s=5),
    ]
    assert context.files() == []


def test_files_and_their_ends_are_asked_of_the_server(state: State) -> None:
    questions = Questions()
    asked: list[Message] = []

    def answer(message: Message) -> None:
        asked.append(message)
        reply: Message
        if isinstance(message, ipc.OpensRequest):
            rows = [(5, 0x120089, 0, "/srv/a", "alice"), (6, 0x12019F, 2, "/srv/b", "bob")]
            owner = (1, 2)[message.start]
            row = rows[message.start]
            reply = ipc.OpensResponse(
                handle=message.handle,
                total=2,
                numbers=(row[0],),
                access=(row[1],),
                locks=(row[2],),
                sessions=(owner,),
                trees=(7,),
                paths=(row[3],),
                users=(row[4],),
            )
        elif isinstance(message, ipc.SessionsRequest):
            pages = (((3, 4), (9, 0)), ((1,), (12,)))
            sessions, idle = pages[bool(message.start)]
            reply = ipc.SessionsResponse(
                handle=message.handle, total=3, sessions=sessions, idle=idle
            )
        else:
            reply = ipc.EndResponse(handle=message.handle, count=1)
        questions.answered(message.handle, reply)  # type: ignore[attr-defined]

    questions.connected(answer)
    context = RpcContext(state, questions)
    assert context.files() == [
        FileInfo(5, "/srv/a", "alice", 1, 0),
        FileInfo(6, "/srv/b", "bob", 7, 2),
    ]
    for tree in (
        Tree(1, 7, "alice", "data", "::1", False, 0.0),
        Tree(1, 8, "a", "b", "", False, 0),
    ):
        state.sessions.add(tree, Limits(0, 0))
    assert [(session.opens, session.idle_s) for session in context.sessions()] == [(1, 12)]
    assert [connection.opens for connection in context.connections()] == [1, 0]
    assert context.close_file(5)
    assert context.end_sessions("::1", "") == 1
    assert [m.number for m in asked if isinstance(m, ipc.EndRequest)] == [5, 0]
    questions.connected(None)
    assert context.files() == []
    assert not context.close_file(5)


def test_accounts_come_sorted_and_without_system_user_disabled(state: State) -> None:
    assert RpcContext(state, Questions()).accounts() == [
        Account("alice", 1000, 1000, "Alice A."),
        Account("bob", 1001, 1001),
        Account("eve", 65534, 65534, disabled=True),
    ]


def test_names_and_ids_are_the_system_s(state: State) -> None:
    context = RpcContext(state, Questions())
    assert (context.user_name(1000), context.user_id("alice")) == ("alice", 1000)
    assert context.user_id("ALICE") == 1000
    assert context.user_id("none") is None
    assert (context.group_name(50), context.group_id("staff")) == ("staff", 50)


@pytest.mark.parametrize(
    ("account", "guest", "uid", "admin"),
    [
        ("alice", False, 1000, False),
        ("root", False, 0, True),
        ("root", True, 0, False),
        ("eve", False, 65534, False),
        ("", True, 65534, False),
    ],
)
def test_a_caller_is_its_system_user(
    state: State, account: str, guest: bool, uid: int, admin: bool
) -> None:
    caller = RpcContext(state, Questions()).caller(account, "::1", guest=guest)
    assert caller == Caller(
        account=account,
        domain="W",
        uid=uid,
        gid=caller.gid,
        is_guest=guest,
        is_anonymous=not account,
        admin=admin,
        peer="::1",
        server_name="N",
    )


def test_the_global_admin_users_administer(tmp_path: Path) -> None:
    state = make_state(tmp_path, "[global]\nadmin users = @staff\n")
    assert RpcContext(state, Questions()).caller("alice", "", guest=False).admin
    assert not RpcContext(state, Questions()).caller("bob", "", guest=False).admin
