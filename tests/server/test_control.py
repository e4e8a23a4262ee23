"""The control socket: requests, refusals, malformed clients, permissions."""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ksmbd.server.control import MAX_LINE, ControlError, ControlServer, HandOver

SOON = 30.0


def refuse(_: Mapping[str, Any]) -> None:
    raise ControlError("not today")


def fail(_: Mapping[str, Any]) -> None:
    raise KeyError("x")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def control(path: Path) -> Iterator[ControlServer]:
    made = ControlServer(
        str(path), {"echo": lambda request: request["text"], "refuse": refuse, "fail": fail}
    )
    made.start()
    yield made
    made.close()


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(SOON)
    client.connect(str(path))
    return client


def exchange(path: Path, *lines: bytes) -> list[Any]:
    """The answers to several lines on one connection."""
    with connect(path) as client:
        client.sendall(b"".join(lines))
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answers:
            return [json.loads(answer) for answer in answers]


def test_a_command_is_answered_with_its_result(control: ControlServer, path: Path) -> None:
    request = b'{"command": "echo", "text": "caf\\u00e9"}\n'
    assert exchange(path, request, request) == [{"ok": True, "result": "café"}] * 2


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"hello\n", "the request is not JSON"),
        (b"\xff\xfe\n", "the request is not JSON"),
        (b"[" * 5000 + b"\n", "the request is not JSON"),
        (b"[1]\n", "the request is no object"),
        (b"{}\n", "unknown command None"),
        (b'{"command": ["x"]}\n', "unknown command ['x']"),
        (b'{"command": "nothing"}\n', "unknown command 'nothing'"),
        (b'{"command": "refuse"}\n', "not today"),
        (b'{"command": "fail"}\n', "a bug in the server; its log says more"),
    ],
)
def test_what_cannot_be_done_is_refused_and_the_connection_goes_on(
    control: ControlServer, path: Path, line: bytes, error: str
) -> None:
    good = b'{"command": "echo", "text": 1}\n'
    assert exchange(path, line, good) == [
        {"ok": False, "error": error},
        {"ok": True, "result": 1},
    ]


def test_a_line_without_end_drops_the_client_and_nobody_else(
    control: ControlServer, path: Path
) -> None:
    with connect(path) as client:
        client.sendall(b"x" * (MAX_LINE + 1))
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass
    assert exchange(path, b'{"command": "echo", "text": 1}\n')[0]["ok"]


def test_a_silent_client_is_dropped_after_a_time(
    control: ControlServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksmbd.server.control.CLIENT_TIMEOUT_S", 0.01)
    with connect(path) as silent:
        assert exchange(path, b'{"command": "echo", "text": 1}\n')[0]["ok"]
        assert silent.recv(1) == b""


def test_the_socket_is_for_its_owner_only(control: ControlServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to connect as")
def test_another_user_is_not_served() -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is closed to others
        path = Path(folder) / "control.sock"
        control = ControlServer(str(path), {"one": lambda _: 1})
        control.start()
        Path(folder).chmod(0o755)
        path.chmod(0o666)
        assert answer_to_user(65534, path) == b""
        assert answer_to_user(0, path) == b'{"ok": true, "result": 1}\n'
        control.close()


def answer_to_user(uid: int, path: Path) -> bytes:
    """What a process of that user gets for a request."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(uid)
            with connect(path) as client:
                client.sendall(b'{"command": "one"}\n')
                os.write(writing, client.recv(100))
        except ConnectionError:
            pass
        except BaseException as error:
            os.write(writing, repr(error).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with open(reading, "rb") as answer:
        return answer.read()


def test_a_leftover_socket_is_replaced_and_close_removes_it(path: Path) -> None:
    leftover = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    leftover.bind(str(path))
    leftover.close()
    control = ControlServer(str(path), {"one": lambda _: 1})
    control.start()
    assert exchange(path, b'{"command": "one"}\n') == [{"ok": True, "result": 1}]
    control.close()
    assert not path.exists()
    control.close()


def test_close_does_not_wait_for_a_client_that_stays(control: ControlServer, path: Path) -> None:
    with connect(path) as client:
        client.sendall(b'{"command": "echo", "text": 1}\n')
        assert client.recv(100)
        control.close()
        assert client.recv(1) == b""
    assert "ksmbd/control" not in {thread.name for thread in threading.enumerate()}


def test_close_from_a_command_does_not_wait_for_itself(path: Path) -> None:
    control = ControlServer(str(path), {"end": lambda _: control.close()})
    control.start()
    with connect(path) as client:
        client.sendall(b'{"command": "end"}\n')
        try:
            client.recv(100)
        except ConnectionError:
            pass
    control._thread.join(SOON)
    assert not control._thread.is_alive()
    assert not path.exists()


def test_who_is_being_answered_when_it_closes_gets_the_answer(path: Path) -> None:
    """As with "kill": the server ends while its answer is still to be written."""
    asked, ending = threading.Event(), threading.Event()

    def end(_: Mapping[str, Any]) -> str:
        asked.set()
        assert ending.wait(SOON)
        return "shutting down"

    made = ControlServer(str(path), {"end": end})
    made.start()
    with connect(path) as client, client.makefile("rb") as answers:
        client.sendall(b'{"command": "end"}\n')
        assert asked.wait(SOON)
        made.close()  # does not wait for long
        ending.set()
        assert json.loads(answers.readline()) == {"ok": True, "result": "shutting down"}
        assert answers.readline() == b""


def test_a_connection_that_is_handed_over_is_in_nobodys_way(path: Path) -> None:
    taken: list[socket.socket] = []
    hand_over = HandOver("yours", taken.append)
    control = ControlServer(str(path), {"take": lambda _: hand_over, "echo": lambda _: "here"})
    control.start()
    try:
        with connect(path) as client, client.makefile("rb") as lines:
            client.sendall(b'{"command": "take"}\n')
            assert json.loads(lines.readline()) == {"ok": True, "result": "yours"}
            assert exchange(path, b'{"command": "echo"}\n') == [{"ok": True, "result": "here"}]
            with taken[0] as mine:
                assert mine.gettimeout() is None
                mine.sendall(b"more\n")
                assert lines.readline() == b"more\n"
    finally:
        control.close()
