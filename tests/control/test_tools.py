from __future__ import annotations

import os
from pathlib import Path

import pytest

from control import tools
from ksmbd import __version__
from mountd.lock import LockFile


@pytest.mark.parametrize(
    ("arguments", "action"),
    [([], None), (["-a"], "add"), (["--update"], "update"), (["-d"], "delete")],
)
def test_there_is_one_action_at_most(arguments: list[str], action: str | None) -> None:
    assert tools.parser("ksmbd.x", "", "X").parse_args(arguments).action == action


def test_the_version_is_told_as_ksmbd_tools_tell_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tools.parser("ksmbd.adduser", "", "X").parse_args(["-V"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == (
        f"[ksmbd.adduser/{os.getpid()}]: INFO: ksmbd-tools version : {__version__}\n"
    )


def test_a_mountd_that_cannot_be_notified_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(os, "kill", refuse)
    lock = LockFile(str(tmp_path / "lock"))
    lock.acquire(1)
    tools.notify_mountd(str(tmp_path / "lock"))
    lock.release()
    assert "reload it yourself: not yours" in caplog.text


def test_a_mountd_that_just_ended_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)
    caplog.set_level("INFO")
    lock = LockFile(str(tmp_path / "lock"))
    lock.acquire(1)
    tools.notify_mountd(str(tmp_path / "lock"))
    lock.release()
    assert "no mountd runs" in caplog.text
