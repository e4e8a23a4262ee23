"""What is told of a reload."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path

import pytest

from mountd import reloading
from mountd.daemon import tell_changes
from mountd.params import GlobalParams, ShareParams
from mountd.reloading import AT_ONCE, OF_GLOBALS, OF_SHARES, START, TREES, reach, told
from mountd.state import Paths, State


def test_every_parameter_says_what_a_reload_changes() -> None:
    assert OF_GLOBALS.keys() == {declared.name for declared in fields(GlobalParams)}
    assert OF_SHARES.keys() <= {declared.name for declared in fields(ShareParams)}
    assert reach(ShareParams, "path") == TREES
    assert reach(GlobalParams, "deadtime") == AT_ONCE


def test_each_change_is_a_line() -> None:
    old, new = GlobalParams(), GlobalParams(deadtime=5, tcp_port=4450, max_connections=9)
    assert list(told(old, new, own_port=False)) == [
        (False, "deadtime is changed: at once"),
        (False, "max connections is changed: for new connections"),
        (True, "tcp port is changed: not before a new start"),
    ]
    assert [late for late, _ in told(old, new, own_port=True)] == [False, False]
    assert list(told(old, GlobalParams(), own_port=False)) == []


def test_only_a_new_start_changes_the_port() -> None:
    assert [name for name, holds in OF_GLOBALS.items() if holds == START] == ["tcp_port"]
    assert OF_GLOBALS["smbd_max_io_size"] == reloading.NOTHING


def test_the_log_of_a_reload_tells_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ksmbd.conf"
    path.write_text("[global]\ntcp port = 445\n")
    state = State(Paths(str(path), str(tmp_path / "pwd.db")))
    old = state.files.globals
    path.write_text("[global]\ntcp port = 446\nsmb2 leases = no\n")
    state.reload()
    with caplog.at_level(logging.INFO, "mountd"):
        tell_changes(state, old)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "smb2 leases is changed: for new connections"),
        ("WARNING", "tcp port is changed: not before a new start"),
    ]
