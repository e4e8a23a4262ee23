"""What is recorded of whom: requests to a real state, without sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.server.auditing import Auditor
from ksmbd.server.observe import Observer
from ksmbd.state.server import Server
from ksmbd.state.share import AuditPolicy
from ksmbd.wire import file_info, fsctl
from ksmbd.wire.access import (
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_OVERWRITE_IF,
)
from ksmbd.wire.auditing import ALL, Operation
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.ipc import TreeStatus
from ksmbd.wire.policy import Encryption
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.auth import client as ntlm
from tests.support import engine as support
from tests.support.client import Client, ready
from tests.support.engine import PEER, Engine
from tests.support.mountd import DISK, share


class Records:
    """What was put, in the place of a file."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self.auditor = Auditor()

    def put(self, record: dict[str, Any]) -> None:
        self.all.append(record)

    def take(self) -> list[dict[str, Any]]:
        taken, self.all = self.all, []
        return taken

    def told(self, *fields: str) -> list[tuple[Any, ...]]:
        return [tuple(record.get(name) for name in ("op", *fields)) for record in self.take()]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Records:
    """Of all that the engine is given from now on."""
    observer, made = Observer(), Records()
    observer.auditor = made.auditor
    made.auditor.log = made  # type: ignore[assignment]

    def server(**how: Any) -> Server:
        created = Server(**how)
        created.audit = made.auditor
        return created

    monkeypatch.setattr(support, "Server", server)
    monkeypatch.setattr(support, "dispatch", observer._observing)
    return made


def audited(folder: Path, success: int = ALL, failure: int = ALL, **changes: Any) -> Engine:
    made = Engine(folder)
    config = share(
        *("data", str(folder), DISK), audit_success=success, audit_failure=failure, **changes
    )
    made.mountd.configs["data"] = config
    return made


@pytest.fixture
def client(folder: Path, records: Records) -> Client:
    return ready(audited(folder))


def renamed(to: str) -> bytes:
    name = utf16(to)
    info = file_info.FileRenameInformation(replace_if_exists=0, file_name_length=len(name))
    return info.pack() + name


def test_a_record_says_who_from_where_in_which_session(client: Client, records: Records) -> None:
    (connect,) = records.take()
    session = client.frames.session_id
    assert connect == {
        "op": "connect",
        "status": "SUCCESS",
        "user": "joe",
        "sid": connect["sid"],
        "client": PEER,
        "session": f"{session:#x}",
        "share": "data",
    }
    assert connect["sid"].startswith("S-1-5-21-")


def test_a_file_is_made_written_read_closed(client: Client, records: Records) -> None:
    records.take()
    opened = client.file(client.call(client.frames.create("new", create_disposition=FILE_CREATE)))
    for _ in range(3):
        client.send(opened.frames.write(b"12345", 0))
    client.send(opened.frames.read(4, 0))
    client.send(opened.frames.read(4, 100))  # END_OF_FILE is no failure to tell of
    client.send(opened.frames.close())
    made, read, write, close = records.take()
    assert (made["op"], made["path"], made["action"]) == ("create", "new", "created")
    assert (made["disposition"], made["directory"]) == ("create", False)
    assert int(made["granted"], 16)
    assert (read["op"], read["requests"], read["bytes"]) == ("read", 1, 4)
    assert (write["op"], write["requests"], write["bytes"]) == ("write", 3, 15)
    assert (close["op"], close["path"], close["open"]) == ("close", "new", made["open"])


def test_what_was_there_is_opened(client: Client, records: Records, engine: Engine) -> None:
    client.engine.make_file("old", b"x")
    client.open("old")
    client.call(client.frames.create("old", create_disposition=FILE_OVERWRITE_IF))
    told = records.told("path", "action")
    assert told[1:] == [("open", "old", "opened"), ("open", "old", "overwritten")]


def test_directories_are_made_and_removed(client: Client, records: Records) -> None:
    records.take()
    options = FILE_DIRECTORY_FILE | FILE_DELETE_ON_CLOSE
    frame = client.frames.create("d", create_disposition=FILE_CREATE, create_options=options)
    client.send(client.file(client.call(frame)).frames.close())
    assert records.told("path") == [("mkdir", "d"), ("close", "d"), ("rmdir", "d")]


def test_a_file_is_renamed(client: Client, records: Records) -> None:
    client.engine.make_file("a")
    opened = client.open("a")
    records.take()
    client.send(opened.frames.set_info(FileInfo.RENAME, renamed("b")))
    client.send(opened.frames.set_info(FileInfo.RENAME, renamed("c")))
    client.send(opened.frames.set_info(FileInfo.RENAME, renamed("no\\where")))
    assert records.told("path", "to", "status") == [
        ("rename", "a", "b", "SUCCESS"),
        ("rename", "b", "c", "SUCCESS"),
        ("rename", "c", "no/where", "OBJECT_PATH_NOT_FOUND"),
    ]


