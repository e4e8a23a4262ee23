"""The control socket seen from ksmbd-control: servers that are gone, silent or broken."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from control.client import Client, NotRunning, Refused


def serve_once(folder: Path, talk: Callable[[socket.socket], None]) -> threading.Thread:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(folder / "control.sock"))
    listening.listen()

    def run() -> None:
        with listening, listening.accept()[0] as client:
            talk(client)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match=r"control\.sock"):
        Client(tmp_path)
    leftover = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    leftover.bind(str(tmp_path / "control.sock"))
    leftover.close()
    with pytest.raises(NotRunning):
        Client(tmp_path)


def test_a_result_and_a_refusal(tmp_path: Path) -> None:
    def talk(client: socket.socket) -> None:
        lines = client.makefile("rb")
        assert lines.readline() == b'{"command": "one", "x": 1}\n'
        client.sendall(b'{"ok": true, "result": [1, 2]}\n')
        lines.readline()
        client.sendall(b'{"ok": false, "error": "no"}\n')
        lines.close()

    thread = serve_once(tmp_path, talk)
    with Client(tmp_path) as client:
        assert client.ask("one", x=1) == [1, 2]
        with pytest.raises(Refused, match="no"):
            client.ask("two")
    thread.join(30)


def test_a_server_that_ends_before_it_answers(tmp_path: Path) -> None:
    thread = serve_once(tmp_path, lambda client: client.close())
    with Client(tmp_path) as client, pytest.raises(NotRunning, match="its log"):
        client.ask("one")
    thread.join(30)


def test_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control.client.TIMEOUT_S", 0.01)
    done = threading.Event()
    thread = serve_once(tmp_path, lambda client: bool(done.wait(30)) or None)
    with Client(tmp_path) as client, pytest.raises(Refused, match="does not answer"):
        client.ask("one")
    done.set()
    thread.join(30)
