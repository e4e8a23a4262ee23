"""Pictures and keys on a terminal, and ``top`` on it."""

from __future__ import annotations

import os
import pty
import signal
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from control import top
from control.screen import GONE, RESIZED, Screen
from tests.control.test_top import AFTER, BEFORE

SOON = 30.0


class Terminal(NamedTuple):
    ours: int  # the user's side
    theirs: int

    def seen(self, until: str) -> str:
        """What the user sees, up to the text *until*."""
        text = ""
        while until not in text:
            text += os.read(self.ours, 65536).decode()
        return text

    def resize(self, lines: int) -> None:
        termios.tcsetwinsize(self.theirs, (lines, 80))
        signal.raise_signal(signal.SIGWINCH)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    yield Terminal(ours, theirs)
    os.close(ours)
    os.close(theirs)


def test_the_terminal_is_put_right_again(terminal: Terminal) -> None:
    before = termios.tcgetattr(terminal.theirs)
    handler = signal.getsignal(signal.SIGWINCH)

    def fail() -> None:
        with Screen(terminal.theirs, terminal.theirs):
            assert termios.tcgetattr(terminal.theirs) != before
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert termios.tcgetattr(terminal.theirs) == before
    assert signal.getsignal(signal.SIGWINCH) == handler
    assert terminal.seen("\x1b[?1049l").startswith("\x1b[?1049h")


def test_no_more_lines_are_drawn_than_there_is_room_for(terminal: Terminal) -> None:
    termios.tcsetwinsize(terminal.theirs, (2, 80))
    with Screen(terminal.theirs, terminal.theirs) as on:
        on.draw(["one", "two", "three"])
    seen = terminal.seen("\x1b[?1049l")
    assert "one\x1b[K\r\ntwo\x1b[K\x1b[J" in seen
    assert "three" not in seen


def test_keys_are_heard_one_by_one(terminal: Terminal) -> None:
    with Screen(terminal.theirs, terminal.theirs) as on:
        os.write(terminal.ours, b"iq")
        assert [on.key(SOON), on.key(SOON), on.key(0)] == ["i", "q", None]
        terminal.resize(10)
        assert on.key(SOON) == RESIZED
        assert on.height == 10
        assert on.key(0) is None


def test_a_terminal_that_is_gone_is_told() -> None:
    ours, theirs = pty.openpty()
    with Screen(theirs, theirs) as on:
        os.close(ours)
        assert on.key(SOON) == GONE
    os.close(theirs)


def test_top_goes_by_the_keys_until_q(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [BEFORE, AFTER]
    monkeypatch.setattr(top, "_report", lambda _: reports.pop(0))
    drawn: list[list[str]] = []
    with Screen(terminal.theirs, terminal.theirs) as on:
        monkeypatch.setattr(on, "draw", drawn.append)
        keys = iter([None, "c", "x", RESIZED, "q"])
        monkeypatch.setattr(on, "key", lambda _: next(keys))
        top.live(tmp_path, on, interval_s=SOON, count=0, order="requests")
    assert [len(lines) for lines in drawn] == [24] * 4
    first, second, third, fourth = drawn
    assert "0 requests/s" in first[2]
    assert "103 requests/s" in second[2]
    assert second[-1].endswith("(now: requests)")
    assert second[5].split()[0] == "2"
    assert third[-1].endswith("(now: client)")
    assert third[5].split()[0] == "1"
    assert fourth == third


def test_top_ends_after_so_many_pictures(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [BEFORE, AFTER, AFTER]
    monkeypatch.setattr(top, "_report", lambda _: reports.pop(0))
    with Screen(terminal.theirs, terminal.theirs) as on:
        top.live(tmp_path, on, interval_s=0.001, count=2, order="in")
    assert not reports
    assert "(now: in)" in terminal.seen("\x1b[?1049l")
