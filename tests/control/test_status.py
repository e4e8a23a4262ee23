"""The report as tables."""

from __future__ import annotations

from typing import Any

import pytest

from control.status import Column, duration, render, table
from ksmbd.wire.text import printable

REPORT: dict[str, Any] = {
    "version": "1.2", "state": "running", "port": 4450, "mountd": True,
    "started": 1000.0, "now": 1000.0 + 3 * 86400 + 7200, "python": "Python 3.13.5",
    "pool": {
        "workers": 2, "busy": 0, "idle": 2, "queued": 0, "grown": 4, "shrunk": 2,
        "max_workers": 32, "direct_dispatch": False,
    },
    "connections": [
        {"number": 12, "peer": "192.0.2.5", "dialect": "3.1.1", "sessions": 1, "requests": 0,
         "pending": 2, "frames": 12345, "slow": False},
    ],
    "sessions": [
        {"id": "0x1f", "account": "alice", "peer": "192.0.2.5", "state": "valid", "guest": False,
         "dialect": "3.1.1", "signed": "AES-128-GMAC", "sealed": "", "trees": 1, "opens": 2},
    ],
    "channels": [
        {"session": "0x1f", "account": "alice", "connection": 12, "peer": "192.0.2.5",
         "local": "192.0.2.1", "signed": "AES-128-GMAC", "sealed": ""},
    ],
    "trees": [
        {"share": "media", "account": "alice", "session": "0x1f", "writable": True,
         "encryption_required": False},
    ],
    "opens": [
        {"id": "0x7", "share": "media", "path": "a/b.txt", "pipe": False, "directory": False,
         "access": "0x00120089", "caching": "batch", "kept": "durable", "away": True,
         "account": "alice"},
        {"id": "0x8", "share": "media", "path": "new\nline", "pipe": False, "directory": True,
         "access": "0x00100081", "caching": "", "account": "alice"},
    ],
    "open_count": 2,
    "locks": [
        {"open": "0x7", "share": "media", "path": "a/b.txt", "offset": 16, "length": 8,
         "exclusive": True, "account": "alice"},
    ],
}  # fmt: skip


def test_the_whole_report() -> None:
    assert (
        render(REPORT)
        == """\
ksmbd 1.2: running, port 4450, mountd connected, up 3 d 2 h, Python 3.13.5
Workers: 2 of at most 32 (0 busy, 2 idle), 0 requests queued; 4 started and 2 retired so far; \
no direct dispatch

Connections: 1
  Number  Client     Dialect  Sessions  Running  Waiting  Frames  Slow
      12  192.0.2.5  3.1.1           1        0        2   12345  no

Sessions: 1
  Session  Account  Client     State  Guest  Dialect  Signed with   Sealed with  Shares  Opens
  0x1f     alice    192.0.2.5  valid  no     3.1.1    AES-128-GMAC  -                 1      2

Channels: 1
  Session  Account  Connection  Client     Server     Signed with   Sealed with
  0x1f     alice            12  192.0.2.5  192.0.2.1  AES-128-GMAC  -

Connected shares: 1
  Share  Account  Session  Writable  Sealed only
  media  alice    0x1f     yes       no

Open files: 2
  File  Share  Path       Kind       Access      Cached  Kept                  Account
  0x7   media  a/b.txt    file       0x00120089  batch   durable, client away  alice
  0x8   media  new\\nline  directory  0x00100081  -       -                     alice

Byte-range locks: 1
  File  Share  Path     Offset  Length  Exclusive  Account
  0x7   media  a/b.txt      16       8  yes        alice"""
    )


def test_a_server_that_tells_of_no_channels_has_no_such_table() -> None:
    report = {name: value for name, value in REPORT.items() if name != "channels"}
    assert "Channels" not in render(report)
    assert "Connected shares: 1" in render(report)


def test_a_compiled_server_says_so() -> None:
    assert render(REPORT | {"compiled": 71}).startswith("ksmbd 1.2 (71 modules compiled): running")
    assert render(REPORT | {"compiled": 0}).startswith("ksmbd 1.2: running")


def test_before_mountd_has_come_there_is_one_line() -> None:
    report = {"version": "1.2", "state": "startup", "port": 0, "mountd": False}
    assert render(report) == "ksmbd 1.2: startup, port 0, mountd away"


def test_empty_tables_are_their_titles_only() -> None:
    names = ("connections", "sessions", "channels", "trees", "opens", "locks")
    empty = REPORT | {name: [] for name in names}
    text = render(empty | {"open_count": 0})
    assert "Sessions: 0\n" in text
    assert "Account" not in text


def test_what_an_older_server_does_not_tell_is_left_out() -> None:
    older = {name: rows for name, rows in REPORT.items() if name != "locks"}
    assert "Byte-range" not in render(older)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (61, "1 min 1 s"),
        (86400, "1 d"),
        (90061, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_names_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\u202ec\ud800é日") == "a\\x1b[31mb\\u202ec\\ud800é日"


def test_columns_stand_below_each_other_whatever_a_name_is_written_in() -> None:
    columns = (
        Column("Path", lambda row: str(row["path"])),
        Column("End", lambda _: "|"),
    )
    names = ("plain", "\u6587\u4ef6\u540d", "cafe\u0301", "\u2603")
    _, *lines = table(columns, [{"path": name} for name in names])
    shown = [line.replace("\u0301", "") for line in lines]  # which takes no room
    shown = ["".join(each * 2 if each > "\u4e00" else each for each in line) for line in shown]
    assert {line.index("|") for line in shown} == {10}


def test_what_a_server_of_another_version_does_not_tell_is_left_open() -> None:
    row = {name: value for name, value in REPORT["sessions"][0].items() if name != "sealed"}
    line = render(REPORT | {"sessions": [row]}).partition("Sessions: 1")[2].splitlines()[2]
    assert line.split() == [
        *("0x1f", "alice", "192.0.2.5", "valid", "no", "3.1.1", "AES-128-GMAC", "?", "1", "2")
    ]
