from __future__ import annotations

import queue
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.base import WireError
from ksmbd.wire.ipc import Event, Message, RpcStatus, TreeStatus
from mountd import login, worker
from mountd.sessions import Limits, Tree
from mountd.worker import EVENTS, Services, Worker
from tests.mountd.fakes import make_state

PATIENCE_S = 10.0
SRVSVC_BIND = bytes.fromhex(
    "05000b03100000004800000001000000b810b810000000000100000000000100"
    "c84f324b7016d30112785a47bf6ee18803000000045d888aeb1cc9119fe808002b10486002000000"
)


class Bench:
    def __init__(self, folder: Path) -> None:
        conf = f"[data]\npath={folder}\ncomment=C\n[bad]\npath=/\nforce user=x\n"
        conf += "[away]\npath=/\navailable=no\n"
        self.state = make_state(folder, conf)
        self.services = Services(self.state, bytes)
        self.worker = Worker(self.services)
        self.answers: queue.Queue[Message] = queue.Queue()

    def ask(self, message: Message) -> Any:
        self.worker.take(message, self.answers.put)
        return self.answers.get(timeout=PATIENCE_S)

    def rpc(self, flags: int, payload: bytes = b"", **changes: Any) -> tuple[int, bytes]:
        message = ipc.RpcRequest(handle=7, pipe=1, flags=flags, payload=payload, **changes)
        answer = self.ask(message)
        assert isinstance(answer, ipc.RpcResponse)
        assert answer.handle == 7
        return answer.flags, answer.payload


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.worker.stop()


def test_every_message_of_ksmbd_has_its_row() -> None:
    from_mountd = {Event.STARTING_UP, Event.SHUTTING_DOWN, Event.STATE_CHANGED}
    questions = {  # of mountd
        *(Event.OPENS_REQUEST, Event.SESSIONS_REQUEST),
        *(Event.END_REQUEST, Event.FILE_SECURITY_REQUEST),
    }
    answers = {Event(question + 1) for question in questions}
    of_ksmbd = {event for event in ipc.MESSAGES if not Event(event).name.endswith("RESPONSE")}
    assert set(EVENTS) == of_ksmbd - from_mountd - questions | answers


def test_every_request_is_answered_even_by_a_bug(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_services: Services, _message: Message) -> Message:
        raise ZeroDivisionError

    for event, row in EVENTS.items():
        if event.name.endswith("REQUEST"):
            monkeypatch.setitem(worker.EVENTS, event, row._replace(handle=broken))
            values = dict.fromkeys(ipc.MESSAGES[event]._integers, 5)
            texts = {name: "" for name, kind in ipc.MESSAGES[event]._variable if kind == "text"}
            blobs = {name: b"" for name, kind in ipc.MESSAGES[event]._variable if kind == "blob"}
            answer = bench.ask(ipc.MESSAGES[event](**values, **texts, **blobs))
            assert (answer.EVENT, answer.handle) == (event + 1, 5)
    assert "a bug in mountd" in caplog.text


def test_a_message_of_ours_is_malformed(bench: Bench) -> None:
    with pytest.raises(WireError, match="mountd's to send"):
        bench.ask(ipc.ShuttingDown())


def test_a_sign_of_life_is_given_back(bench: Bench) -> None:
    assert bench.ask(ipc.Heartbeat(handle=9)) == ipc.Heartbeat(handle=9)


def test_a_login_is_answered(bench: Bench) -> None:
    assert bench.ask(ipc.LoginRequest(handle=1, account="alice", peer="10.0.0.1")) == login.login(
        bench.state, 1, "alice", "10.0.0.1"
    )


@pytest.mark.parametrize("name", ["none", "bad", "away"])
def test_a_share_that_cannot_be_served_has_no_flags(bench: Bench, name: str) -> None:
    answer = bench.ask(ipc.ShareConfigRequest(handle=1, name=name))
    assert answer == ipc.ShareConfigResponse(handle=1)


def test_asking_for_a_share_ends_its_being_new(bench: Bench) -> None:
    share = bench.state.files.shares.get("data")
    assert share is not None
    share.updated = True
    answer = bench.ask(ipc.ShareConfigRequest(handle=1, name="DATA"))
    assert answer.flags & ipc.SHARE_UPDATE
    assert not share.updated


