"""Mountd against a peer that the test plays itself, over the real socket."""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ksmbd.ipc import client
from ksmbd.ipc.client import Mountd
from ksmbd.ipc.link import Link
from ksmbd.ipc.link import Peer as LinkPeer
from ksmbd.wire import ipc
from ksmbd.wire.ipc import Message, RpcStatus, TreeStatus, parse
from ksmbd.wire.status import NtStatus, NtStatusError

PATIENCE_S = 10.0
M = TypeVar("M", bound=Message)


def starting_up(**changes: Any) -> ipc.StartingUp:
    values: dict[str, Any] = dict.fromkeys(ipc.StartingUp._integers, 0)
    values |= {name: () if kind == "texts" else "" for name, kind in ipc.StartingUp._variable}
    return ipc.StartingUp(**(values | changes))


class Recorder:
    """Callbacks that note what they were called with."""

    def __init__(self) -> None:
        self.calls: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.fail: OSError | None = None
        self.on_start: Callable[[], object] = lambda: None

    def starting_up(self, settings: ipc.StartingUp) -> int:
        self.on_start()
        if self.fail is not None:
            raise self.fail
        self.calls.put(("starting_up", settings))
        return 445

    def shutting_down(self, reason: str) -> None:
        self.calls.put(("shutting_down", reason))

    def state_changed(self, notice: ipc.StateChanged) -> None:
        self.calls.put(("state_changed", notice))

    def administer(self, message: Message, reply: Callable[[Message], None]) -> None:
        self.calls.put(("administer", message))
        if isinstance(message, ipc.EndRequest):
            reply(ipc.EndResponse(handle=message.handle, count=7))

    def link_lost(self, hung: bool) -> None:
        self.calls.put(("link_lost", hung))

    def next(self) -> tuple[str, Any]:
        return self.calls.get(timeout=PATIENCE_S)


