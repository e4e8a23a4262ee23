"""The real daemon as a process, against the real ksmbd side of the link."""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ksmbd import __version__
from ksmbd.ipc.client import Mountd
from ksmbd.wire import ipc
from ksmbd.wire.ipc import Message, TreeStatus
from mountd import lock
from mountd.daemon import Format
from tests.mountd.fakes import HASH, make_state

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20.0


class Ksmbd:
    """The other end: notes what mountd says."""

    def __init__(self, path: Path) -> None:
        self.mountd = Mountd(str(path))
        self.calls: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._threads = ThreadPoolExecutor(1)
        self.running: Future[None] = self._threads.submit(self.mountd.run, self)

    def starting_up(self, settings: ipc.StartingUp) -> int:
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

    def expect(self, name: str) -> Any:
        found, value = self.calls.get(timeout=PATIENCE_S)
        assert found == name, f"{found} {value}"
        return value

    def login(self, account: str) -> Any:
        while not self.mountd.connected:  # starting_up has yet to return
            continue
        return self.mountd.login(account, "::1")

    def stop(self) -> None:
        self.mountd.stop()
        self.running.result(PATIENCE_S)
        self._threads.shutdown()


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "ksmbd.conf"
        self.run = folder / "run"
        self.run.mkdir()
        self.lock = self.run / ipc.LOCK_NAME
        general = "[global]\nnetbios name = N\ndefault unix user = root\n"
        make_state(folder, f"{general}[data]\npath={folder}\n")
        self.processes: list[subprocess.Popen[str]] = []

    def command(self, *options: str) -> list[str]:
        files = ["-C", "ksmbd.conf", "-P", "pwd.db", "--run-dir", "run"]
        return [sys.executable, "-m", "mountd", *files, *options]

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.command("-n", *options),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.end()


@pytest.fixture
def ksmbd(bench: Bench) -> Iterator[Ksmbd]:
    made = Ksmbd(bench.run / ipc.SOCKET_NAME)
    yield made
    made.stop()


def test_mountd_starts_ksmbd_answers_reloads_and_ends(bench: Bench, ksmbd: Ksmbd) -> None:
    process = bench.start("-p", "4450")
    settings = ksmbd.expect("starting_up")
    assert (settings.netbios_name, settings.tcp_port) == ("N", 4450)
    assert lock.holder(str(bench.lock)) == process.pid
    assert ksmbd.login("alice").nt_hash == HASH
    bench.conf.write_text(f"[global]\nnetbios name = M\n[more]\npath={bench.folder}\n")
    process.send_signal(signal.SIGHUP)
    settings = ksmbd.expect("starting_up")
    assert (settings.netbios_name, settings.tcp_port) == ("M", 4450)
    notice = ksmbd.expect("state_changed")
    assert (notice.generation, notice.changed, notice.removed) == (2, ("more",), ("data",))
    process.terminate()
    assert ksmbd.expect("shutting_down") == "mountd was told to end"
    assert ksmbd.expect("link_lost") is False
    assert process.wait(PATIENCE_S) == 0
    assert not bench.lock.exists()


def test_the_administrator_is_warned_once_it_is_known_whom_accounts_act_as(
    bench: Bench, ksmbd: Ksmbd
) -> None:
    process = bench.start()
    ksmbd.expect("starting_up")
    assert process.stderr is not None
    expected = "has no system user" if os.geteuid() == 0 else "connected to ksmbd"
    assert any(expected in line for line in process.stderr)


def test_a_reload_that_fails_is_logged_and_nothing_changes(bench: Bench, ksmbd: Ksmbd) -> None:
    process = bench.start()
    ksmbd.expect("starting_up")
    ksmbd.login("alice")
    bench.conf.write_text("[data]\nread only = perhaps\n")
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    line = next(line for line in process.stderr if "not reloaded" in line)
    assert "ksmbd.conf:2: read only = perhaps: expected yes or no" in line
    assert ksmbd.mountd.share_config("data") is not None


def test_who_asks_for_a_reload_hears_what_became_of_it(bench: Bench, ksmbd: Ksmbd) -> None:
    bench.start("-p", "4450")
    ksmbd.expect("starting_up")
    ksmbd.login("alice")
    ask = [sys.executable, "-m", "control", "--run-dir", str(bench.run), "--reload"]

    def reload() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ask, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S * 3, check=False
        )

    bench.conf.write_text("[data]\nread only = perhaps\n")
    wrong = reload()
    assert wrong.returncode == 1
    assert "ERROR: not reloaded, the old configuration stays: " in wrong.stderr
    assert "ksmbd.conf:2: read only = perhaps: expected yes or no" in wrong.stderr
    assert ksmbd.mountd.share_config("data") is not None
    path = bench.folder
    bench.conf.write_text(f"[global]\ndeadtime = 9\nno such = 1\n[more]\npath={path}\n")
    right = reload()
    assert right.returncode == 0
    told = right.stdout.splitlines()
    assert "reloaded: 1 changed, 1 removed" in told
    assert "deadtime is changed: at once" in told
    assert "ksmbd.conf:3: " in right.stderr