def test_a_deletion_is_told_when_it_happens_with_who_wanted_it(
    folder: Path, records: Records
) -> None:
    engine = audited(folder)
    engine.make_file("f")
    one, two = ready(engine), ready(engine)
    first, second = one.open("f"), two.open("f")
    records.take()
    one.send(first.frames.set_info(FileInfo.DISPOSITION, b"\1"))
    one.send(first.frames.close())
    assert records.told("path") == [("close", "f")]
    two.send(second.frames.close())
    _, gone = records.take()
    assert (gone["op"], gone["path"]) == ("unlink", "f")
    assert gone["session"] == f"{one.frames.session_id:#x}"


def test_refusals_are_failures(client: Client, records: Records) -> None:
    client.engine.make_directory("d")
    client.engine.make_file("d/f")
    records.take()
    client.send(client.frames.open("nothing"))
    opened = client.open("d", create_options=FILE_DIRECTORY_FILE)
    client.send(opened.frames.set_info(FileInfo.DISPOSITION, b"\1"))
    told = records.told("path", "status")
    assert told[0] == ("open", "nothing", "OBJECT_NAME_NOT_FOUND")
    assert told[2] == ("rmdir", "d", "DIRECTORY_NOT_EMPTY")


def test_other_changes_are_told(client: Client, records: Records) -> None:
    client.engine.make_file("f", b"x")
    opened = client.open("f")
    records.take()
    client.send(opened.frames.set_info(FileInfo.END_OF_FILE, bytes(8)))
    client.send(opened.frames.ioctl(fsctl.SET_SPARSE))
    client.send(opened.frames.ioctl(fsctl.GET_COMPRESSION))
    assert records.told("path", "class", "code") == [
        ("setinfo", "f", "end_of_file", None),
        ("fsctl", "f", None, "set_sparse"),
    ]


def test_a_lost_connection_ends_all_of_it(client: Client, records: Records) -> None:
    client.engine.make_file("f", b"x")
    client.open("f")
    records.take()
    client.lose()
    assert records.told("path") == [("close", "f"), ("disconnect", None)]


def test_only_what_the_share_wants_is_told(folder: Path, records: Records) -> None:
    engine = audited(folder, success=Operation.CLOSE, failure=0)
    client = ready(engine)
    engine.make_file("f")
    client.send(client.open("f").frames.close())
    client.send(client.frames.open("nothing"))
    assert records.told() == [("close",)]


def test_of_a_share_without_a_policy_nothing_is_told(engine: Engine, records: Records) -> None:
    client = ready(engine)
    engine.make_file("f")
    opened = client.open("f")
    client.send(opened.frames.close())
    assert records.all == []


def test_a_command_that_never_came_to_be_has_not_the_name_of_the_one_before(
    client: Client, records: Records
) -> None:
    client.engine.make_file("f", b"x")
    opened = client.open("f")
    records.take()
    client.send(opened.frames.read(1, 0), client.frames.read(1, 0))
    (failed,) = records.take()
    assert (failed["op"], failed["path"], failed["status"]) == ("read", None, "FILE_CLOSED")


def test_a_prefix_has_its_variables(folder: Path, records: Records) -> None:
    ready(audited(folder, audit_prefix="%u|%I|%m|%S|100%%u"))
    (connect,) = records.take()
    assert connect["prefix"] == f"joe|{PEER}|client|data|100%u"


def test_a_refused_connect_is_told_of_a_share_that_is_known(folder: Path, records: Records) -> None:
    engine = audited(folder)
    ready(engine)
    records.take()
    engine.mountd.decisions["data"] = TreeConnectReply(TreeStatus.INVALID_USER, 0)
    client = Client(engine)
    client.negotiate()
    client.log_on()
    assert client.status(client.frames.tree_connect()) is NtStatus.ACCESS_DENIED
    (refused,) = records.take()
    assert (refused["op"], refused["status"]) == ("connect", "ACCESS_DENIED")
    assert (refused["user"], refused["share"]) == ("joe", "data")


# -- log-ons, and tree connects to any share -----------------------------------------------

SESSIONS = Operation.LOGON | Operation.LOGOFF | Operation.CONNECT | Operation.DISCONNECT


@pytest.fixture
def watched(folder: Path, records: Records) -> Engine:
    """No share of it is audited."""
    records.auditor.policy = AuditPolicy(SESSIONS, SESSIONS)
    return Engine(folder, multichannel=True)


