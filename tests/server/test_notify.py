"""sd_notify datagrams."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ksmbd.server.notify import READY, STOPPING, Notifier


def test_lines_go_out_in_one_datagram(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        Notifier({"NOTIFY_SOCKET": path}).send(READY, "STATUS=fine")
        assert systemd.recv(1000) == b"READY=1\nSTATUS=fine"


def test_an_abstract_socket_is_written_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0ksmbd-test-{os.getpid()}")
        Notifier({"NOTIFY_SOCKET": f"@ksmbd-test-{os.getpid()}"}).reloading()
        first, second = systemd.recv(1000).split(b"\n")
    assert first == b"RELOADING=1"
    assert second.startswith(b"MONOTONIC_USEC=")


def test_without_systemd_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    Notifier({}).send(STOPPING)
    assert caplog.text == ""


def test_a_systemd_that_is_gone_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send(STOPPING)
    assert "STOPPING=1" in caplog.text


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "10000000"}, 5),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 5),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_systemds_watchdog_wants_a_sign_twice_in_its_time(
    environment: dict[str, str], seconds: float
) -> None:
    assert Notifier(environment).watchdog_s == seconds
