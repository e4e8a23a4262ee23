"""tests/support/live.py: the parts that need no server, then the real one."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.support.live import (
    LiveServer,
    LiveShare,
    Log,
    ServerFailed,
    standard_shares,
)

WORD = re.compile("wo(rd)")


def test_a_log_finds_a_line_that_was_there_before() -> None:
    log = Log()
    log.add("a word\n")
    match = log.wait_for(WORD, 0)
    assert match is not None
    assert match[1] == "rd"


def test_a_log_gives_up_when_its_process_ends() -> None:
    log = Log()
    log.add("nothing\n")
    log.end()
    assert log.wait_for(WORD, 60) is None


def test_a_share_becomes_a_section(tmp_path: Path) -> None:
    share = LiveShare("docs", tmp_path, {"read only": "yes"})
    assert share.section() == f"[docs]\n\tpath = {tmp_path}\n\tread only = yes\n"


def test_the_configuration_holds_every_share_and_parameter(tmp_path: Path) -> None:
    server = LiveServer(tmp_path, globals_={"max connections": "7"})
    text = server.configuration_text()
    assert "\tmax connections = 7\n" in text
    assert [name for name in re.findall(r"^\[(.*)\]", text, re.M) if name != "global"] == [
        share.name for share in standard_shares(tmp_path)
    ]


def test_a_traceback_in_the_log_is_a_failure(tmp_path: Path) -> None:
    server = LiveServer(tmp_path)
    server.log.add("Traceback (most recent call last):\n")
    with pytest.raises(ServerFailed, match="traceback"):
        server.check_log()
    server.check_log(after=len(server.log.text()))


def test_the_real_server_starts_accepts_and_stops_with_status_zero(tmp_path: Path) -> None:
    with LiveServer(tmp_path) as server:
        socket.create_connection((server.host, server.port), 5).close()
    assert not server.running


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = LiveServer(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(ServerFailed, match="did not get ready"):
            server.start()