class Peer:
    """The other end: what a mountd would say."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE_S)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise

    def send(self, message: Message) -> None:
        self.socket.send(message.pack())

    def expect(self, kind: type[M]) -> M:
        message = parse(self.socket.recv(ipc.MAX_FRAME))
        assert isinstance(message, kind)
        return message

    def start(self, **changes: Any) -> ipc.Started:
        self.send(starting_up(**changes))
        return self.expect(ipc.Started)

    def at_end(self) -> bool:
        return self.socket.recv(ipc.MAX_FRAME) == b""


class Bench:
    """A Mountd that runs, and threads that ask it."""

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self.path = path
        self.mountd = Mountd(path, clock=clock)
        self.recorder = Recorder()
        self.threads = ThreadPoolExecutor(4)
        self.running = self.threads.submit(self.mountd.run, self.recorder)
        self.peers: list[Peer] = []

    def connect(self) -> Peer:
        while True:  # until run() has bound the socket
            try:
                peer = Peer(self.path)
            except (FileNotFoundError, ConnectionRefusedError):
                assert not self.running.done()
                continue
            self.peers.append(peer)
            return peer

    def started(self, **changes: Any) -> Peer:
        peer = self.connect()
        assert peer.start(**changes).status == 0
        while self.recorder.next()[0] != "starting_up":
            continue
        return peer

    def ask(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        return self.threads.submit(function, *args, **kwargs)

    def close(self) -> None:
        self.mountd.stop()
        self.running.result(PATIENCE_S)
        self.threads.shutdown()
        for peer in self.peers:
            peer.socket.close()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bench(tmp_path: Path, clock: Clock) -> Iterator[Bench]:
    made = Bench(str(tmp_path / "ipc.sock"), clock)
    yield made
    made.close()


def refusal(answer: Future[Any]) -> NtStatusError:
    error = answer.exception(PATIENCE_S)
    assert isinstance(error, NtStatusError)
    return error


def test_starting_up_starts_the_server_and_is_answered(bench: Bench) -> None:
    peer = bench.connect()
    started = peer.start(tcp_port=445, netbios_name="X")
    assert (started.status, started.port) == (0, 445)
    name, settings = bench.recorder.next()
    assert (name, settings.netbios_name) == ("starting_up", "X")


def test_mountd_hears_why_the_server_cannot_start(bench: Bench) -> None:
    bench.recorder.fail = OSError(98, "address in use")
    started = bench.connect().start()
    assert started.status == 98
    assert "address in use" in started.why
    assert not bench.mountd.connected


def test_answers_find_their_requests_in_any_order(bench: Bench) -> None:
    peer = bench.started()
    asked = {name: bench.ask(bench.mountd.login, name, "::1") for name in ("a", "b")}
    requests = [peer.expect(ipc.LoginRequest) for _ in asked]
    for request in reversed(requests):
        name = request.account
        peer.send(
            ipc.LoginResponse(
                handle=request.handle, status=ipc.USER_OK, account=name.upper(), groups=(1, 2)
            )
        )
    for name, answer in asked.items():
        reply = answer.result(PATIENCE_S)
        assert (reply.account, reply.groups) == (name.upper(), (1, 2))


def test_a_share_that_there_is_not_is_none(bench: Bench) -> None:
    peer = bench.started()
    answer = bench.ask(bench.mountd.share_config, "nothing")
    request = peer.expect(ipc.ShareConfigRequest)
    assert request.name == "nothing"
    peer.send(ipc.ShareConfigResponse(handle=request.handle))
    assert answer.result(PATIENCE_S) is None


def test_rpc_carries_pipe_and_payload(bench: Bench) -> None:
    peer = bench.started()
    answer = bench.ask(bench.mountd.rpc, 77, ipc.RPC_IOCTL, memoryview(b"bind"), 10)
    request = peer.expect(ipc.RpcRequest)
    assert (request.pipe, request.flags, request.payload) == (77, ipc.RPC_IOCTL, b"bind")
    assert request.max_output == 10
    peer.send(ipc.RpcResponse(handle=request.handle, flags=RpcStatus.MORE_DATA, payload=b"ack"))
    assert answer.result(PATIENCE_S) == (RpcStatus.MORE_DATA, b"ack")


def test_a_pipe_opens_with_the_session_behind_it(bench: Bench) -> None:
    peer = bench.started()
    answer = bench.ask(
        bench.mountd.rpc_open, 5, "srvsvc", account="bo", session_id=9, peer="::1", guest=True
    )
    request = peer.expect(ipc.RpcRequest)
    assert request.flags == ipc.RPC_OPEN | ipc.RPC_RESTRICTED_CONTEXT
    assert (request.name, request.account, request.session_id, request.peer) == (
        "srvsvc",
        "bo",
        9,
        "::1",
    )
    peer.send(ipc.RpcResponse(handle=request.handle, flags=0))
    assert answer.result(PATIENCE_S).flags == RpcStatus.OK


def test_too_long_a_payload_is_refused_before_it_is_sent(bench: Bench) -> None:
    bench.started()
    with pytest.raises(NtStatusError) as refused:
        bench.mountd.rpc(1, ipc.RPC_WRITE, bytes(ipc.MAX_RPC_PAYLOAD + 1))
    assert refused.value.status is NtStatus.INVALID_PARAMETER


def test_a_name_without_utf8_form_is_refused(bench: Bench) -> None:
    bench.started()
    with pytest.raises(NtStatusError) as refused:
        bench.mountd.login("\ud800", "::1")
    assert refused.value.status is NtStatus.INVALID_PARAMETER


def test_a_kerberos_token_goes_there_and_back(bench: Bench) -> None:
    peer = bench.started()
    answer = bench.ask(bench.mountd.spnego_authen, b"token", "::1")
    request = peer.expect(ipc.SpnegoAuthenRequest)
    assert request.token == b"token"
    response = ipc.SpnegoAuthenResponse(
        handle=request.handle, status=ipc.USER_OK, session_key=b"k" * 16, spnego_blob=b"reply"
    )
    peer.send(response)
    assert answer.result(PATIENCE_S).token == b"reply"


def test_a_long_list_of_shares_comes_in_pages(bench: Bench) -> None:
    peer = bench.started()
    answer = bench.ask(bench.mountd.shares)
    for start, name in enumerate(("one", "two")):
        request = peer.expect(ipc.ShareListRequest)
        assert request.start == start
        peer.send(
            ipc.ShareListResponse(
                handle=request.handle, total=2, names=(name,), comments=("",), flags=(start,)
            )
        )
    assert [entry.name for entry in answer.result(PATIENCE_S)] == ["one", "two"]


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda m: m.login("a", "::1"), NtStatus.NO_LOGON_SERVERS),
        (lambda m: m.share_config("a"), NtStatus.NO_LOGON_SERVERS),
        (lambda m: m.spnego_authen(b"", "::1"), NtStatus.NO_LOGON_SERVERS),
        (lambda m: m.rpc(1, ipc.RPC_READ, b""), NtStatus.PIPE_NOT_AVAILABLE),
    ],
)
def test_without_mountd_requests_fail_at_once(
    bench: Bench, ask: Callable[[Mountd], object], status: NtStatus
) -> None:
    with pytest.raises(NtStatusError) as refused:
        ask(bench.mountd)
    assert refused.value.status is status


def test_without_mountd_there_is_nobody_to_tell(bench: Bench) -> None:
    bench.mountd.tree_disconnect(1, 2)
    bench.mountd.logout("a", 0, "::1")


def test_a_silent_mountd_costs_the_timeout_and_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LOGIN_TIMEOUT_S", 0.01)
    monkeypatch.setattr(client, "SLOW_TIMEOUT_S", 0.01)
    peer = bench.started()
    assert refusal(bench.ask(bench.mountd.login, "a", "::1")).status is NtStatus.NO_LOGON_SERVERS
    pipe = bench.ask(bench.mountd.rpc, 1, ipc.RPC_READ, b"")
    assert refusal(pipe).status is NtStatus.IO_TIMEOUT
    late = peer.expect(ipc.LoginRequest)
    peer.send(ipc.LoginResponse(handle=late.handle, status=ipc.USER_OK))  # nobody waits any more
    monkeypatch.setattr(client, "LOGIN_TIMEOUT_S", PATIENCE_S)
    peer.expect(ipc.RpcRequest)
    answer = bench.ask(bench.mountd.login, "b", "::1")
    request = peer.expect(ipc.LoginRequest)
    peer.send(ipc.LoginResponse(handle=request.handle, status=ipc.USER_OK, account="b"))
    assert answer.result(PATIENCE_S).account == "b"


def test_killing_mountd_fails_what_waits_and_a_new_one_takes_up(bench: Bench) -> None:
    peer = bench.started()
    answer = bench.ask(bench.mountd.login, "a", "::1")
    peer.expect(ipc.LoginRequest)
    peer.socket.close()
    error = refusal(answer)
    assert error.status is NtStatus.NO_LOGON_SERVERS
    assert "closed the link" in error.why
    assert bench.recorder.next() == ("link_lost", False)
    assert not bench.mountd.connected
    peer = bench.started()
    answer = bench.ask(bench.mountd.login, "a", "::1")
    request = peer.expect(ipc.LoginRequest)
    peer.send(ipc.LoginResponse(handle=request.handle, status=ipc.USER_OK))
    assert answer.result(PATIENCE_S).ok


def test_a_second_mountd_takes_the_place_of_the_first(bench: Bench) -> None:
    first = bench.started()
    bench.started()
    assert first.at_end()


def test_a_new_mountd_is_told_the_tree_connects_of_the_old(bench: Bench) -> None:
    peer = bench.started()
    for connect_id in (1, 2):
        answer = bench.ask(
            bench.mountd.tree_connect,
            account="bo",
            share="s",
            session_id=9,
            connect_id=connect_id,
            peer="::1",
            account_flags=ipc.USER_OK,
            ipv6=True,
        )
        request = peer.expect(ipc.TreeConnectRequest)
        assert request.flags == ipc.PEER_IPV6 | ipc.PEER_SMB2
        peer.send(
            ipc.TreeConnectResponse(
                handle=request.handle, status=TreeStatus.OK, connection_flags=ipc.TREE_WRITABLE
            )
        )
        assert answer.result(PATIENCE_S).flags == ipc.TREE_WRITABLE
    bench.mountd.tree_disconnect(9, 1)
    assert peer.expect(ipc.TreeDisconnect).connect_id == 1
    peer = bench.started()
    restored = peer.expect(ipc.TreeRestore)
    assert restored == ipc.TreeRestore(session_id=9, connect_id=2, account="bo", share="s")


def test_a_refused_tree_connect_is_not_kept(bench: Bench) -> None:
    peer = bench.started()
    answer = bench.ask(
        bench.mountd.tree_connect,
        account="bo",
        share="s",
        session_id=9,
        connect_id=1,
        peer="::1",
        account_flags=0,
        ipv6=True,
    )
    request = peer.expect(ipc.TreeConnectRequest)
    peer.send(ipc.TreeConnectResponse(handle=request.handle, status=TreeStatus.NO_SHARE))
    assert answer.result(PATIENCE_S).status is TreeStatus.NO_SHARE
    assert bench.mountd._trees == {}


@pytest.mark.parametrize(
    "junk",
    [
        b"junk",
        ipc.LoginRequest(handle=1, account="a").pack(),  # ours to send
        ipc.TreeConnectResponse(handle=1, status=99).pack(),
        ipc.Heartbeat(handle=1).pack() + b"\0",
    ],
)
def test_a_malformed_message_drops_the_link_with_a_log_line(
    bench: Bench, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    peer = bench.started()
    peer.socket.send(junk)
    assert peer.at_end()
    assert bench.recorder.next() == ("link_lost", False)
    assert "malformed message from mountd" in caplog.text


def test_an_answer_of_another_kind_is_no_answer(bench: Bench) -> None:
    peer = bench.started()
    answer = bench.ask(bench.mountd.login, "a", "::1")
    request = peer.expect(ipc.LoginRequest)
    peer.send(ipc.RpcResponse(handle=request.handle, flags=0))
    assert refusal(answer).status is NtStatus.NO_LOGON_SERVERS


def test_notices_reach_the_server(bench: Bench) -> None:
    peer = bench.started()
    notice = ipc.StateChanged(generation=2, changed=("a",), removed=("b",))
    peer.send(notice)
    assert bench.recorder.next() == ("state_changed", notice)
    peer.send(ipc.ShuttingDown(reason="bye"))
    assert bench.recorder.next() == ("shutting_down", "bye")


def test_the_callbacks_cannot_ask_mountd(bench: Bench) -> None:
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            bench.mountd.login("a", "::1")
        except RuntimeError as error:
            errors.append(error)

    bench.recorder.on_start = ask
    bench.started()
    assert len(errors) == 1


def test_a_mountd_without_sign_of_life_is_given_up(bench: Bench, clock: Clock) -> None:
    peer = bench.started(ipc_timeout=1)
    clock.now = 0.5  # the next turn, within a third of a second, asks for a sign of life
    assert peer.expect(ipc.Heartbeat)
    clock.now = 1.5
    assert peer.at_end()
    assert bench.recorder.next() == ("link_lost", True)


def test_a_mountd_that_answers_stays(bench: Bench, clock: Clock) -> None:
    peer = bench.started(ipc_timeout=1)
    for now in (0.5, 1.0, 1.5):
        clock.now = now
        peer.send(peer.expect(ipc.Heartbeat))
    assert bench.mountd.connected


def test_another_user_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "peer", lambda _link: LinkPeer(pid=1, uid=12345, gid=12345))
    peer = bench.connect()
    assert peer.at_end()


def test_stopping_fails_what_waits_and_removes_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "ipc.sock"
    bench = Bench(str(path), Clock())
    peer = bench.started()
    answer = bench.ask(bench.mountd.login, "a", "::1")
    peer.expect(ipc.LoginRequest)
    bench.mountd.stop()
    assert "shutting down" in refusal(answer).why
    bench.close()
    assert not path.exists()


def test_a_second_ksmbd_on_the_same_socket_fails(bench: Bench) -> None:
    bench.started()
    second = Mountd(bench.path)
    with pytest.raises(OSError, match="another ksmbd"):
        second.run(Recorder())
