"""mountd as a child: ended with us, started again when it ends by itself."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest

from ksmbd.server.child import Child

SOON = 30.0


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def wait_for(path: Path, content: str) -> None:
    turn = threading.Event()
    for _ in range(10_000):
        if path.exists() and path.read_text() == content:
            return
        turn.wait(0.002)
    raise AssertionError(f"{path} never became {content!r}")


def test_stop_ends_it_with_sigterm_and_nobody_is_told(tmp_path: Path) -> None:
    up = tmp_path / "up"
    told: list[int] = []
    child = Child(
        python(f"open({str(up)!r}, 'w').write('up'); import signal; signal.pause()"),
        lambda status: bool(told.append(status)),
    )
    child.start()
    wait_for(up, "up")
    child.stop(SOON)
    assert told == []
    assert child._process is not None
    assert child._process.returncode == -signal.SIGTERM


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    up = tmp_path / "up"
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(up)!r}, 'w').write('up')\nwhile True: signal.pause()"
    )
    child = Child(python(code), lambda status: False)
    child.start()
    wait_for(up, "up")
    child.stop(0.05)
    child._thread.join(SOON)
    assert child._process is not None
    assert child._process.returncode == -signal.SIGKILL


def test_it_is_started_again_as_long_as_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksmbd.server.child.RESTART_S", (0.001,))
    lives = tmp_path / "lives"
    statuses: list[int] = []
    done = threading.Event()

    def ended(status: int) -> bool:
        statuses.append(status)
        if len(statuses) == 3:
            done.set()
        return len(statuses) < 3

    child = Child(python(f"open({str(lives)!r}, 'a').write('x'); raise SystemExit(7)"), ended)
    child.start()
    assert done.wait(SOON)
    child.stop(SOON)
    assert statuses == [7, 7, 7]
    assert lives.read_text() == "xxx"


def test_a_signal_reaches_it(tmp_path: Path) -> None:
    up, seen = tmp_path / "up", tmp_path / "seen"
    code = (
        "import signal\n"
        f"signal.signal(signal.SIGHUP, lambda *_: open({str(seen)!r}, 'w').write('hup'))\n"
        f"open({str(up)!r}, 'w').write('up')\n"
        "while True: signal.pause()"
    )
    child = Child(python(code), lambda status: False)
    child.start()
    wait_for(up, "up")
    child.signal(signal.SIGHUP)
    wait_for(seen, "hup")
    child.stop(SOON)


def test_stop_before_start_starts_nothing() -> None:
    child = Child(python("raise SystemExit(1)"), lambda status: True)
    child.stop(SOON)
    child.start()
    child._thread.join(SOON)
    assert child._process is None