def test_a_log_on_and_its_end_are_told(watched: Engine, records: Records) -> None:
    client = Client(watched)
    client.negotiate()
    session = client.log_on()
    (logon,) = records.take()
    assert logon == {
        "op": "logon",
        "status": "SUCCESS",
        "user": "joe",
        "sid": logon["sid"],
        "session": f"{session.session_id:#x}",
        "client": PEER,
        "how": "new",
    }
    assert logon["sid"].startswith("S-1-5-21-")
    client.send(client.frames.logoff())
    (logoff,) = records.take()
    assert (logoff["op"], logoff["user"], logoff["sid"]) == ("logoff", "joe", logon["sid"])
    assert (logoff["session"], logoff["client"]) == (logon["session"], PEER)


def test_a_lost_connection_logs_off_after_all_else(watched: Engine, records: Records) -> None:
    client = ready(watched)
    assert records.told("share") == [("logon", None), ("connect", "data")]
    client.lose()
    assert records.told("share") == [("disconnect", "data"), ("logoff", None)]


@pytest.mark.parametrize(
    ("user", "password", "why"),
    [("joe", "wrong", "wrong password"), ("stranger", "any", "unknown user")],
)
def test_a_refused_log_on_says_whom_the_client_named(
    watched: Engine, records: Records, user: str, password: str, why: str
) -> None:
    client = Client(watched)
    client.negotiate()
    client.try_log_on(ntlm.Client(user, password=password))
    (refused,) = records.take()
    assert (refused["op"], refused["status"]) == ("logon", "LOGON_FAILURE")
    assert (refused["user"], refused["client"]) == (user, PEER)
    assert why in refused["why"]


def test_a_refusal_that_is_held_back_is_told_at_once(watched: Engine, records: Records) -> None:
    watched.mountd.users["joe"].delay_s = 4.0
    client = Client(watched)
    client.negotiate()
    client.try_log_on(ntlm.Client("joe", password="wrong"))
    assert records.told("user") == [("logon", "joe")]
    watched.advance(5)
    assert records.all == []


def test_another_channel_and_another_log_on_of_a_session_are_told(
    watched: Engine, records: Records
) -> None:
    one = Client(watched)
    one.negotiate()
    session = one.log_on()
    two = Client(watched, peer="192.0.2.8")
    two.negotiate()
    two.bind(session)
    begun = one.call(one.frames.session_setup((side := ntlm.Client()).negotiate()))
    one.call(one.frames.session_setup(side.authenticate(begun.token())))
    assert records.told("how", "client") == [
        ("logon", "new", PEER),
        ("logon", "channel", "192.0.2.8"),
        ("logon", "again", PEER),
    ]
    two.lose()
    assert records.all == []
    one.lose()
    assert records.told("user") == [("logoff", "joe")]


def test_a_client_that_cannot_encrypt_where_it_must_is_told(folder: Path, records: Records) -> None:
    records.auditor.policy = AuditPolicy(0, Operation.LOGON)
    client = Client(Engine(folder, encryption=Encryption.REQUIRED))
    client.negotiate(0x0210)
    client.try_log_on(ntlm.Client("joe"))
    (refused,) = records.take()
    assert refused["status"] == "ACCESS_DENIED"
    assert refused["why"].startswith("the client speaks SMB 2.1, which cannot encrypt")


def test_a_share_that_is_not_there_is_told_by_the_name_that_was_asked_for(
    watched: Engine, records: Records
) -> None:
    client = ready(watched)
    records.take()
    status = client.status(client.frames.tree_connect("\\\\server\\backup"))
    assert status is NtStatus.BAD_NETWORK_NAME
    assert records.told("share", "status", "user") == [
        ("connect", "backup", "BAD_NETWORK_NAME", "joe"),
    ]


def test_of_the_server_only_what_is_wanted_is_told(folder: Path, records: Records) -> None:
    records.auditor.policy = AuditPolicy(Operation.LOGOFF, 0)
    client = ready(Engine(folder))
    client.status(client.frames.tree_connect("\\\\server\\backup"))
    client.try_log_on(ntlm.Client("stranger"))
    client.lose()
    assert records.told() == [("logoff",)]


def test_a_share_of_its_own_mind_is_told_of_once(folder: Path, records: Records) -> None:
    """The server wants tree connects and so does the share, which wants nothing else."""
    records.auditor.policy = AuditPolicy(Operation.CONNECT | Operation.DISCONNECT, 0)
    client = ready(audited(folder, success=Operation.CONNECT, failure=0))
    client.engine.make_file("f")
    client.send(client.open("f").frames.close())
    client.lose()
    assert records.told() == [("connect",), ("disconnect",)]
