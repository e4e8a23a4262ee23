"""Hearing what became of a reload: from a stand-in for mountd, which tells what a test wants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from control import actions, reloading, tools
from control.__main__ import main
from control.client import NotRunning, Refused
from ksmbd.wire.ipc import LOCK_NAME
from mountd import outcome
from mountd.lock import LockFile
from mountd.outcome import Outcome

CHANGED = ("reloaded: 1 changed, 0 removed", "tcp port is changed: not before a new start")


class Mountd:
    """Holds the lock in our process; a signal to it is an outcome that is left."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lock = LockFile(str(folder / LOCK_NAME))
        self.lock.acquire(os.getpid())
        self.answer: Outcome | None = Outcome(os.getpid(), 1, "", CHANGED, ("a warning",))
        self.is_there = True
        monkeypatch.setattr(os, "kill", self.hear)

    def hear(self, pid: int, number: int) -> None:
        assert pid == os.getpid()
        if number and self.answer is not None:
            outcome.write(self.lock.path, self.answer)
        elif not number and not self.is_there:
            raise ProcessLookupError


@pytest.fixture
def mountd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mountd:
    return Mountd(tmp_path, monkeypatch)


def test_what_has_changed_is_printed_and_warnings_are_logged(
    tmp_path: Path, mountd: Mountd, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--run-dir", str(tmp_path), "--reload"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == list(CHANGED)
    assert "WARNING: a warning" in said.err


def test_a_file_that_is_wrong_is_an_error_with_its_place(
    tmp_path: Path, mountd: Mountd, capsys: pytest.CaptureFixture[str]
) -> None:
    mountd.answer = Outcome(os.getpid(), 2, "/etc/k.conf:7: read only = x: expected yes or no")
    assert main(["--run-dir", str(tmp_path), "-r"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert (
        "ERROR: not reloaded, the old configuration stays: "
        "/etc/k.conf:7: read only = x: expected yes or no\n" in said.err
    )


def test_the_word_of_an_earlier_reload_is_no_answer(tmp_path: Path, mountd: Mountd) -> None:
    mountd.answer = Outcome(os.getpid(), 5)
    actions.reload(tmp_path)
    with pytest.raises(Refused, match="has not read its files"):
        reloading.reload(mountd.lock.path, 0.1)
    mountd.answer = Outcome(os.getpid(), 6)
    assert reloading.reload(mountd.lock.path) == mountd.answer


def test_the_word_of_an_earlier_mountd_does_not_count(tmp_path: Path, mountd: Mountd) -> None:
    outcome.write(mountd.lock.path, Outcome(os.getpid() + 1, 900))
    assert reloading.reload(mountd.lock.path) == mountd.answer


def test_a_mountd_that_ends_meanwhile_is_told(tmp_path: Path, mountd: Mountd) -> None:
    mountd.answer, mountd.is_there = None, False
    with pytest.raises(NotRunning, match="has ended"):
        actions.reload(tmp_path)


def test_who_edits_accounts_is_told_that_mountd_cannot_use_the_files(
    tmp_path: Path, mountd: Mountd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    tools.notify_mountd(mountd.lock.path)
    assert f"Notified mountd (process {os.getpid()})" in caplog.text
    mountd.answer = Outcome(os.getpid(), 2, "/etc/k.conf:7: no")
    tools.notify_mountd(mountd.lock.path)
    assert "mountd goes on with what it had: /etc/k.conf:7: no" in caplog.text
