"""Rates from two reports, and the loop around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from control import top

POOL = {"workers": 2, "busy": 0, "idle": 2, "queued": 0, "grown": 2, "shrunk": 0, "max_workers": 9}


def connection(number: int, frames: int, received: int, sent: int) -> dict[str, Any]:
    return {"number": number, "peer": f"192.0.2.{number}", "frames": frames, "received": received,
            "sent": sent, "requests": 1, "pending": 0}  # fmt: skip


def report(now: float, *connections: dict[str, Any]) -> dict[str, Any]:
    sessions = [{"connection": 2, "account": "alice"}, {"connection": 2, "account": ""}]
    return {"version": "1", "state": "running", "port": 445, "mountd": True, "started": 0.0,
            "now": now, "pool": POOL, "connections": list(connections), "sessions": sessions,
            "open_count": 5}  # fmt: skip


BEFORE = report(100.0, connection(1, 10, 1000, 2000), connection(2, 10, 0, 0))
AFTER = report(
    102.0,
    connection(1, 14, 1000, 2000),
    connection(2, 210, 4096, 10 << 20),
    connection(3, 2, 50, 20),
)


def test_the_busiest_connection_is_first() -> None:
    rows = top.rates(BEFORE, AFTER)
    assert [(row["number"], row["frames"]) for row in rows] == [(2, 100.0), (1, 2.0), (3, 1.0)]
    assert rows[0]["received"] == 2048
    assert rows[0]["accounts"] == "(guest), alice"


def test_a_picture() -> None:
    lines = top.screen(BEFORE, AFTER).splitlines()
    assert lines[2] == (
        "Connections: 3, sessions: 2, open files: 5; 103 requests/s, in 2.0 KiB/s, out 5.0 MiB/s"
    )
    assert lines[5].split() == [
        "2", "192.0.2.2", "(guest),", "alice", "100", "2.0", "KiB/s", "5.0", "MiB/s", "1", "0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 50, "5120.0 TiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert top.size(count) == text


def test_the_loop_compares_each_report_with_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [BEFORE, AFTER, report(104.0, connection(2, 212, 4096, 10 << 20))]
    monkeypatch.setattr(top, "_report", lambda _: reports.pop(0))
    shown: list[str] = []
    slept: list[float] = []
    top.watch(tmp_path, interval_s=2.0, count=2, show=shown.append, clear=True, sleep=slept.append)
    assert slept == [2.0, 2.0]
    assert [text.startswith(top.CLEAR) for text in shown] == [True, True]
    assert "1 requests/s" in shown[1]
