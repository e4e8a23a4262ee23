"""The life of the process: a real ksmbd, with a mountd that the test plays."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control.client import Client
from ksmbd.server.server import (
    CLIENTS_S,
    IPC_S,
    MOUNTD_S,
    WORKERS_S,
    Orders,
    Reload,
    Stop,
)
from ksmbd.wire import ipc
from ksmbd.wire.ipc import SOCKET_NAME, Message, ShuttingDown, Started, StartingUp, StateChanged

SOON = 30.0
ROOT = Path(__file__).parents[2]
READY = re.compile(r"^ksmbd: ready on (?P<host>\S+):(?P<port>\d+)\n$")


def starting_up(**changes: Any) -> StartingUp:
    values: dict[str, Any] = dict.fromkeys(StartingUp._integers, 0)
    for name, kind in StartingUp._variable:
        values[name] = () if kind == "texts" else ""
    return StartingUp(**values | changes)


class FakeMountd:
    """The other end of the IPC socket, by hand."""

    def __init__(self, server: Process) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(SOON)
        server.mountd = self  # closed with it
        path = str(server.run_dir / SOCKET_NAME)
        turn = threading.Event()
        while server.process.poll() is None:
            try:
                self.socket.connect(path)
                return
            except (FileNotFoundError, ConnectionRefusedError):
                turn.wait(0.002)
        raise AssertionError(server.wait()[1])

    def send(self, message: Message) -> None:
        self.socket.send(message.pack())

    def start(self, **changes: Any) -> Started:
        self.send(starting_up(**changes))
        answer = ipc.parse(self.socket.recv(ipc.MAX_FRAME))
        assert isinstance(answer, Started)
        return answer


class Process:
    """One ksmbd on a free loopback port."""

    def __init__(self, run_dir: Path, *options: str, environment: dict[str, str] | None = None):
        self.run_dir = run_dir
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ksmbd", "--run-dir", str(run_dir), *options],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.mountd: FakeMountd | None = None
        self.port = 0
        self.host = ""

    def serve(self, **changes: Any) -> None:
        """Play mountd until the server says that it is ready."""
        started = FakeMountd(self).start(**changes)
        assert started.status == 0, started.why
        assert self.process.stdout is not None
        ready = READY.match(self.process.stdout.readline())
        assert ready is not None
        self.host, self.port = ready["host"], int(ready["port"])
        assert started.port == self.port

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), SOON)
        client.settimeout(SOON)
        return client

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; exit status and log."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait for its end; exit status and log."""
        _, log = self.process.communicate(timeout=SOON)
        return self.process.returncode, log

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        if self.mountd is not None:
            self.mountd.socket.close()


LOOPBACK = ("--bind", "127.0.0.1", "--port", "0")


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    made: list[Process] = []
    yield made
    for process in made:
        process.close()


@pytest.fixture
def server(tmp_path: Path, processes: list[Process]) -> Process:
    made = Process(tmp_path / "run", *LOOPBACK)
    processes.append(made)
    made.serve()
    return made


def test_it_listens_when_mountd_has_said_so_and_ends_cleanly(server: Process) -> None:
    server.connect().close()
    assert (server.run_dir / "ksmbd.pid").read_text() == f"{server.process.pid}\n"
    status, log = server.end()
    assert status == 0, log
    assert "Traceback" not in log
    assert list(server.run_dir.iterdir()) == []


def test_nothing_holds_its_end_up_for_five_seconds() -> None:
    assert CLIENTS_S + WORKERS_S + 2 * MOUNTD_S + IPC_S < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_the_other_signals_end_it_as_well(server: Process, number: int) -> None:
    status, log = server.end(number)
    assert status == 0, log


def test_clients_that_hold_their_connections_do_not_hold_it_up(server: Process) -> None:
    idle = server.connect()
    begun = server.connect()
    begun.sendall(b"\0\0\1\0\xfeSMB")
    status, log = server.end()
    assert status == 0, log
    for client in (idle, begun):
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass
        client.close()