def test_a_killed_mountd_is_replaced_and_told_the_tree_connects(bench: Bench, ksmbd: Ksmbd) -> None:
    bench.conf.write_text(
        f"[global]\ndefault unix user=root\n[data]\npath={bench.folder}\nmax connections = 1\n"
    )
    process = bench.start()
    ksmbd.expect("starting_up")
    ksmbd.login("alice")
    tree = {
        "account": "alice",
        "share": "data",
        "session_id": 1,
        "connect_id": 1,
        "peer": "127.0.0.1",
        "account_flags": ipc.USER_OK,
        "ipv6": False,
    }
    assert ksmbd.mountd.tree_connect(**tree).status is TreeStatus.OK  # type: ignore[arg-type]
    process.kill()
    assert ksmbd.expect("link_lost") is False
    bench.start()
    ksmbd.expect("starting_up")
    ksmbd.login("alice")
    tree["session_id"] = 2
    answer = ksmbd.mountd.tree_connect(**tree)  # type: ignore[arg-type]
    assert answer.status is TreeStatus.TOO_MANY_CONNS
    ksmbd.mountd.tree_disconnect(1, 1)
    ksmbd.login("alice")  # mountd takes messages in their order
    answer = ksmbd.mountd.tree_connect(**tree)  # type: ignore[arg-type]
    assert answer.status is TreeStatus.OK


def test_mountd_waits_for_ksmbd_and_takes_up_a_new_one(bench: Bench) -> None:
    process = bench.start()
    assert process.stderr is not None
    assert any("waiting for ksmbd" in line for line in process.stderr)
    for _ in range(2):
        ksmbd = Ksmbd(bench.run / ipc.SOCKET_NAME)
        try:
            ksmbd.expect("starting_up")
            assert ksmbd.login("bob").account == "bob"
        finally:
            ksmbd.stop()
    assert process.poll() is None


def test_a_second_mountd_in_a_run_directory_is_refused(bench: Bench, ksmbd: Ksmbd) -> None:
    first = bench.start()
    ksmbd.expect("starting_up")
    number = bench.conf.with_name("ksmbd.subauth")
    number.unlink()
    second = bench.start()
    assert second.wait(PATIENCE_S) == 1
    assert not number.exists()  # the first one goes on with what it made
    assert second.stderr is not None
    told = second.stderr.read()
    assert f"another ksmbd-mountd runs (process {first.pid}, lock file" in told
    assert first.poll() is None


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda bench: bench.conf.write_text("[a]\nguest ok = x\n"), "ksmbd.conf:2: guest ok = x"),
        (lambda bench: bench.conf.unlink(), "ksmbd.conf: No such file or directory"),
        (lambda bench: (bench.folder / "pwd.db").write_text("x\n"), "pwd.db:1: expected name:hash"),
        (lambda bench: bench.run.rmdir(), "No such file or directory"),
    ],
)
def test_mountd_does_not_start_on_bad_files(bench: Bench, spoil: Any, why: str) -> None:
    spoil(bench)
    process = bench.start()
    assert process.wait(PATIENCE_S) == 1
    assert process.stderr is not None
    told = process.stderr.read()
    assert why in told
    assert "Traceback" not in told


def test_mountd_becomes_a_daemon(bench: Bench, ksmbd: Ksmbd) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        bench.command(), cwd=bench.folder, env=environment, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0
    pid = lock.holder(str(bench.lock))
    assert pid
    try:
        ksmbd.expect("starting_up")
        assert os.getsid(pid) != os.getsid(0)
        assert ksmbd.login("alice").account == "alice"
    finally:
        assert lock.notify(str(bench.lock), signal.SIGTERM) == pid
    assert ksmbd.expect("shutting_down")


def test_mountd_ends_with_its_parent(bench: Bench, ksmbd: Ksmbd) -> None:
    script = (
        "import os, subprocess, sys\n"
        "process = subprocess.Popen([*sys.argv[1:], str(os.getpid())])\n"
        "print(process.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, *bench.command("-n", "--with-parent")],
        cwd=bench.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        ksmbd.expect("starting_up")
        ksmbd.login("alice")
        parent.kill()
        parent.wait()
        ksmbd.stop()  # a ksmbd that is the parent ends with it
        assert parent.stdout is not None
        parent.stdout.read()  # ends when mountd, who has it too, does


def test_mountd_ends_if_its_parent_did_before_it_could_look(bench: Bench) -> None:
    """It takes a moment to start; whoever it belongs to then is not who started it."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert bench.start("--with-parent", str(gone.pid)).wait(PATIENCE_S) == 0


def test_systemd_is_told(bench: Bench, ksmbd: Ksmbd) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        path = str(bench.folder / "notify")
        systemd.bind(path)
        systemd.settimeout(PATIENCE_S)
        process = bench.start(NOTIFY_SOCKET=path)
        assert systemd.recv(100) == b"READY=1"
        ksmbd.expect("starting_up")
        process.send_signal(signal.SIGHUP)
        assert systemd.recv(100).startswith(b"RELOADING=1")
        assert systemd.recv(100) == b"READY=1"
        process.terminate()
        assert systemd.recv(100) == b"STOPPING=1"


def test_the_version_is_told_as_ksmbd_tools_tell_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mountd", "-V"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f"INFO: ksmbd-tools version : {__version__}" in done.stdout


def test_a_log_line_names_tool_and_process() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "text %d", (1,), None)
    assert Format("ksmbd.mountd").format(record) == f"[ksmbd.mountd/{os.getpid()}]: INFO: text 1"
