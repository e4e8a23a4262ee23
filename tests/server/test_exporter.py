"""Metrics over HTTP and as a file."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ksmbd.server import exporter
from ksmbd.server.exporter import MAX_REQUEST, Exporter
from ksmbd.server.exposition import CONTENT_TYPE

TEXT = "up 1\n"


@contextmanager
def exporting(
    address: str = "", file: str = "", render: Callable[[], str] = lambda: TEXT
) -> Iterator[Exporter]:
    made = Exporter(address, file, render)
    made.start()
    try:
        yield made
    finally:
        made.close()


def ask(served: Exporter, method: str, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request(method, path)
    return connection.getresponse()


def connected(served: Exporter) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=30)


def test_prometheus_gets_the_text_and_its_type() -> None:
    with exporting("127.0.0.1:0") as served:
        answer = ask(served, "GET", "/metrics?x=1")
        assert (answer.status, answer.read()) == (200, TEXT.encode())
        assert answer.headers["Content-Type"] == CONTENT_TYPE


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/other", 404), ("POST", "/metrics", 405), ("HEAD", "/metrics", 200)],
)
def test_nothing_else_is_there(method: str, path: str, status: int) -> None:
    with exporting("127.0.0.1:0") as served:
        assert ask(served, method, path).status == status


def test_a_unix_socket_serves_too_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as leftover:
        leftover.bind(str(path))
    with exporting(str(path)), socket.socket(socket.AF_UNIX) as client:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o117  # nobody else
        client.connect(str(path))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.endswith(b"\r\n\r\n" + TEXT.encode())
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    made = Exporter(str(path), str(path), lambda: TEXT)
    with pytest.raises(OSError, match="in use"):
        made.start()
    made.close()
    assert path.read_text() == "data"


@pytest.mark.parametrize("request_", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\0\r\n\r\n"])
def test_what_is_no_request_is_refused(request_: bytes) -> None:
    with exporting("127.0.0.1:0") as served, connected(served) as client:
        client.sendall(request_)
        assert client.recv(4096).startswith(b"HTTP/1.1 405 ")


def test_a_request_without_end_is_cut_off() -> None:
    with exporting("127.0.0.1:0") as served, connected(served) as client:
        client.sendall(b"GET /".ljust(MAX_REQUEST, b"x"))
        assert client.recv(4096).startswith(b"HTTP/1.1 405 ")


def test_who_says_nothing_and_goes_keeps_nobody_waiting() -> None:
    with exporting("127.0.0.1:0") as served:
        connected(served).close()
        assert ask(served, "GET", "/").status == 200


def test_a_bug_in_a_metric_is_told_and_the_next_one_gets_its_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = [TEXT]

    def render() -> str:
        return answers.pop() if answers else str(1 // 0)

    with exporting("127.0.0.1:0", render=render) as served:
        assert ask(served, "GET", "/").read() == TEXT.encode()
        answer = ask(served, "GET", "/")
        assert (answer.status, answer.read()) == (500, b"")
    assert "metrics: a bug in the server" in caplog.text


def test_the_file_is_whole_whenever_somebody_looks_and_goes_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "CLOSE_S", 30.0)
    path = tmp_path / "ksmbd.prom"
    rendered = threading.Event()
    there_before: list[bool] = []

    def render() -> str:
        there_before.append(path.exists())
        rendered.set()
        return TEXT

    made = Exporter("", str(path), render)
    made.start()
    assert rendered.wait(30)
    made.close()  # after the file was written: the thread does one thing after the other
    assert there_before == [False]
    assert list(tmp_path.iterdir()) == []


def test_the_file_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "ksmbd.prom"
    path.write_text("old\n")
    made = Exporter("", str(path), lambda: TEXT)
    made._write()
    assert path.read_text() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    assert list(tmp_path.iterdir()) == [path]
    made.close()


def test_the_file_is_utf_8_whatever_the_locale_says(tmp_path: Path) -> None:
    path = tmp_path / "ksmbd.prom"
    program = (
        "import sys; from ksmbd.server.exporter import Exporter; "
        r"Exporter('', sys.argv[1], lambda: '# \xc4\n')._write()"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, **locale},
        check=True,
        timeout=60,
    )
    assert path.read_bytes() == "# Ä\n".encode()


def test_a_file_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Exporter("", str(tmp_path / "missing" / "ksmbd.prom"), lambda: TEXT)
    made._write()
    made.close()
    assert "metrics file: " in caplog.text


def test_an_address_that_is_taken_is_an_error() -> None:
    with exporting("127.0.0.1:0") as served:
        other = Exporter(f"127.0.0.1:{served.port}", "", lambda: TEXT)
        with pytest.raises(OSError, match="in use"):
            other.start()
        other.close()
