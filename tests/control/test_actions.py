"""ksmbd-control against a control socket whose commands the test knows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from control import __main__ as command
from control import actions
from control.client import NotRunning, Refused
from ksmbd.server.control import ControlError, ControlServer
from mountd.lock import LockFile

SHARES = [
    {"name": "media", "comment": "films", "flags": 0x2},
    {"name": "IPC$", "comment": "", "flags": 0x100},
    {"name": "evil\x1b[2J", "comment": "\u202ereversed", "flags": 0x2},
]
FIGURES = {
    "workers": 3, "busy": 1, "idle": 2, "queued": 0, "grown": 5, "shrunk": 2, "max_workers": 32,
}  # fmt: skip


class Server:
    """A control socket with canned answers; what was asked is in ``requests``."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[Mapping[str, Any]] = []
        self.ended = threading.Event()
        self.control = ControlServer(
            str(folder / "control.sock"),
            {
                "list": lambda _: SHARES,
                "version": lambda _: "9.8.7",
                "stats": lambda _: "2 running 445 0",
                "debug": self._debug,
                "pool": self._pool,
                "status": lambda _: {
                    "version": "9.8.7", "state": "startup", "port": 0, "mountd": False,
                },
                "kill": self._kill,
            },
        )  # fmt: skip
        self.control.start()

    def _debug(self, request: Mapping[str, Any]) -> str:
        self.requests.append(request)
        if request["component"] == "x":
            raise ControlError("unknown component 'x'")
        return "[smb] auth"

    def _pool(self, request: Mapping[str, Any]) -> dict[str, int]:
        self.requests.append(request)
        return FIGURES

    def _kill(self, request: Mapping[str, Any]) -> str:
        self.requests.append(request)
        threading.Timer(0, self._end).start()
        return "shutting down"

    def _end(self) -> None:
        self.control.close()
        self.ended.set()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.control.close()


def run(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str, str]:
    status = command.main(["--run-dir", str(folder), *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_list_prints_the_shares_in_the_form_of_ksmbd_tools(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, tmp_path, "--list")
    assert status == 0
    assert out.splitlines() == [
        "                        Name    Comment",
        "                       media    films",
        "                        IPC$     (hidden)",
        "                 evil\\x1b[2J    \\u202ereversed",
    ]


def test_the_title_is_bold_on_a_terminal(server: Server, tmp_path: Path) -> None:
    assert actions.list_shares(tmp_path, bold=True).startswith("\x1b[1m")


def test_debug_switches_and_prints_the_components(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, tmp_path, "--debug=smb")[:2] == (0, "[smb] auth\n")
    assert server.requests == [{"command": "debug", "component": "smb"}]


def test_debug_of_one_client(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, tmp_path, "--debug", "smb", "--client", "192.0.2.7")[0] == 0
    asked = {"command": "debug", "component": "smb", "client": "192.0.2.7"}
    assert server.requests == [asked]


def test_what_the_server_refuses_is_an_error_line_and_status_1(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, tmp_path, "-d", "x")
    assert (status, out) == (1, "")
    assert err == f"[ksmbd.control/{os.getpid()}]: ERROR: unknown component 'x'\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-c"], "ksmbd version : 9.8.7\n"),
        (["stats"], "2 running 445 0\n"),
        (["status"], "ksmbd 9.8.7: startup, port 0, mountd away\n"),
    ],
)
def test_questions(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    assert run(capsys, tmp_path, *arguments)[:2] == (0, expected)


def test_status_for_programs_is_json(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, tmp_path, "status", "--json")
    assert status == 0
    assert json.loads(out)["version"] == "9.8.7"


def test_the_run_directory_may_stand_behind_the_command(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["stats", "--run-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 running 445 0\n"


def test_pool_shows_figures_and_sets_the_maximum(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, tmp_path, "pool", "--max-workers", "7")
    assert status == 0
    assert out.startswith("Workers: 3 of at most 32 (1 busy, 2 idle)")
    assert server.requests[0]["max_workers"] == 7


@pytest.mark.parametrize("option", ["-l", "-c", "-d=smb", "stats", "status", "pool", "-r", "-s"])
def test_without_a_server_there_is_a_clear_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    status, out, err = run(capsys, tmp_path, option)
    assert (status, out) == (1, "")
    assert " running" in err
    assert str(tmp_path) in err
    assert len(err.splitlines()) == 1


def test_shutdown_returns_when_the_server_has_ended(server: Server, tmp_path: Path) -> None:
    actions.shutdown(tmp_path)
    assert server.ended.wait(30)
    assert server.requests == [{"command": "kill", "how": "hard"}]


@pytest.fixture
def mountd(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock file, counts its SIGHUPs and says that all is well."""
    code = (
        "import signal, sys\n"
        "def hup(*_):\n"
        "    outcome.write(lock.path, outcome.Outcome(os.getpid(), 1))\n"
        "    print('hup', flush=True)\n"
        "from mountd import outcome\n"
        "signal.signal(signal.SIGHUP, hup)\n"
        "from mountd.lock import LockFile\n"
        f"import os; lock = LockFile({str(tmp_path / 'ksmbd.lock')!r}); lock.acquire(os.getpid())\n"
        "print('up', flush=True)\n"
        "while True: signal.pause()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_reload_is_sighup_for_mountd(tmp_path: Path, mountd: subprocess.Popen[bytes]) -> None:
    actions.reload(tmp_path)
    assert mountd.stdout is not None
    assert mountd.stdout.readline() == b"hup\n"


def test_shutdown_ends_mountd_too_even_without_ksmbd(
    tmp_path: Path, mountd: subprocess.Popen[bytes]
) -> None:
    actions.shutdown(tmp_path)
    assert mountd.wait(30) == -signal.SIGTERM


def test_a_lock_file_that_nobody_holds_is_no_mountd(tmp_path: Path) -> None:
    lock = LockFile(str(tmp_path / "ksmbd.lock"))
    lock.acquire(1)
    os.close(lock._fd)
    with pytest.raises(NotRunning):
        actions.reload(tmp_path)


@pytest.mark.parametrize("arguments", [["-l", "-r"], ["-l", "status"], ["-d", "smb", "pool"]])
def test_two_actions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(capsys, tmp_path, *arguments)
    assert ended.value.code == 2


def test_no_action_shows_the_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, tmp_path)
    assert (status, out) == (1, "")
    assert err.startswith("usage: ksmbd-control")


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for option, expected in (("-h", "list the shares"), ("-V", "ksmbd-tools version : ")):
        with pytest.raises(SystemExit) as ended:
            command.main([option])
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


def test_a_server_that_does_not_end_is_reported(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_end", lambda: None)
    monkeypatch.setattr("control.client.TIMEOUT_S", 0.05)
    with pytest.raises(Refused, match="has not ended"):
        actions.shutdown(tmp_path)


def test_limits_that_make_no_sense_are_refused(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("max open files", "max open files=", "max open files=-1", "max open files=x"):
        status, _, error = run(capsys, tmp_path, "limits", wrong)
        assert status == 1
        assert "expected NAME=NUMBER" in error
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["close", "file", "junk"], "no number: 'junk'"),
        (["top", "--interval", "soon"], "0.1 to 3600 seconds"),
        (["--client", "192.0.2.7", "status"], "--client goes with --debug"),
    ],
)
def test_what_cannot_be_understood_says_why(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err