def test_the_list_of_shares_comes_in_pages(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bench.ask(ipc.ShareListRequest(handle=1))
    assert whole.total == len(whole.names) == 4
    assert whole.names[0] == "data"
    monkeypatch.setattr(worker, "MAX_LIST_BYTES", 1)
    page = bench.ask(ipc.ShareListRequest(handle=1, start=1))
    assert (page.total, page.names) == (4, whole.names[1:2])
    assert bench.ask(ipc.ShareListRequest(handle=1, start=9)).names == ()


def test_trees_come_and_go(bench: Bench) -> None:
    request = ipc.TreeConnectRequest(
        handle=1,
        account_flags=ipc.USER_OK,
        flags=0,
        session_id=1,
        connect_id=2,
        account="alice",
        share="data",
        peer="::1",
    )
    assert bench.ask(request).status == TreeStatus.OK
    bench.worker.take(ipc.TreeDisconnect(session_id=1, connect_id=2), bench.answers.put)
    bench.worker.take(
        ipc.TreeRestore(session_id=3, connect_id=4, account="bob", share="data"), bench.answers.put
    )
    assert [tree.account for tree in bench.state.sessions.trees()] == ["bob"]
    bench.services.forget()
    assert len(bench.state.sessions) == 0


def test_a_failed_log_on_is_counted(bench: Bench) -> None:
    for _ in range(10):
        logout = ipc.Logout(account_flags=ipc.USER_BAD_PASSWORD, account="alice", peer="10.0.0.1")
        bench.worker.take(logout, bench.answers.put)
    request = ipc.LoginRequest(handle=1, account="alice", peer="10.0.0.1")
    assert [bench.ask(request).delay_ms for _ in range(2)] == [0, 1000]


@pytest.mark.parametrize(("status", "text"), [(0, "listens on port 445"), (98, "cannot start")])
def test_the_log_says_whether_ksmbd_started(
    bench: Bench, caplog: pytest.LogCaptureFixture, status: int, text: str
) -> None:
    caplog.set_level("INFO")
    bench.worker.take(ipc.Started(status=status, port=445, why="x"), bench.answers.put)
    assert text in caplog.text


def test_a_conversation_over_a_pipe(bench: Bench) -> None:
    assert bench.rpc(ipc.RPC_OPEN, name="srvsvc", account="alice", peer="::1") == (0, b"")
    assert bench.rpc(ipc.RPC_WRITE, SRVSVC_BIND) == (0, b"")
    status, sizes = bench.rpc(ipc.RPC_PEEK)
    unread, messages, first = struct.unpack("<3I", sizes)
    assert (status, messages, unread) == (0, 1, first)
    status, start = bench.rpc(ipc.RPC_READ, max_output=16)
    assert (status, start[2]) == (RpcStatus.MORE_DATA, 12)  # bind_ack
    status, rest = bench.rpc(ipc.RPC_READ)
    assert (status, len(start) + len(rest)) == (0, first)
    assert bench.rpc(ipc.RPC_READ) == (RpcStatus.NO_DATA, b"")
    assert bench.rpc(ipc.RPC_CLOSE) == (0, b"")
    assert bench.rpc(ipc.RPC_READ) == (RpcStatus.BAD_FID, b"")


def test_a_transceive_is_write_and_read(bench: Bench) -> None:
    bench.rpc(ipc.RPC_OPEN, name="\\PIPE\\SRVSVC")
    status, answer = bench.rpc(ipc.RPC_IOCTL, SRVSVC_BIND)
    assert (status, answer[2]) == (0, 12)


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        (0, RpcStatus.BAD_FUNC),
        (ipc.RPC_RAP, RpcStatus.BAD_FUNC),
        (ipc.RPC_OPEN | ipc.RPC_CLOSE, RpcStatus.BAD_FUNC),
        (ipc.RPC_OPEN, RpcStatus.NO_SUCH_PIPE),
    ],
)
def test_an_operation_that_there_is_not_is_refused(
    bench: Bench, flags: int, status: RpcStatus
) -> None:
    assert bench.rpc(flags, name="mdssvc") == (status, b"")


def test_kerberos_off_is_a_refusal(bench: Bench) -> None:
    answer = bench.ask(ipc.SpnegoAuthenRequest(handle=1, token=b"x", peer="::1"))
    assert answer.status == ipc.USER_BAD_USER


def test_an_answer_nobody_takes_is_a_warning(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(_message: Message) -> None:
        raise BrokenPipeError("gone")

    bench.worker.take(ipc.Heartbeat(handle=1), gone)
    assert "Heartbeat not sent: gone" in caplog.text
    tree = Tree(1, 1, "a", "data", "", False, 0.0)
    assert bench.state.sessions.add(tree, Limits(0, 0)) is TreeStatus.OK
