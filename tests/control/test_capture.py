"""``ksmbd-control capture``: whole blocks, limits, interruptions, servers that end in its midst."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control import capture
from control.__main__ import main
from control.capture import Limits, Recorded
from control.client import Client, Refused
from ksmbd.wire import pcapng
from ksmbd.wire.pcapng import INBOUND, Statistics
from tests.control.test_client import serve_once

HEAD = pcapng.section("test", "") + pcapng.interface("i")
PACKET = pcapng.packet(bytes(100), 0, INBOUND)
SOON = 30.0


def end(received: int, dropped: int = 0) -> bytes:
    return pcapng.statistics(Statistics(received, dropped), 0)


def server(folder: Path, *pieces: bytes, after: bytes = b"") -> threading.Thread:
    """Answers, sends *pieces*, waits until the client has heard enough, and sends *after*."""

    def talk(client: socket.socket) -> None:
        lines = client.makefile("rb")
        lines.readline()
        client.sendall(b'{"ok": true, "result": "capturing"}\n')
        for piece in pieces:
            client.sendall(piece)
        if after:
            assert not lines.read()
            client.sendall(after)
        lines.close()

    return serve_once(folder, talk)


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    heard, said = socket.socketpair()
    yield heard
    heard.close()
    said.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.pcapng"


def record(
    folder: Path,
    file: Path,
    interrupted: socket.socket,
    limits: Limits | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> Recorded:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        with Client(folder) as client:
            client.ask("capture", client="192.0.2.7")
            return capture.record(client, fd, limits or Limits(), interrupted, clock)
    finally:
        os.close(fd)


def test_a_capture_ends_after_its_seconds(
    tmp_path: Path, file: Path, silence: socket.socket
) -> None:
    thread = server(tmp_path, HEAD, PACKET[:50], PACKET[50:], after=PACKET + end(2, 7))
    time = iter([0.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0])
    done = record(tmp_path, file, silence, Limits(seconds=4), lambda: next(time))
    thread.join(SOON)
    expected = HEAD + 2 * PACKET + end(2, 7)
    assert file.read_bytes() == expected
    assert done == Recorded(2, len(expected), 7)


def test_a_file_is_no_longer_than_asked_but_for_its_end(
    tmp_path: Path, file: Path, silence: socket.socket
) -> None:
    room = len(HEAD) + 2 * len(PACKET) + 10
    thread = server(tmp_path, HEAD + 5 * PACKET, after=PACKET + end(6))
    done = record(tmp_path, file, silence, Limits(size=room))
    thread.join(SOON)
    assert file.read_bytes() == HEAD + 2 * PACKET + end(6)
    assert done.packets == 2


def test_an_interruption_ends_it_whole(tmp_path: Path, file: Path) -> None:
    heard, said = socket.socketpair()
    said.send(b"\0")
    thread = server(tmp_path, HEAD, after=PACKET + end(1))
    with heard, said:
        assert record(tmp_path, file, heard).packets == 1
    thread.join(SOON)
    assert file.read_bytes() == HEAD + PACKET + end(1)


def test_of_a_server_that_ends_whole_blocks_are_left(
    tmp_path: Path, file: Path, silence: socket.socket
) -> None:
    thread = server(tmp_path, HEAD + PACKET + PACKET[:-4])
    assert record(tmp_path, file, silence) == Recorded(1, len(HEAD + PACKET), None)
    thread.join(SOON)
    assert file.read_bytes() == HEAD + PACKET


def test_what_is_no_capture_is_refused(tmp_path: Path, file: Path, silence: socket.socket) -> None:
    thread = server(tmp_path, b"something else")
    with pytest.raises(Refused, match="no capture"):
        record(tmp_path, file, silence)
    thread.join(SOON)


def test_the_command_writes_a_file_for_its_owner_and_says_what_is_missing(
    tmp_path: Path, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(bytes(10_000))
    file.chmod(0o644)
    thread = server(tmp_path, HEAD + PACKET, after=end(1, 3))
    arguments = ["--run-dir", str(tmp_path), "capture", "--connection", "5", "--seconds", "0.1"]
    assert main([*arguments, str(file)]) == 0
    thread.join(SOON)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes() == HEAD + PACKET + end(1, 3)
    assert "3 messages were dropped" in capfd.readouterr().err


def test_a_file_of_another_user_is_left_alone(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(b"of somebody who waits for it")
    with socket.socket(socket.AF_UNIX) as nobody_answers:
        nobody_answers.bind(str(tmp_path / "control.sock"))
        nobody_answers.listen()
        monkeypatch.setattr("os.geteuid", lambda: file.stat().st_uid + 1)
        assert main(["--run-dir", str(tmp_path), "capture", "--session", "5", str(file)]) == 1
    assert file.read_bytes() == b"of somebody who waits for it"
    assert "another user's" in capfd.readouterr().err


def test_the_standard_output_is_nothing_but_the_capture(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    thread = server(tmp_path, HEAD, after=end(0))
    arguments = ["--run-dir", str(tmp_path), "capture", "--session", "0x5", "--seconds", "0.1", "-"]
    assert main(arguments) == 0
    thread.join(SOON)
    assert capfdbinary.readouterr().out == HEAD + end(0)


def test_a_signal_is_heard_once_and_then_is_what_it_was() -> None:
    before, interrupt = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with capture._interrupts() as heard:
        signal.raise_signal(signal.SIGTERM)
        assert heard.recv(1)
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGINT) == interrupt


@pytest.mark.parametrize(("text", "size"), [("5", 5), ("64K", 65536), ("10m", 10 << 20)])
def test_sizes_have_units(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, size: int
) -> None:
    seen: list[Limits] = []
    monkeypatch.setattr(
        "control.__main__.capture", lambda *_, limits, **__: seen.append(limits) or ""
    )
    assert main(["capture", "--client", "::1", "--size", text, str(tmp_path / "x")]) == 0
    assert seen == [Limits(0, size)]


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--client", "::1", "--session", "1", "f"],
        ["--client", "::1"],
        ["--client", "::1", "--size", "0", "f"],
        ["--client", "::1", "--size", "much", "f"],
        ["--client", "::1", "--seconds", "-1", "f"],
    ],
)
def test_a_wrong_command_line_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["capture", *wrong])
    assert ended.value.code == 2
