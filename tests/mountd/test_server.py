from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.base import WireError
from ksmbd.wire.ipc import Message, parse
from mountd import server
from mountd.server import Link, Server, own_identity, sd_notify
from mountd.state import State
from mountd.system import Identity
from mountd.worker import Services, Worker
from tests.mountd.fakes import FakeSystem, make_state

PATIENCE_S = 10.0


class Bench:
    """A Server that the test turns, and the socket ksmbd would listen on."""

    def __init__(self, folder: Path) -> None:
        self.state = make_state(folder)
        services = Services(self.state, bytes)
        self.worker = Worker(services)
        self.path = str(folder / "sock")
        self.server = Server(self.path, self.state, services, self.worker)
        self.wake, self.wake_send = socket.socketpair()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(PATIENCE_S)

    def listen(self) -> None:
        self.listener.bind(self.path)
        self.listener.listen()

    def accept(self) -> socket.socket:
        self.wake_send.send(b"\0")  # connect, but do not wait for more
        self.server.turn(self.wake)
        sock, _ = self.listener.accept()
        sock.settimeout(PATIENCE_S)
        return sock

    def close(self) -> None:
        self.server.close()
        self.worker.stop()
        for sock in (self.wake, self.wake_send, self.listener):
            sock.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def receive(sock: socket.socket) -> Message:
    return parse(sock.recv(ipc.MAX_FRAME))


def test_it_connects_when_ksmbd_is_there_and_starts_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(server, "RETRY_S", 0.0)
    bench.server.turn(bench.wake)
    bench.server.turn(bench.wake)
    assert caplog.text.count("waiting for ksmbd") == 1
    bench.listen()
    with bench.accept() as ksmbd:
        assert receive(ksmbd) == bench.state.starting_up()


def test_requests_are_answered(bench: Bench) -> None:
    bench.listen()
    with bench.accept() as ksmbd:
        receive(ksmbd)
        ksmbd.send(ipc.Heartbeat(handle=4).pack())
        bench.server.turn(bench.wake)
        assert receive(ksmbd) == ipc.Heartbeat(handle=4)


@pytest.mark.parametrize(
    "junk", [b"junk", ipc.ShuttingDown().pack(), bytes(100), ipc.Heartbeat(handle=1).pack()[:-1]]
)
def test_a_malformed_message_drops_the_link_and_a_new_one_is_made(
    bench: Bench, caplog: pytest.LogCaptureFixture, junk: bytes
) -> None:
    bench.listen()
    with bench.accept() as ksmbd:
        receive(ksmbd)
        ksmbd.send(junk)
        bench.server.turn(bench.wake)
        assert ksmbd.recv(1) == b""
        assert "malformed message from ksmbd" in caplog.text
    with bench.accept() as ksmbd:
        assert receive(ksmbd) == bench.state.starting_up()


def test_a_reload_tells_the_parameters_before_the_changes(bench: Bench) -> None:
    bench.listen()
    notice = ipc.StateChanged(generation=2, changed=("a",))
    bench.server.reloaded(notice)  # nobody to tell yet
    with bench.accept() as ksmbd:
        receive(ksmbd)
        bench.server.reloaded(notice)
        assert receive(ksmbd) == bench.state.starting_up()
        assert receive(ksmbd) == notice


def test_telling_a_ksmbd_that_is_gone_drops_the_link(bench: Bench) -> None:
    bench.listen()
    bench.accept().close()
    bench.server.tell(ipc.ShuttingDown())
    with bench.accept() as ksmbd:
        assert receive(ksmbd) == bench.state.starting_up()


def test_the_farewell_arrives_though_something_was_not_read(bench: Bench) -> None:
    bench.listen()
    with bench.accept() as ksmbd:
        receive(ksmbd)
        for handle in range(3):
            ksmbd.send(ipc.Heartbeat(handle=handle).pack())
        bench.server.tell(ipc.ShuttingDown(reason="bye"))
        bench.server.close()
        assert receive(ksmbd) == ipc.ShuttingDown(reason="bye")
        assert not ksmbd.recv(1)


def test_a_new_ksmbd_has_no_sessions(bench: Bench) -> None:
    bench.listen()
    restored = ipc.TreeRestore(session_id=1, connect_id=1, account="alice", share="data")
    with bench.accept() as ksmbd:
        ksmbd.send(restored.pack())
        bench.server.turn(bench.wake)
        assert len(bench.state.sessions) == 1
    bench.server.turn(bench.wake)
    with bench.accept():
        assert len(bench.state.sessions) == 0


def test_a_frame_too_long_is_malformed() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = Link(ours)
    with theirs:
        assert link.peer_uid() == os.getuid()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * ipc.MAX_FRAME)
        theirs.send(bytes(ipc.MAX_FRAME + 1))
        with pytest.raises(WireError, match="too long"):
            link.receive()
    link.close()
    link.close()


@pytest.fixture
def state(tmp_path: Path) -> State:
    return make_state(tmp_path)


def test_beside_root_nobody_has_a_fixed_identity(state: State) -> None:
    assert own_identity(0, state) is None
    assert own_identity(1000, state) == FakeSystem().users["alice"]
    stranger = own_identity(4711, state)
    assert stranger is not None
    assert (stranger.uid, stranger.groups) == (4711, Identity(0, 0).groups)


def test_systemd_is_told_under_both_kinds_of_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "notify")
    for address in (path, "@" + path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind("\0" + address[1:] if address[0] == "@" else address)
            systemd.settimeout(PATIENCE_S)
            sd_notify(address)("READY=1")
            assert systemd.recv(100) == b"READY=1"
    sd_notify(str(tmp_path / "none"))("READY=1")
    assert "systemd is not told READY=1" in caplog.text
    sd_notify(None)("READY=1")