def test_what_is_no_smb_is_dropped(server: Process) -> None:
    for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\0\xff\xff\xff", b"\0\0\0\x40" + bytes(64)):
        with server.connect() as client:
            client.sendall(garbage)
            try:
                assert client.recv(1) == b""
            except ConnectionResetError:
                pass
    status, log = server.end()
    assert status == 0
    assert "Traceback" not in log


def test_a_second_server_in_the_same_run_directory_is_refused(
    server: Process, processes: list[Process]
) -> None:
    second = Process(server.run_dir, *LOOPBACK)
    processes.append(second)
    status, log = second.wait()
    assert status == 1
    assert log.splitlines() == [
        f"[ksmbd/{second.process.pid}]: ERROR: another ksmbd (process {server.process.pid}) "
        f"uses {server.run_dir}"
    ]
    server.connect().close()
    assert (server.run_dir / "control.sock").exists()


def test_a_port_that_is_taken_ends_it_with_one_clear_line(
    server: Process, processes: list[Process], tmp_path: Path
) -> None:
    second = Process(tmp_path / "other", "--bind", "127.0.0.1", "--port", str(server.port))
    processes.append(second)
    assert FakeMountd(second).start().status != 0
    status, log = second.wait()
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{server.port}: another server has this port" in log
    assert "Traceback" not in log


def test_without_a_port_of_its_own_mountds_is_used(
    tmp_path: Path, processes: list[Process]
) -> None:
    server = Process(tmp_path / "run", "--bind", "127.0.0.1")
    processes.append(server)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server.serve(tcp_port=port)
    assert server.port == port


def test_interfaces_of_mountd_are_listened_on(tmp_path: Path, processes: list[Process]) -> None:
    server = Process(tmp_path / "run", "--port", "0")
    processes.append(server)
    server.serve(flags=ipc.BIND_INTERFACES_ONLY, interfaces=("127.0.0.0/8",))
    assert server.host == "127.0.0.1"


def test_interfaces_may_come_later(tmp_path: Path, processes: list[Process]) -> None:
    """Until then it serves nobody, and says why; a reload may say where else to listen."""
    server = Process(tmp_path / "run", "--port", "0")
    processes.append(server)
    mountd = FakeMountd(server)
    flags = ipc.BIND_INTERFACES_ONLY
    started = mountd.start(flags=flags, interfaces=("wlan7",))
    assert (started.status, started.port) == (0, 0)
    again = mountd.start(flags=flags, interfaces=("127.0.0.1",))
    assert again.port
    assert server.process.stdout is not None
    ready = READY.match(server.process.stdout.readline())
    assert ready is not None
    assert (ready["host"], int(ready["port"])) == ("127.0.0.1", again.port)
    status, log = server.end()
    assert status == 0
    assert "no address of this machine is one of `interfaces` now: wlan7" in log


def test_a_port_needs_a_new_start(tmp_path: Path, processes: list[Process]) -> None:
    server = Process(tmp_path / "run", "--bind", "127.0.0.1")
    processes.append(server)
    server.serve(tcp_port=0)
    port = server.port
    assert server.mountd is not None
    assert server.mountd.start(tcp_port=port + 1).port == port
    _, log = server.end()
    assert f"tcp port: {port} until a new start, not {port + 1}" in log


def test_it_survives_mountd_and_takes_the_link_up_again(server: Process) -> None:
    client = server.connect()
    assert server.mountd is not None
    server.mountd.socket.close()
    mountd = FakeMountd(server)
    assert mountd.start().port == server.port
    mountd.send(StateChanged(generation=2, changed=("media",)))
    assert mountd.start().port == server.port  # answered after what came before
    client.close()
    server.connect().close()
    status, log = server.end()
    assert status == 0
    assert "shares changed: media" in log


def test_limits_of_connections_come_from_mountd(tmp_path: Path, processes: list[Process]) -> None:
    server = Process(tmp_path / "run", *LOOPBACK)
    processes.append(server)
    server.serve(max_connections=2)
    kept = [server.connect(), server.connect()]
    refused = server.connect()
    assert refused.recv(1) == b""
    for client in (*kept, refused):
        client.close()
    with Client(server.run_dir) as control:
        wait_for(lambda: control.ask("status")["connections"] == [])
    with server.connect() as again:
        again.sendall(b"\0\0\0\x04abcd")
        assert again.recv(1) == b""


def wait_for(true: Any) -> None:
    turn = threading.Event()
    for _ in range(3000):
        if true():
            return
        turn.wait(0.01)
    raise AssertionError("never became true")


def test_mountds_end_is_ours(server: Process) -> None:
    assert server.mountd is not None
    server.mountd.send(ShuttingDown(reason="told to"))
    status, log = server.wait()
    assert status == 0
    assert "told to" in log


def test_the_control_socket_shows_and_ends_it(server: Process) -> None:
    with Client(server.run_dir) as control:
        assert control.ask("stats") == f"2 running {server.port} 0"
        status = control.ask("status")
        assert status["pool"]["max_workers"] == 32
        assert control.ask("debug", component="conn").count("[conn]") == 1
        control.ask("kill", how="hard")
        assert control.wait_ended()
    code, log = server.wait()
    assert code == 0, log


def test_the_commands_see_a_connection(server: Process) -> None:
    with server.connect(), Client(server.run_dir) as control:
        wait_for(lambda: len(control.ask("status")["connections"]) == 1)
        (row,) = control.ask("status")["connections"]
        assert (row["peer"], row["dialect"]) == ("127.0.0.1", "not negotiated")
        assert json.dumps(row)


def test_systemd_is_told(tmp_path: Path, processes: list[Process]) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(SOON)
        systemd.bind(path)
        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"}
        server = Process(tmp_path / "run", *LOOPBACK, environment=environment)
        processes.append(server)
        server.serve()
        ready = systemd.recv(1000).decode().splitlines()
        assert ready[:2] == ["READY=1", f"MAINPID={server.process.pid}"]
        assert [systemd.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        server.process.send_signal(signal.SIGTERM)
        while systemd.recv(1000) != b"STOPPING=1":
            pass
        assert server.wait()[0] == 0


def test_a_run_directory_that_cannot_be_made_is_named(
    tmp_path: Path, processes: list[Process]
) -> None:
    (tmp_path / "file").write_text("")
    server = Process(tmp_path / "file" / "run", *LOOPBACK)
    processes.append(server)
    status, log = server.wait()
    assert status == 1
    assert "cannot use the run directory" in log
    assert len(log.splitlines()) == 1


def test_leftovers_of_a_server_that_was_killed_are_no_obstacle(
    server: Process, processes: list[Process]
) -> None:
    server.process.kill()
    server.process.wait()
    again = Process(server.run_dir, *LOOPBACK)
    processes.append(again)
    again.serve()
    assert again.end()[0] == 0


def test_a_mountd_that_cannot_start_ends_it(tmp_path: Path, processes: list[Process]) -> None:
    conf = tmp_path / "ksmbd.conf"
    conf.write_text("[global\n")
    server = Process(tmp_path / "run", *LOOPBACK, "--with-mountd", "--config", str(conf))
    processes.append(server)
    status, log = server.wait()
    assert status == 1
    assert "before it had started" in log
    assert str(conf) in log
    assert "Traceback" not in log


def test_no_signal_is_missed_however_it_meets_the_waiting() -> None:
    orders = Orders()
    before = signal.signal(signal.SIGUSR1, lambda *_: orders.put(Reload()))
    descriptor = signal.set_wakeup_fd(-1)
    try:
        orders.watch_signals()
        for _ in range(300):
            sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))
            sender.start()
            assert orders.get() == Reload()
            sender.join(SOON)
    finally:
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGUSR1, before)
        orders.close()


def test_orders_are_obeyed_in_the_order_they_were_given() -> None:
    orders = Orders()
    for number in range(5000):  # more than the wake-up socket holds
        orders.put(Stop(number, ""))
    assert [orders.get() for _ in range(5000)] == [Stop(number, "") for number in range(5000)]
    orders.close()
